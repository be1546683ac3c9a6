//! TLS: which certificate a server shows, which clients' it believes, and what a client shows and believes.
//!
//! Reading files is in `load`, making certificates in `generate`, choosing among several in `select`. A server's part is
//! [`ServerTls`], which can be changed while it serves; a client's is [`Trust`] and [`Identity`]. When to load again is the
//! program's matter.

mod client;
mod dates;
mod fingerprint;
mod generate;
mod load;
mod select;
mod server;
mod verify;

use std::{sync::Arc, time::SystemTime};

use rustls::{
    CipherSuite,
    crypto::{CryptoProvider, aws_lc_rs},
    sign::CertifiedKey,
};

pub use self::{
    client::{ClientCertificate, ClientCertificateError, ClientRoots, ClientRootsError, Identity},
    fingerprint::{Fingerprint, FingerprintError},
    generate::{GENERATED_LIFETIME, GenerateError},
    load::{LoadError, PemFiles},
    server::ServerTls,
    verify::{Trust, TrustError},
};

/// What a server proves itself with: one or more certificates, the first for whoever names none of the others.
#[derive(Clone, Debug)]
pub struct Certificates {
    keys: Arc<[Arc<CertifiedKey>]>,
    expires: SystemTime,
}

impl Certificates {
    /// These certificates, and after them those of `more`.
    #[must_use]
    pub fn with(&self, more: &Self) -> Self {
        let keys = self.keys.iter().chain(&*more.keys).cloned().collect();
        Self { keys, expires: self.expires.min(more.expires) }
    }

    /// The SHA-256 of each certificate, as browsers pin it (`serverCertificateHashes`).
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.keys.iter().filter_map(|key| key.cert.first()).map(|certificate| Fingerprint::of(certificate)).collect()
    }

    /// The SHA-256 of the certificate that a client is shown which asks for this host name. `None`: it asks for none, as
    /// clients do that dial an address.
    pub fn fingerprint_for(&self, name: Option<&str>) -> Option<Fingerprint> {
        select::select(&self.keys, name)?.cert.first().map(|certificate| Fingerprint::of(certificate))
    }

    /// When the first of them ends.
    pub fn expires(&self) -> SystemTime {
        self.expires
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
