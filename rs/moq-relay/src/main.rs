//! moq-relay: a relay for live media. One publisher in, any number of viewers out.

mod address;
mod auth;
mod cache;
mod config;
mod connection;
mod doors;
mod drain;
mod endpoint;
#[cfg(test)]
mod entrances;
mod listener;
mod log;
mod metrics;
mod options;
mod quiet;
mod relay;
mod secret;
mod shard;
mod shutdown;
mod tls;
mod watch;
mod web;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use crate::{config::Config, options::CommandLine, relay::Relay};

/// A wrong command line ends with 2, anything else that goes wrong with 1, a second signal with 128 and its number.
fn main() -> ExitCode {
    match run(CommandLine::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("Error: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes, each once: some causes are told by the error above them.
fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if !told.ends_with(&cause) {
            told = if told.is_empty() { cause } else { format!("{told}: {cause}") };
        }
    }
    told
}

fn run(line: CommandLine) -> anyhow::Result<ExitCode> {
    let is_check = line.check;
    let config = Config::try_from(line.options()?)?;
    if is_check {
        relay::check(&config)?;
        println!("the configuration is good");
        return Ok(ExitCode::SUCCESS);
    }
    log::start(config.log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
    runtime.block_on(async { Relay::build(config).await?.run().await })
}
