//! moq completion and moq man: the command line, told to shells and to `man`.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// Write a completion script for a shell: `source <(moq completion bash)`.
#[derive(Args, Debug)]
pub(crate) struct Completion {
    shell: Shell,
}

/// Write the manual page, or all of them: `moq man | man -l -`.
#[derive(Args, Debug)]
pub(crate) struct Man {
    /// Write a page for each command into this directory.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Completion {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::Options::command(), "moq", &mut script);
        print(&script)
    }
}

impl Man {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let command = crate::Options::command();
        let Some(dir) = self.dir else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            return print(&page);
        };
        fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        clap_mangen::generate_to(command, &dir).with_context(|| format!("writing manual pages to {}", dir.display()))
    }
}

/// Writes to standard output. A reader that has gone was content with what it had.
fn print(text: &[u8]) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("writing to standard output"),
        _ => Ok(()),
    }
}
