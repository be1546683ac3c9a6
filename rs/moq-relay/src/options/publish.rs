//! `[publish]`: what happens where several publishers want the same.

use clap::ValueEnum;
use serde::Deserialize;

/// `[publish]` as the operator wrote it.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[command(next_help_heading = "[publish]")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PublishOptions {
    /// What happens to a path that is on air when somebody else publishes it. Default: `same-principal`.
    #[arg(id = "publish.conflict", long = "publish-conflict", env = "MOQ_PUBLISH_CONFLICT", value_name = "RULE")]
    pub conflict: Option<Conflict>,
}

impl PublishOptions {
    /// Lays `self` over `file`: whatever is set here wins.
    pub(crate) fn over(self, file: Self) -> Self {
        Self { conflict: self.conflict.or(file.conflict) }
    }
}

/// Who gets a path that is on air already. Relays of the cluster are no rivals of anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Conflict {
    /// The newest of the publishers that come with the same key and subject; others wait until none of these is left.
    #[default]
    SamePrincipal,
    /// The newest, whoever it is.
    Replace,
    /// As `same-principal`, but others are refused.
    Reject,
}
