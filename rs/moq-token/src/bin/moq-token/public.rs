//! `moq-token public`: the half of a key that relays need.

use anyhow::Context;
use clap::Args;

use crate::{
    Outcome,
    input::{Keys, Place},
    output::Spelling,
};

/// Print the public half of a key
#[derive(Args)]
pub(crate) struct Options {
    /// File for it; `-` for standard output.
    #[arg(long, value_name = "PATH", default_value = "-")]
    out: Place,
    #[command(flatten)]
    spelling: Spelling,
}

impl Options {
    pub(crate) fn run(self, keys: Keys) -> anyhow::Result<Outcome> {
        let key = keys.read_only()?;
        let public = key.public().with_context(|| {
            format!("{} keys are one shared secret and have no public half; relays need the key itself", key.algorithm())
        })?;
        self.spelling.write(&public, &self.out)?;
        Ok(Outcome::Done)
    }
}
