//! Logging: to standard error, for people or as JSON, as much as asked for.

use std::{
    io::{IsTerminal as _, stderr},
    panic,
};

use tracing::error;
use tracing_subscriber::{EnvFilter, filter::Directive};

use crate::{config::LogConfig, options::Format};

/// Libraries that say at `debug` what only their authors want to know. `RUST_LOG` may raise them again.
const QUIET: [&str; 7] =
    ["h2=warn", "hyper=info", "hyper_util=info", "quinn=info", "rustls=info", "tungstenite=info", "tokio=info"];

/// Libraries that write out what peers send, with the tokens in it. Nothing raises them.
const SECRETIVE: [&str; 2] = ["web_transport_quinn=info", "web_transport_quinn::connect=info"];

/// Starts logging for the whole process, panics included. `RUST_LOG`, where set, goes over `config`.
pub(crate) fn start(config: LogConfig) {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(wanted) if !wanted.is_empty() => EnvFilter::new(wanted),
        _ => {
            let quiet = QUIET.iter().filter_map(|directive| directive.parse::<Directive>().ok());
            quiet.fold(EnvFilter::new(config.level.as_str()), EnvFilter::add_directive)
        }
    };
    let secretive = SECRETIVE.iter().filter_map(|directive| directive.parse::<Directive>().ok());
    let filter = secretive.fold(filter, EnvFilter::add_directive);
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    match config.format {
        Format::Text => subscriber.init(),
        Format::Json => subscriber.json().init(),
    }
    panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        error!(thread = thread.name().unwrap_or("unnamed"), "{panic}");
    }));
}
