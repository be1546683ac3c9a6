//! An authority for certificates, of one test's own.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use moq_native::tls::{Fingerprint, Trust};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) fingerprint: Fingerprint,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of tests");
        let root = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), root }
    }

    /// A certificate for these names, good from an hour ago for an hour.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_until(names, SystemTime::now() + Duration::from_secs(60 * 60))
    }

    /// The same with this end.
    pub(crate) fn issue_until(&self, names: &[&str], end: SystemTime) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = (end - Duration::from_secs(2 * 60 * 60)).into();
        params.not_after = end.into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { certificate: certificate.pem(), key: key.serialize_pem(), fingerprint: Fingerprint::of(certificate.der()) }
    }

    /// Writes its own certificate.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("root.pem");
        fs::write(&path, &self.root).unwrap();
        path
    }

    /// What a client believes that believes this authority.
    pub(crate) fn trust(&self, folder: &Path) -> Trust {
        Trust::roots_from_file(&self.write(folder)).unwrap()
    }
}

impl Issued {
    pub(crate) fn write(&self, certificate: &Path, key: &Path) {
        fs::write(certificate, &self.certificate).unwrap();
        fs::write(key, &self.key).unwrap();
    }
}
