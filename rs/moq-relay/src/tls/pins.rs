//! Fingerprints as clients ask for them: by the name under which they know the relay.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use moq_native::tls::{Certificates, Fingerprint, ServerTls};

/// Knows what a client has to pin. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pins {
    /// What the QUIC listener shows. `None`: there is none.
    tls: Option<ServerTls>,
    /// A generated certificate that is shown, and the one that will follow it.
    following: Arc<RwLock<Option<(Fingerprint, Fingerprint)>>>,
}

impl Pins {
    pub(super) fn of(tls: ServerTls) -> Self {
        Self { tls: Some(tls), following: Arc::default() }
    }

    pub(super) fn follow(&self, shown: &Certificates, next: Option<&Certificates>) {
        let pair = |next: &Certificates| Some((shown.fingerprint_for(None)?, next.fingerprint_for(None)?));
        *self.following.write().unwrap_or_else(PoisonError::into_inner) = next.and_then(pair);
    }

    /// What whoever dials `host` is shown: a name or an address, with a port or without.
    pub(crate) fn shown(&self, host: Option<&str>) -> Option<Fingerprint> {
        self.tls.as_ref()?.certificates().fingerprint_for(host.and_then(name))
    }

    /// The same, and after it what that will be shown next, once that is known.
    pub(crate) fn all(&self, host: Option<&str>) -> Vec<Fingerprint> {
        let Some(shown) = self.shown(host) else { return Vec::new() };
        let following = *self.following.read().unwrap_or_else(PoisonError::into_inner);
        let next = following.filter(|(old, _)| *old == shown).map(|(_, next)| next);
        [shown].into_iter().chain(next).collect()
    }
}

/// The name that a client asks for in its handshake. `None`: who dials an address asks for none.
fn name(host: &str) -> Option<&str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let is_address = name.starts_with('[') || name.parse::<IpAddr>().is_ok();
    (!is_address && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_own() {
        let [first, second, next] =
            ["first.test", "second.test", "second.test"].map(|name| Certificates::generate(&[name]).unwrap());
        let of = |certificates: &Certificates| certificates.fingerprints()[0];
        let pins = Pins::of(first.with(&second).into());

        for (host, shown) in [
            (None, &first),
            (Some("first.test"), &first),
            (Some("second.test"), &second),
            (Some("second.test:4443"), &second),
            (Some("127.0.0.1:4443"), &first),
            (Some("[::1]:4443"), &first),
            (Some(""), &first),
        ] {
            assert_eq!((pins.shown(host), pins.all(host)), (Some(of(shown)), vec![of(shown)]), "{host:?}");
        }
        pins.follow(&second, Some(&next));
        assert_eq!(pins.all(Some("second.test")), [of(&second), of(&next)]);
        assert_eq!(pins.all(Some("first.test")), [of(&first)]);
        assert_eq!(Pins::default().all(None), []);
    }
}
