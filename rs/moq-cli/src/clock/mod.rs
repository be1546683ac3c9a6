//! moq clock: the time as a track, the smallest live broadcast there is.

mod face;
mod publish;
mod subscribe;

use clap::{Args, Subcommand};

use crate::signal::Signals;

/// Name of the track that clocks tick on.
const TRACK: &str = "seconds";

/// Publish the time, or watch somebody else's.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Publish(publish::Options),
    Subscribe(subscribe::Options),
}

impl Options {
    pub(crate) async fn run(self, signals: Signals) -> anyhow::Result<()> {
        match self.command {
            Command::Publish(options) => options.run(signals).await,
            Command::Subscribe(options) => options.run(signals).await,
        }
    }
}
