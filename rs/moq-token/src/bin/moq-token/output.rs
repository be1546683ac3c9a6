//! Where results go.

use std::io::{IsTerminal, Write, stdout};

use anyhow::Context;
use clap::Args;
use moq_token::{
    Key,
    file::{self, Access, Overwrite},
};
use zeroize::Zeroizing;

use crate::input::Place;

/// How keys are written.
#[derive(Args)]
pub(crate) struct Spelling {
    /// Write plain JSON. Otherwise it is wrapped in base64url, which the tools of every age read.
    #[arg(long, conflicts_with = "base64")]
    json: bool,
    /// Has no effect: base64url is the default.
    #[arg(long, hide = true)]
    base64: bool,
    /// Replace files that exist.
    #[arg(long)]
    force: bool,
}

impl Spelling {
    fn text(&self, key: &Key) -> Zeroizing<String> {
        if self.json { key.to_json() } else { key.to_base64url() }
    }

    fn overwrite(&self) -> Overwrite {
        if self.force { Overwrite::Allowed } else { Overwrite::Never }
    }

    /// Writes `key` to `place`: to a file only its owner reads if the key is private.
    pub(crate) fn write(&self, key: &Key, place: &Place) -> anyhow::Result<()> {
        write(&self.text(key), place, key.is_private(), self.overwrite())
    }
}

/// Writes `text` and, to standard output, a line's end.
pub(crate) fn write(text: &str, place: &Place, private: bool, overwrite: Overwrite) -> anyhow::Result<()> {
    let access = if private { Access::Owner } else { Access::Everybody };
    match place {
        Place::Standard => line(text),
        Place::File(path) => file::write(path, text, access, overwrite).map_err(|error| match error {
            file::FileError::Exists { .. } => anyhow::Error::from(error).context("not overwriting it without --force"),
            error => error.into(),
        }),
    }
}

/// Writes a line to standard output.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    writeln!(stdout().lock(), "{text}").context("writing to standard output")
}

/// Whether somebody looks at standard output, rather than keeping it.
pub(crate) fn is_watched() -> bool {
    stdout().is_terminal()
}
