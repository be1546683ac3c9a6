//! Every command line of README.md and of the pages in docs/, read from there and run.
//!
//! What `localhost:4443` is on a page is a relay of the test's own here. A page's commands run in their order and in one folder,
//! which looks like a clone with its programs built, and has a `relay.toml`. `pages` tells how commands are written.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read},
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use crate::{
    pages::{Step, steps},
    program::PATIENCE,
    relay::{Relay, built},
};

/// How many blocks of each page are not run, so that another one is a decision and not a slip.
const EXCEPTIONS: [(&str, usize); 3] = [("README.md", 2), ("auth.md", 2), ("moq.md", 1)];

/// What `localhost:4443` stands for on the pages.
const PORT: &str = "localhost:4443";

#[test]
fn every_command_of_readme_and_docs_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    pages.push(root.join("README.md"));
    pages.sort();
    let programs = built(&["moq-relay", "moq-token"]);

    let ended: Vec<_> = thread::scope(|scope| {
        let started: Vec<_> = pages.iter().map(|page| scope.spawn(|| run_page(page, &root, &programs))).collect();
        pages.iter().zip(started).map(|(page, thread)| (name(page), thread.join())).collect()
    });

    let mut exceptions = Vec::new();
    for (page, outcome) in ended {
        let reasons = outcome.unwrap_or_else(|_| panic!("{page} has a command that does not do what it should; see above"));
        for reason in &reasons {
            println!("{page}: not run: {reason}");
        }
        if !reasons.is_empty() {
            exceptions.push((page, reasons.len()));
        }
    }
    let exceptions: Vec<_> = exceptions.iter().map(|(page, count)| (page.as_str(), *count)).collect();
    assert_eq!(exceptions, EXCEPTIONS, "blocks that are not run; the reasons are printed above");
}

fn name(page: &Path) -> String {
    page.file_name().unwrap().to_string_lossy().into_owned()
}

/// Runs the commands of a page, and returns why which of them are not run.
fn run_page(page: &Path, root: &Path, programs: &Path) -> Vec<String> {
    let steps = steps(&fs::read_to_string(page).unwrap()).unwrap_or_else(|error| panic!("{}, {error}", page.display()));
    let relay = Relay::on_one_port();
    let folder = Folder::new(&name(page), root, programs);
    let here = |text: &str| text.replace(PORT, &format!("localhost:{}", relay.port()));
    let mut reasons = Vec::new();
    for step in steps {
        match step {
            Step::Run { script, output } => folder.run(&here(&script), output.map(|output| here(&output)).as_deref()),
            Step::Until { script, text } => folder.run_until(&here(&script), &text),
            Step::Shown { command, output } => folder.show(&here(&command), &here(&output)),
            Step::Elsewhere { test } => {
                let text = fs::read_to_string(root.join(&test)).unwrap_or_else(|error| panic!("{test}: {error}"));
                assert!(text.contains(&name(page)), "{test} does not read {}", page.display());
            }
            Step::Excepted { reason } => reasons.push(reason),
        }
    }
    reasons
}

/// Where the commands of a page run.
struct Folder {
    path: PathBuf,
    programs: PathBuf,
}

impl Folder {
    fn new(page: &str, root: &Path, programs: &Path) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("docs-{page}-{}", std::process::id()));
        for folder in ["dev", "target"] {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        symlink(root.join("rs"), path.join("rs")).unwrap();
        symlink(programs, path.join("target/release")).unwrap();
        let config = fs::read_to_string(root.join("dev/relay.toml")).unwrap().replace(":4443\"", ":0\"");
        for copy in ["relay.toml", "dev/relay.toml"] {
            fs::write(path.join(copy), &config).unwrap();
        }
        // Quiet, and an answer that tells of an error is one.
        fs::write(path.join(".curlrc"), "silent\nshow-error\nfail\n").unwrap();
        Self { path, programs: programs.to_owned() }
    }

    /// A shell in a process group of its own.
    fn shell(&self, script: &str) -> Command {
        let path = env::var_os("PATH").unwrap();
        let path = env::join_paths([self.programs.clone()].into_iter().chain(env::split_paths(&path))).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", script]).current_dir(&self.path).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MOQ_")) {
            shell.env_remove(name);
        }
        shell.env("PATH", path).env("HOME", &self.path).env_remove("RUST_LOG");
        shell
    }

    /// Runs to the end, which is a good one.
    fn run(&self, script: &str, output: Option<&str>) {
        let mut shell = self.shell(script);
        let group = Group(shell.stderr(Stdio::piped()).spawn().unwrap());
        let ended = group.ends(script);
        assert!(ended.is_success, "{script}{}{}", ended.output, ended.errors);
        if let Some(output) = output {
            assert_eq!(ended.output, output, "{script}");
        }
    }

    /// Runs to whatever end, and writes this, complaints included.
    fn show(&self, command: &str, output: &str) {
        let mut shell = self.shell(&format!("exec 2>&1\n{command}"));
        let group = Group(shell.spawn().unwrap());
        assert_eq!(group.ends(command).output, output, "{command}");
    }

    /// Runs until it writes `text`.
    fn run_until(&self, script: &str, text: &str) {
        let mut group = Group(self.shell(&format!("exec 2>&1\n{script}")).spawn().unwrap());
        let lines = BufReader::new(group.0.stdout.take().unwrap()).lines();
        let (tell, told) = mpsc::sync_channel(0);
        thread::spawn(move || lines.map_while(Result::ok).all(|line| tell.send(line).is_ok()));
        let mut written = String::new();
        while !written.contains(text) {
            let line = told.recv_timeout(PATIENCE);
            written += &(line.unwrap_or_else(|_| panic!("it never writes {text:?}:\n{script}\n{written}")) + "\n");
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What a failed test made is left to look at.
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A shell with all it has started, which ends when this is dropped.
struct Group(Child);

struct Ended {
    is_success: bool,
    output: String,
    errors: String,
}

impl Group {
    /// Waits until nobody writes any more.
    fn ends(mut self, script: &str) -> Ended {
        let stdout = self.0.stdout.take().unwrap();
        let stderr = self.0.stderr.take();
        let (tell, told) = mpsc::sync_channel(1);
        thread::spawn(move || {
            let errors = thread::spawn(|| stderr.map_or_else(String::new, text));
            tell.send((text(stdout), errors.join().unwrap()))
        });
        let (output, errors) = told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it does not end:\n{script}"));
        Ended { is_success: self.0.wait().unwrap().success(), output, errors }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.0.id())]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

fn text(mut from: impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    text
}
