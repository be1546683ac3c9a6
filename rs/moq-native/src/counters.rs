//! Counters of a server: who arrived, and why some were not let in. Rendering them is the program's matter.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a newcomer became no [`Incoming`](crate::Incoming).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too many handshakes were under way.
    Busy,
    /// The server lets nobody begin any more.
    Leaving,
    /// The handshake took longer than it may.
    Late,
    /// QUIC or TLS failed: nothing in common, a peer that left, a packet that is none.
    Quic,
    /// HTTP/3 failed: no WebTransport, or a request that is none.
    Http3,
    /// qmux failed over TCP or a Unix socket: no record, or no session protocol in common.
    Qmux,
}

/// What a server counted since it began. All counts only grow.
#[derive(Debug, Default)]
pub struct Counters {
    arrived: AtomicU64,
    retried: AtomicU64,
    admitted: AtomicU64,
    busy: AtomicU64,
    leaving: AtomicU64,
    late: AtomicU64,
    quic: AtomicU64,
    http3: AtomicU64,
    qmux: AtomicU64,
}

impl Counters {
    /// Every count with its name, which says what happened to the newcomer.
    pub fn read(&self) -> [(&'static str, u64); 9] {
        [
            ("arrived", &self.arrived),
            ("retried", &self.retried),
            ("admitted", &self.admitted),
            ("refused_busy", &self.busy),
            ("refused_leaving", &self.leaving),
            ("refused_late", &self.late),
            ("refused_quic", &self.quic),
            ("refused_http3", &self.http3),
            ("refused_qmux", &self.qmux),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    pub(crate) fn arrived(&self) {
        self.arrived.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn admitted(&self) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, why: Refusal) {
        let count = match why {
            Refusal::Busy => &self.busy,
            Refusal::Leaving => &self.leaving,
            Refusal::Late => &self.late,
            Refusal::Quic => &self.quic,
            Refusal::Http3 => &self.http3,
            Refusal::Qmux => &self.qmux,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
