//! `[log]`: how much is logged, and how it looks.

use clap::ValueEnum;
use serde::Deserialize;

/// `[log]` as the operator wrote it.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[command(next_help_heading = "[log]")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogOptions {
    /// Least important message that is still logged; `RUST_LOG` overrides it, per module if need be. Default: `info`.
    #[arg(id = "log.level", long = "log-level", env = "MOQ_LOG_LEVEL", value_name = "LEVEL")]
    pub level: Option<Level>,
    /// Lines for people or one JSON object a line, on standard error. Default: `text`.
    #[arg(id = "log.format", long = "log-format", env = "MOQ_LOG_FORMAT", value_name = "FORMAT")]
    pub format: Option<Format>,
}

impl LogOptions {
    /// Lays `self` over `file`: whatever is set here wins.
    pub(crate) fn over(self, file: Self) -> Self {
        Self { level: self.level.or(file.level), format: self.format.or(file.format) }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

impl Level {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}
