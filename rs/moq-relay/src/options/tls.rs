//! `[server.tls]`: how the relay proves who it is.

use std::path::PathBuf;

use serde::Deserialize;

use super::value;

/// `[server.tls]` as the operator wrote it.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[command(next_help_heading = "[server.tls]")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TlsOptions {
    /// PEM files with a certificate chain each; a client is answered with the one that fits the name it asked for.
    #[arg(id = "server.tls.cert", long = "tls-cert", env = "MOQ_SERVER_TLS_CERT", value_name = "FILE", value_delimiter = ',')]
    #[serde(deserialize_with = "value::list")]
    pub cert: Option<Vec<PathBuf>>,
    /// PEM files with the private keys, in the order of the certificates.
    #[arg(id = "server.tls.key", long = "tls-key", env = "MOQ_SERVER_TLS_KEY", value_name = "FILE", value_delimiter = ',')]
    #[serde(deserialize_with = "value::list")]
    pub key: Option<Vec<PathBuf>>,
    /// Host names to generate a certificate for, renewed every 13 days; browsers pin it with `/certificate.sha256`.
    #[arg(
        id = "server.tls.generate",
        long = "tls-generate",
        env = "MOQ_SERVER_TLS_GENERATE",
        value_name = "NAME",
        value_delimiter = ','
    )]
    #[serde(deserialize_with = "value::list")]
    pub generate: Option<Vec<String>>,
    /// PEM files of authorities that vouch for clients, which may then show a certificate; `auth.mtls` says what it allows.
    #[arg(
        id = "server.tls.root",
        long = "tls-root",
        visible_alias = "server-tls-root",
        env = "MOQ_SERVER_TLS_ROOT",
        value_name = "FILE",
        value_delimiter = ','
    )]
    #[serde(deserialize_with = "value::list")]
    pub root: Option<Vec<PathBuf>>,
}

impl TlsOptions {
    /// Lays `self` over `file`: whatever is set here wins. A certificate and its key come from the same place.
    pub(crate) fn over(self, file: Self) -> Self {
        let generate = self.generate.or(file.generate);
        let (cert, key) = match (self.cert, self.key) {
            (None, None) => (file.cert, file.key),
            here => here,
        };
        Self { cert, key, generate, root: self.root.or(file.root) }
    }
}
