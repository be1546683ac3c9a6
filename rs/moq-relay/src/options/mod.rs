//! What the operator wrote: one room per table of relay.toml, and the command line over them.
//!
//! Everything here is optional and nothing has a default; `config` settles that. A value is looked for as a flag, then in
//! the environment, then in the file. The id of each argument is its key in relay.toml, so the argument list is the list of
//! keys (`keys`), for errors and for the documentation.

mod auth;
mod cache;
mod file;
pub(crate) mod keys;
mod log;
mod mtls;
mod prefix;
mod publish;
mod quic;
mod server;
mod tls;
mod value;
mod web;

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

pub(crate) use self::{
    auth::{AuthOptions, Contract, Lifetime, PublicOptions, Rate},
    cache::{CacheOptions, Capacity},
    file::FileError,
    log::{Format, Level, LogOptions},
    mtls::{Mappings, MtlsOptions, Whom},
    prefix::Prefix,
    publish::{Conflict, PublishOptions},
    quic::QuicOptions,
    server::{Address, ServerOptions},
    tls::TlsOptions,
    web::{HttpsOptions, WebOptions},
};

/// A relay for live media: one publisher in, any number of viewers out, well under a second behind.
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "moq-relay", version, after_long_help = EXAMPLES, max_term_width = 112)]
pub(crate) struct CommandLine {
    /// Configuration file (TOML); flags and environment variables go over it.
    #[arg(value_name = "FILE", conflicts_with_all = ["config", "file-flag"])]
    file: Option<PathBuf>,
    /// The same, as a flag.
    #[arg(long, value_name = "FILE", conflicts_with = "file-flag")]
    config: Option<PathBuf>,
    /// The same, as a flag.
    #[arg(id = "file-flag", long = "file", value_name = "FILE")]
    file_flag: Option<PathBuf>,
    /// Reads and checks the configuration and the files it names, says what is wrong with them, and exits.
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    options: Options,
}

const EXAMPLES: &str = "\
Examples:
  moq-relay dev/relay.toml                  run with a configuration file
  moq-relay --check /etc/moq/relay.toml     only check it
  moq-relay --listen '[::]:4443' --web-http-listen '[::]:4443' --tls-generate localhost --auth-public ''
    no file at all: a relay to try things with, open to everybody

Each flag below a [table] is a key of relay.toml: --web-http-listen is `listen` in [web.http].
A flag goes over the environment, the environment over the file, the file over the default.";

impl CommandLine {
    /// The file named in any of the three ways.
    pub(crate) fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref().or(self.config.as_ref()).or(self.file_flag.as_ref())
    }

    /// All that the operator wrote: command line and environment over the file.
    ///
    /// # Errors
    /// When the file cannot be read, is no TOML, or has keys or values that mean nothing.
    pub(crate) fn options(self) -> Result<Options, FileError> {
        let file = match self.file() {
            Some(path) => file::read(path)?,
            None => Options::default(),
        };
        Ok(self.options.over(file))
    }
}

/// relay.toml as the operator wrote it.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// How long clients that are asked to leave are served, after SIGTERM; `0s` asks nobody. After SIGINT, 2s at most.
    /// Default: `10s`.
    #[arg(
        id = "drain_timeout",
        long = "drain-timeout",
        env = "MOQ_DRAIN_TIMEOUT",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    #[serde(deserialize_with = "value::duration")]
    pub drain_timeout: Option<Duration>,
    #[command(flatten)]
    pub log: LogOptions,
    #[command(flatten)]
    pub server: ServerOptions,
    #[command(flatten)]
    pub web: WebOptions,
    #[command(flatten)]
    pub auth: AuthOptions,
    #[command(flatten)]
    pub publish: PublishOptions,
    #[command(flatten)]
    pub cache: CacheOptions,
}

impl Options {
    /// Lays `self` over `file`: whatever is set here wins.
    fn over(self, file: Self) -> Self {
        Self {
            drain_timeout: self.drain_timeout.or(file.drain_timeout),
            log: self.log.over(file.log),
            server: self.server.over(file.server),
            web: self.web.over(file.web),
            auth: self.auth.over(file.auth),
            publish: self.publish.over(file.publish),
            cache: self.cache.over(file.cache),
        }
    }
}
