//! Which of several certificates a client is shown: the first that is valid for the name it asked for.
//!
//! Spec: RFC 6066, section 3 (server name); RFC 9525 (matching it).

use std::sync::{Arc, PoisonError, RwLock};

use rustls::{
    client::verify_server_name,
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::ServerName;

use super::Certificates;

/// Shows each client what [`select`] says of the certificates of the moment.
#[derive(Debug)]
pub(super) struct ByName(RwLock<Certificates>);

impl ByName {
    pub(super) fn new(certificates: Certificates) -> Self {
        Self(RwLock::new(certificates))
    }

    pub(super) fn certificates(&self) -> Certificates {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, certificates: Certificates) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certificates;
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        select(&self.certificates().keys, hello.server_name()).cloned()
    }
}

/// The first certificate valid for the name, else the very first: a client may check a fingerprint, not names.
pub(super) fn select<'a>(keys: &'a [Arc<CertifiedKey>], name: Option<&str>) -> Option<&'a Arc<CertifiedKey>> {
    let wanted = name.and_then(|name| ServerName::try_from(name).ok());
    let named = wanted.and_then(|wanted| keys.iter().find(|key| is_valid_for(key, &wanted)));
    named.or(keys.first())
}

fn is_valid_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let certificate = key.cert.first().and_then(|certificate| ParsedCertificate::try_from(certificate).ok());
    certificate.is_some_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_and_the_first_is_for_everybody_else() {
        let of = |name: &str| Certificates::generate(&[name]).unwrap().keys[0].clone();
        let keys = [of("first.test"), of("*.wild.test"), of("third.test")];

        for (name, expected) in [
            (Some("first.test"), 0),
            (Some("third.test"), 2),
            (Some("a.wild.test"), 1),
            (Some("a.b.wild.test"), 0),
            (Some("elsewhere.test"), 0),
            (Some("not a name"), 0),
            (None, 0),
        ] {
            assert!(Arc::ptr_eq(select(&keys, name).unwrap(), &keys[expected]), "{name:?}");
        }
    }
}
