//! A folder of a test's own, and a shell in it that finds the program.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

/// What guides call the program by.
const NAMES: [&str; 2] = ["moq-token", "moq-token-cli"];

/// `cargo run --bin moq-token -- …`, without building it once more.
const CARGO: &str = "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec moq-token \"$@\"\n";

pub(crate) struct Shell {
    folder: PathBuf,
    programs: PathBuf,
}

/// How a command ended, and what it said.
pub(crate) struct Ended {
    command: String,
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Shell {
    pub(crate) fn new(test: &str) -> Self {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("program-{test}"));
        let _ = fs::remove_dir_all(&base);
        let (folder, programs) = (base.join("here"), base.join("programs"));
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(&programs).unwrap();
        for name in NAMES {
            symlink(env!("CARGO_BIN_EXE_moq-token"), programs.join(name)).unwrap();
        }
        fs::write(programs.join("cargo"), CARGO).unwrap();
        fs::set_permissions(programs.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, programs }
    }

    /// A secret `root.jwk`, a pair `p.jwk`, and `alice.jwt` below `rooms` signed by the former.
    pub(crate) fn prepare(&self) {
        self.run("moq-token generate --out root.jwk").succeeds();
        self.run("moq-token generate --algorithm ES256 --out p.jwk").succeeds();
        self.run("moq-token sign --key root.jwk --root rooms --publish alice --subscribe '' --expires 1h > alice.jwt").succeeds();
    }

    pub(crate) fn run(&self, command: &str) -> Ended {
        let path = format!("{}:{}", self.programs.display(), std::env::var("PATH").unwrap_or_default());
        let mut command_line = Command::new("sh");
        let output = command_line.args(["-euc", command]).current_dir(&self.folder).env("PATH", path).output().unwrap();
        Ended {
            command: command.to_owned(),
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // What a failed test made is left to look at.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(self.folder.parent().unwrap());
        }
    }
}

impl Ended {
    /// What it printed, having succeeded.
    pub(crate) fn succeeds(self) -> String {
        assert_eq!(self.status, 0, "{}\n{}", self.command, self.stderr);
        self.stdout
    }

    /// The one line of JSON it printed, having succeeded.
    pub(crate) fn json(self) -> serde_json::Value {
        let text = self.succeeds();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// What it complained of, having failed with `status`.
    pub(crate) fn fails(self, status: i32) -> String {
        assert_eq!(self.status, status, "{}\n{}", self.command, self.stderr);
        self.stderr
    }
}
