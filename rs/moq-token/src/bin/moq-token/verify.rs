//! `moq-token verify`: whether a token is good, by the very code a relay uses.

use std::time::SystemTime;

use clap::Args;
use moq_token::{Policy, Revoked, Verifier};

use crate::{
    Outcome,
    input::{self, Keys, Place},
    output, summary,
};

/// Tell whether a token is good, and print its claims as JSON
///
/// Exit status 0: it is. 1: it is not, and standard error says why.
#[derive(Args)]
pub(crate) struct Options {
    /// File of the token; `-` for standard input.
    #[arg(long = "in", value_name = "PATH", default_value = "-")]
    input: Place,
}

impl Options {
    pub(crate) fn run(self, keys: Keys) -> anyhow::Result<Outcome> {
        let now = SystemTime::now();
        keys.apart_from(&self.input)?;
        let set = keys.read_all()?;
        let token = input::token(&self.input)?;
        let verifier = Verifier::new(set, Policy::default(), Revoked::default());
        let verified = match verifier.verify(&token, now) {
            Ok(verified) => verified,
            Err(refused) => {
                eprintln!("refused ({}): {refused}", refused.code());
                return Ok(Outcome::Refused);
            }
        };
        output::line(&verified.claims().to_json())?;
        eprintln!("good, signed by {}", summary::key(verified.key()));
        for line in summary::claims(verified.claims(), now) {
            eprintln!("  {line}");
        }
        Ok(Outcome::Done)
    }
}
