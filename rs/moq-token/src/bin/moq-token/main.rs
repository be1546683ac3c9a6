//! `moq-token`: makes keys, signs tokens, and tells what a token may do and why not.
//!
//! One room a command. Results go to standard output, what is for people to standard error.
//! Exit status: 0 done, or the token is good; 1 it is not, or something failed; 2 the command line makes no sense.

mod explain;
mod generate;
mod input;
mod inspect;
mod output;
mod public;
mod set;
mod sign;
mod summary;
mod verify;
mod when;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::input::{Keys, Place};

const EXAMPLES: &str = "\
Examples:
  A key pair; the relay gets the public half ([auth] key = \"public.jwk\"):
    moq-token generate --algorithm ES256 --out private.jwk --public public.jwk

  One secret for signer and relay alike:
    moq-token --key root.jwk generate

  A token: alice publishes as rooms/meeting-123/alice and sees the whole meeting, for an hour:
    moq-token --key root.jwk sign --root rooms/meeting-123 --publish alice --subscribe \"\" --expires 1h > alice.jwt

  Is it good? The claims come out as JSON:
    moq-token --key root.jwk verify < alice.jwt

  What may it do at this address, and why not?
    moq-token --key root.jwk explain --url \"https://relay.example.com/rooms/meeting-123?jwt=$(cat alice.jwt)\"";

/// Keys and tokens for Media over QUIC relays.
///
/// A key signs tokens. A token says below which paths its holder may publish and subscribe. A relay that has the key, or its
/// public half, lets the holder in.
#[derive(Parser)]
#[command(name = "moq-token", version, after_help = EXAMPLES, max_term_width = 110)]
struct Options {
    /// Key file; `-` for standard input. Before or after the command. `verify`, `explain`, `inspect` and `set` take several,
    /// and key sets.
    #[arg(long, global = true, value_name = "PATH")]
    key: Vec<Place>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Generate(generate::Options),
    Sign(sign::Options),
    Verify(verify::Options),
    Inspect(inspect::Options),
    Public(public::Options),
    Set(set::Options),
    Explain(explain::Options),
}

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// The token in question is not good.
    Refused,
}

/// A command line that parses and makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

impl Usage {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

fn main() -> ExitCode {
    let Options { key, command } = Options::parse();
    let keys = Keys(key);
    let result = match command {
        Command::Generate(options) => options.run(keys),
        Command::Sign(options) => options.run(keys),
        Command::Verify(options) => options.run(keys),
        Command::Inspect(options) => options.run(keys),
        Command::Public(options) => options.run(keys),
        Command::Set(options) => options.run(keys),
        Command::Explain(options) => options.run(keys),
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Refused) => ExitCode::from(1),
        Err(error) if error.is::<Usage>() => {
            eprintln!("error: {error}\n\nFor more information, try '--help'.");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}
