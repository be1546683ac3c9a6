//! `moq-token set`: several keys in one file.

use anyhow::bail;
use clap::Args;
use moq_token::file::Overwrite;

use crate::{
    Outcome,
    input::{Keys, Place},
    output, summary,
};

/// Put keys together into a key set (JWKS), for relays to verify with
///
/// Takes the public half of each. While a key is being replaced, old and new are in the set together.
#[derive(Args)]
pub(crate) struct Options {
    /// Files of keys and key sets.
    #[arg(value_name = "KEY")]
    keys: Vec<Place>,
    /// Keep private halves and shared secrets in it.
    #[arg(long)]
    private: bool,
    /// File for the set; `-` for standard output.
    #[arg(long, value_name = "PATH", default_value = "-")]
    out: Place,
    /// Replace a file that exists.
    #[arg(long)]
    force: bool,
}

impl Options {
    pub(crate) fn run(self, mut keys: Keys) -> anyhow::Result<Outcome> {
        keys.0.extend(self.keys);
        let mut set = keys.read_all()?;
        if !self.private {
            set = set.verifying();
            if let Some(secret) = set.iter().find(|key| key.is_private()) {
                bail!("{} is a shared secret and has no public half; --private puts it in", summary::key(secret));
            }
        }
        let overwrite = if self.force { Overwrite::Allowed } else { Overwrite::Never };
        output::write(&set.to_json(), &self.out, self.private, overwrite)?;
        eprintln!("{} keys", set.len());
        Ok(Outcome::Done)
    }
}
