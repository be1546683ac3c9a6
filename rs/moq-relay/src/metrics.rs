//! What the relay counts about itself. Names are those under which an operator finds them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use crate::quiet::Quiet;

/// Counters of the whole relay; clones share them. What sessions carry is counted by `moq_lite::stats`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    counters: Arc<Counters>,
}

/// All numbers only ever grow.
#[derive(Debug, Default)]
struct Counters {
    sessions_opened: AtomicU64,
    sessions_closed: AtomicU64,
    sessions_refused: AtomicU64,
    sessions_panicked: AtomicU64,
    accept_failures: AtomicU64,
    tls_late: AtomicU64,
    tls_failed: AtomicU64,
    http_stalled: AtomicU64,
    drain_forced: AtomicU64,
    refusals_told: Quiet,
}

impl Metrics {
    /// An authorized session begins; it ends when the guard is dropped.
    pub(crate) fn session(&self) -> OpenSession {
        self.counters.sessions_opened.fetch_add(1, Relaxed);
        OpenSession(self.clone())
    }

    /// Sessions that have begun and not ended.
    pub(crate) fn open_sessions(&self) -> u64 {
        let closed = self.counters.sessions_closed.load(Relaxed);
        self.counters.sessions_opened.load(Relaxed).saturating_sub(closed)
    }

    /// A session was closed that had been asked to leave, and had not.
    pub(crate) fn drain_overdue(&self) {
        self.counters.drain_forced.fetch_add(1, Relaxed);
    }

    /// How many of those there were.
    pub(crate) fn drain_forced(&self) -> u64 {
        self.counters.drain_forced.load(Relaxed)
    }

    /// Somebody was turned away, or never got as far as a session.
    pub(crate) fn refused(&self) {
        self.counters.sessions_refused.fetch_add(1, Relaxed);
    }

    /// Asks for a line in the log about one of these. `None`: there were many of late. Otherwise how many went without.
    pub(crate) fn may_tell_of_refusal(&self) -> Option<u64> {
        self.counters.refusals_told.line(Instant::now())
    }

    /// A session ended by a fault of ours.
    pub(crate) fn panicked(&self) {
        self.counters.sessions_panicked.fetch_add(1, Relaxed);
    }

    /// A socket could not be accepted.
    pub(crate) fn accept_failed(&self) {
        self.counters.accept_failures.fetch_add(1, Relaxed);
    }

    /// No TLS handshake over TCP came about in time.
    pub(crate) fn tls_late(&self) {
        self.counters.tls_late.fetch_add(1, Relaxed);
    }

    /// A TLS handshake over TCP failed.
    pub(crate) fn tls_failed(&self) {
        self.counters.tls_failed.fetch_add(1, Relaxed);
    }

    /// The reader of an HTTP answer took nothing for too long.
    pub(crate) fn http_stalled(&self) {
        self.counters.http_stalled.fetch_add(1, Relaxed);
    }

    /// Every counter with its name, in a fixed order.
    pub(crate) fn read(&self) -> [(&'static str, u64); 9] {
        let counters = &*self.counters;
        [
            ("moq_relay_sessions_opened_total", counters.sessions_opened.load(Relaxed)),
            ("moq_relay_sessions_closed_total", counters.sessions_closed.load(Relaxed)),
            ("moq_relay_sessions_refused_total", counters.sessions_refused.load(Relaxed)),
            ("moq_relay_sessions_panicked_total", counters.sessions_panicked.load(Relaxed)),
            ("moq_relay_accept_failures_total", counters.accept_failures.load(Relaxed)),
            ("moq_relay_tls_late_total", counters.tls_late.load(Relaxed)),
            ("moq_relay_tls_failed_total", counters.tls_failed.load(Relaxed)),
            ("moq_relay_http_stalled_total", counters.http_stalled.load(Relaxed)),
            ("moq_relay_drain_forced_total", counters.drain_forced.load(Relaxed)),
        ]
    }
}

/// Counts a session as closed once dropped.
#[derive(Debug)]
pub(crate) struct OpenSession(Metrics);

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.0.counters.sessions_closed.fetch_add(1, Relaxed);
    }
}
