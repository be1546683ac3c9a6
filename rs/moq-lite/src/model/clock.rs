//! A track's clock: how long ago it began, by the times it was handed.
//!
//! Nothing here reads the time; whoever brings bytes or tends the cache brings it along.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Starts with the first time it is told, and never goes back.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    began: OnceLock<Instant>,
    /// Microseconds from the beginning to the latest time told.
    latest: AtomicU64,
}

impl Clock {
    /// Takes note of `now` and returns how long ago the track began.
    pub(crate) fn tell(&self, now: Instant) -> Duration {
        let began = *self.began.get_or_init(|| now);
        let elapsed = now.saturating_duration_since(began);
        self.latest.fetch_max(elapsed.as_micros() as u64, Ordering::Relaxed);
        elapsed
    }

    /// How long ago the track began, as far as is known.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_micros(self.latest.load(Ordering::Relaxed))
    }
}
