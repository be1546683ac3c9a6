//! Which of several certificates a client is shown: the first that is valid for the name it asked for.
//!
//! Spec: RFC 6066, section 3 (server name); RFC 9525 (matching it).

use std::sync::Arc;

use rustls::{
    client::verify_server_name,
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::ServerName;

/// Shows the first certificate valid for the client's name, else the very first: a client may check a fingerprint, not names.
#[derive(Debug)]
pub(super) struct ByName(pub(super) Arc<[Arc<CertifiedKey>]>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.select(hello.server_name()).cloned()
    }
}

impl ByName {
    fn select(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let wanted = name.and_then(|name| ServerName::try_from(name).ok());
        let named = wanted.and_then(|wanted| self.0.iter().find(|key| is_valid_for(key, &wanted)));
        named.or(self.0.first())
    }
}

fn is_valid_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let certificate = key.cert.first().and_then(|certificate| ParsedCertificate::try_from(certificate).ok());
    certificate.is_some_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Certificates;

    #[test]
    fn the_name_decides_and_the_first_is_for_everybody_else() {
        let of = |name: &str| Certificates::generate(&[name]).unwrap().keys[0].clone();
        let keys = [of("first.test"), of("*.wild.test"), of("third.test")];
        let by_name = ByName(Arc::new(keys.clone()));

        for (name, expected) in [
            (Some("first.test"), 0),
            (Some("third.test"), 2),
            (Some("a.wild.test"), 1),
            (Some("a.b.wild.test"), 0),
            (Some("elsewhere.test"), 0),
            (Some("not a name"), 0),
            (None, 0),
        ] {
            assert!(Arc::ptr_eq(by_name.select(name).unwrap(), &keys[expected]), "{name:?}");
        }
    }
}
