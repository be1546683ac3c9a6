//! What happened to the relay's certificates. Names are those under which an operator finds them.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

/// Counters and gauges of the certificates.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    taken: AtomicU64,
    refused: AtomicU64,
    replaced: AtomicU64,
    bad: AtomicU64,
    expires: AtomicU64,
}

impl Counts {
    /// Files were read: so many of them, or pairs of them, are not as they should be; the others are taken.
    pub(super) fn read(&self, bad: usize) {
        let bad = bad as u64;
        self.bad.store(bad, Relaxed);
        self.refused.fetch_add(bad, Relaxed);
        if bad == 0 {
            self.taken.fetch_add(1, Relaxed);
        }
    }

    /// A generated certificate made way for the next.
    pub(super) fn replaced(&self) {
        self.replaced.fetch_add(1, Relaxed);
    }

    /// The first certificate to end does so at `expires`.
    pub(super) fn expire_at(&self, expires: SystemTime) {
        let seconds = expires.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        self.expires.store(seconds, Relaxed);
    }

    /// Every number with its name, in a fixed order. Those that are no totals go down as well.
    pub(crate) fn all(&self) -> [(&'static str, u64); 5] {
        [
            ("moq_relay_certificates_taken_total", self.taken.load(Relaxed)),
            ("moq_relay_certificates_refused_total", self.refused.load(Relaxed)),
            ("moq_relay_certificates_replaced_total", self.replaced.load(Relaxed)),
            ("moq_relay_certificates_bad", self.bad.load(Relaxed)),
            ("moq_relay_certificate_expires_seconds", self.expires.load(Relaxed)),
        ]
    }
}
