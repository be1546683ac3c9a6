//! TLS: which certificate a server shows and what a client believes.
//!
//! Reading files is in `load`, making certificates in `generate`, choosing among several in `select`, believing in `verify`.
//! Watching files for changes is the program's matter: it loads again and hands the result to the server.

mod fingerprint;
mod generate;
mod load;
mod select;
mod verify;

use std::{sync::Arc, time::SystemTime};

use rustls::{
    CipherSuite,
    crypto::{CryptoProvider, aws_lc_rs},
    sign::CertifiedKey,
};

pub use self::{
    fingerprint::{Fingerprint, FingerprintError},
    generate::{GENERATED_LIFETIME, GenerateError},
    load::{LoadError, PemFiles},
    verify::{Trust, TrustError},
};

/// What a server proves itself with: one or more certificates, the first for whoever names none of the others.
#[derive(Clone, Debug)]
pub struct Certificates {
    keys: Arc<[Arc<CertifiedKey>]>,
    /// When a generated certificate ends. `None`: it came from files, whose owner renews them.
    expires: Option<SystemTime>,
}

impl Certificates {
    /// The SHA-256 of each certificate, as browsers pin it (`serverCertificateHashes`).
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.keys.iter().filter_map(|key| key.cert.first()).map(|certificate| Fingerprint::of(certificate)).collect()
    }

    /// When a generated certificate ends. `None`: it came from files.
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    /// A TLS server that shows these certificates and agrees on the first of its own `protocols` that the client has.
    ///
    /// # Errors
    /// When the system gives no randomness for session tickets.
    pub fn server_config(&self, protocols: &[impl AsRef<str>]) -> Result<rustls::ServerConfig, rustls::Error> {
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(select::ByName(self.keys.clone())));
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_ref().as_bytes().to_vec()).collect();
        config.ignore_client_order = true;
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        Ok(config)
    }
}

/// The cryptography of all TLS here, AES-128 before all else: it costs a relay a quarter less than AES-256.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| match suite.suite() {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => 0,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => 1,
        _ => 2,
    });
    Arc::new(provider)
}
