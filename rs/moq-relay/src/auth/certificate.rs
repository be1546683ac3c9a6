//! Rights by certificate: what a client may do that has shown one, and until when.
//!
//! That an authority vouches for a certificate says who its holder is and gives it nothing: only a mapping does. Whoever has none
//! is treated as if it had shown no certificate. Who is let in holds a lease, which ends with the certificate, and when the
//! authorities of the listener no longer vouch for it.
//! Spec: RFC 5280, section 4.2.1.6 (names).

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use moq_native::tls::ClientCertificate;
use moq_proto::Path;
use moq_token::Grant;
use tokio::sync::oneshot;

use super::{Admission, Lease, Refused, principal, refused::Ended};
use crate::{config::MtlsConfig, options::Whom};

/// What certificates allow, and who is inside by one. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Certificates {
    mappings: Arc<[MtlsConfig]>,
    held: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    entries: HashMap<u64, (ClientCertificate, oneshot::Sender<Ended>)>,
    next: u64,
}

/// The right to go on, given back by dropping it.
pub(super) struct Held {
    certificates: Certificates,
    id: u64,
    ended: oneshot::Receiver<Ended>,
}

impl Certificates {
    pub(super) fn new(mappings: Vec<MtlsConfig>) -> Self {
        Self { mappings: mappings.into(), held: Arc::default() }
    }

    /// What the first mapping that means `certificate` allows at `path`. `None`: no mapping means it, or it is not good at `now`.
    pub(super) fn admit(
        &self,
        certificate: Option<&ClientCertificate>,
        path: &Path,
        now: SystemTime,
    ) -> Option<Result<Admission, Refused>> {
        let certificate = certificate.filter(|certificate| certificate.is_good(now))?;
        let mapping = self.mappings.iter().find(|mapping| mapping.whom.means(certificate))?;
        let MtlsConfig { whom, root, publish, subscribe, is_relay } = mapping.clone();
        let grant = Grant { root, publish, subscribe, expires: Some(certificate.not_after()) };
        let Some(grant) = grant.at(path) else { return Some(Err(Refused::Elsewhere)) };
        let principal = (!is_relay).then(|| principal::of_certificate(&whom));
        Some(Ok(Admission { grant, principal, lease: Lease::of_certificate(self.hold(certificate)) }))
    }

    /// Right to go on for as long as `certificate` is good.
    fn hold(&self, certificate: &ClientCertificate) -> Held {
        let (ends, ended) = oneshot::channel();
        let mut table = self.table();
        let id = table.next;
        table.next += 1;
        table.entries.insert(id, (certificate.clone(), ends));
        drop(table);
        Held { certificates: self.clone(), id, ended }
    }

    /// Ends the leases of certificates that are not good any more. Returns why each of them ended.
    pub(super) fn expire(&self, now: SystemTime) -> Vec<Ended> {
        let mut table = self.table();
        let over: Vec<_> = table.entries.extract_if(|_, (certificate, _)| !certificate.is_good(now)).collect();
        drop(table);
        // Outside the lock, since whoever is woken may give the lease back at once.
        let tell = |(_, (certificate, ends)): (u64, (ClientCertificate, oneshot::Sender<Ended>))| {
            let ended = if now < certificate.not_after() { Ended::Untrusted } else { Ended::Certificate };
            // Whoever does not listen any more is about to give it back.
            let _ = ends.send(ended.clone());
            ended
        };
        over.into_iter().map(tell).collect()
    }

    /// A panic elsewhere breaks nothing: each change of the table is one step.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Whom {
    fn means(&self, certificate: &ClientCertificate) -> bool {
        match self {
            Self::Fingerprint(fingerprint) => certificate.fingerprint() == *fingerprint,
            Self::Name(name) => names(certificate.names(), name),
        }
    }
}

/// Whether `wanted` is among the names of a certificate, where hosts are in lower case.
fn names(names: &[String], wanted: &str) -> bool {
    let host = wanted.to_ascii_lowercase();
    names.iter().any(|name| name == wanted || *name == host)
}

impl Held {
    /// Returns once it has ended, with the reason.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing until it has returned; after that it is not to be called again.
    pub(super) async fn ended(&mut self) -> Ended {
        match (&mut self.ended).await {
            Ok(ended) => ended,
            // The table outlives its leases.
            Err(_) => pending().await,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.certificates.table().entries.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_meant_whole_and_hosts_in_any_case() {
        let held = ["cam-1.example.com", "spiffe://example.com/Cam", "Cam@example.com"].map(String::from);
        for wanted in ["cam-1.example.com", "CAM-1.Example.com", "spiffe://example.com/Cam", "Cam@example.com"] {
            assert!(names(&held, wanted), "{wanted}");
        }
        for wanted in
            ["", "cam", "example.com", "*.example.com", "cam-1.example.com.", "spiffe://example.com/cam", "cam@example.com"]
        {
            assert!(!names(&held, wanted), "{wanted}");
        }
    }
}
