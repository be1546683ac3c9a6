//! The options of the way to a relay: where it is, what is shown to it, and what is believed of it.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Args;
use moq_native::{
    Client, ClientConfig,
    tls::{Fingerprint, Identity, PemFiles, Trust},
};
use moq_proto::Version;

use crate::{target::Target, token::Token};

/// How to reach a relay.
#[derive(Args, Debug)]
pub(crate) struct Connect {
    /// The relay, and the path there below which PATH is looked for.
    pub(crate) url: Target,
    /// File with the token to show. Without it, the token in the environment variable MOQ_JWT, if there is one.
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    jwt: Option<PathBuf>,
    /// Believe only relays that an authority in this PEM file vouches for, rather than the system's authorities.
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    tls_root: Option<PathBuf>,
    /// Believe only the certificate with this SHA-256, which a relay tells at /certificate.sha256. Can be repeated.
    #[arg(long, value_name = "HEX", help_heading = "Connection", conflicts_with = "tls_root")]
    tls_fingerprint: Vec<Fingerprint>,
    /// Believe any certificate. Whoever sits between can read and change everything.
    #[arg(long, help_heading = "Connection", conflicts_with_all = ["tls_root", "tls_fingerprint"])]
    insecure: bool,
    /// PEM file with the certificate to show to a relay that asks for one, and those between it and its authority.
    #[arg(long, value_name = "FILE", help_heading = "Connection", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the private key of that certificate.
    #[arg(long, value_name = "FILE", help_heading = "Connection", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Speak this version only, such as moq-lite-05. Can be repeated, in order of preference.
    #[arg(long, value_name = "VERSION", help_heading = "Connection")]
    protocol: Vec<Version>,
    /// Give up on a connection that takes longer.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration, help_heading = "Connection")]
    connect_timeout: Duration,
}

/// Whether a command outlives its session.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Try so long for another session when one is lost, and go on where it ended. With 0s, the first one is the last.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration, help_heading = "Connection")]
    pub(crate) reconnect: Duration,
}

impl Connect {
    /// The token to show. `None`: there is none beside what the URL has.
    pub(crate) fn token(&self) -> anyhow::Result<Option<Token>> {
        Ok(Token::find(self.jwt.as_deref())?)
    }

    /// The versions to offer, in order of preference.
    pub(crate) fn versions(&self) -> Vec<Version> {
        if self.protocol.is_empty() { Version::ALL.to_vec() } else { self.protocol.clone() }
    }

    /// What connects, and believes what it was told to.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let mut config = ClientConfig::default();
        config.trust = self.trust()?;
        config.identity = self.identity()?;
        config.connect_timeout = self.connect_timeout;
        // Two versions share a token.
        config.protocols = self.versions().iter().map(|version| version.alpn().to_owned()).collect();
        config.protocols.dedup();
        Ok(Client::new(config)?)
    }

    fn identity(&self) -> anyhow::Result<Option<Identity>> {
        let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let files = PemFiles { certificate: certificate.clone(), key: key.clone() };
        Identity::load(&files).context("--tls-cert and --tls-key").map(Some)
    }

    fn trust(&self) -> anyhow::Result<Trust> {
        if self.insecure {
            return Ok(Trust::Anyone);
        }
        if !self.tls_fingerprint.is_empty() {
            return Ok(Trust::Fingerprints(self.tls_fingerprint.clone()));
        }
        let Some(file) = &self.tls_root else { return Ok(Trust::System) };
        Trust::roots_from_file(file).context("--tls-root")
    }
}
