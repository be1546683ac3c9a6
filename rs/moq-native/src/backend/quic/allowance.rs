//! What a connection's peer may ask of us at a time: bidirectional streams, more as it uses them; and bytes that wait for its
//! acknowledgement, about twice what the path holds.
//!
//! Decides only; quinn is told by whoever asks. Time is passed in.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Bidirectional streams that a peer may have open at first: one a subscription, and a few for all else.
pub(crate) const BIDI_STREAMS: u32 = 64;

/// Most of them: 1,024 subscriptions and 64 for all else.
const BIDI_STREAMS_MAX: u32 = 1088;

/// Bytes that wait for acknowledgement before anything is known of the path.
pub(crate) const SEND_WINDOW: u64 = 256 * 1024;

/// Least and most of them. Whatever does not fit waits in the cache, where all viewers share it.
const SEND_WINDOW_RANGE: (u64, u64) = (64 * 1024, 4 * 1024 * 1024);

/// How often the window follows the path, while somebody waits for room.
const INTERVAL: Duration = Duration::from_millis(100);

/// The peer's bidirectional streams. It gets twice as many whenever it uses half.
#[derive(Debug)]
pub(super) struct BidiStreams {
    open: AtomicU32,
    allowed: AtomicU32,
}

impl Default for BidiStreams {
    fn default() -> Self {
        Self { open: AtomicU32::new(0), allowed: AtomicU32::new(BIDI_STREAMS) }
    }
}

impl BidiStreams {
    /// Counts a stream. Returns how many to allow from now on, when that changes.
    pub(super) fn opened(&self) -> Option<u32> {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        let allowed = self.allowed.load(Ordering::Relaxed);
        let more = allowed.saturating_mul(2).min(BIDI_STREAMS_MAX);
        if open < allowed / 2 || more == allowed {
            return None;
        }
        // Of two that got here together, one is told.
        self.allowed.compare_exchange(allowed, more, Ordering::Relaxed, Ordering::Relaxed).ok().map(|_| more)
    }

    /// One that was counted is over.
    pub(super) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many bytes may wait for acknowledgement.
#[derive(Debug)]
pub(super) struct SendWindow {
    since: Instant,
    /// When it was looked at last, in milliseconds after `since`.
    looked: AtomicU64,
}

impl SendWindow {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, looked: AtomicU64::new(0) }
    }

    /// The window for a path that holds `path` bytes, if it is time to look. Asked whenever a stream finds no room.
    pub(super) fn adapt(&self, now: Instant, path: impl FnOnce() -> u64) -> Option<u64> {
        let looked = self.looked.load(Ordering::Relaxed);
        let now = u64::try_from(now.saturating_duration_since(self.since).as_millis()).unwrap_or(u64::MAX);
        if u128::from(now.saturating_sub(looked)) < INTERVAL.as_millis() {
            return None;
        }
        self.looked.store(now, Ordering::Relaxed);
        let (least, most) = SEND_WINDOW_RANGE;
        Some(path().saturating_mul(2).clamp(least, most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_uses_half_gets_twice_as_many() {
        let streams = BidiStreams::default();
        let told: Vec<(u32, u32)> = (1..=2000).filter_map(|open| Some((open, streams.opened()?))).collect();
        assert_eq!(told, [(32, 128), (64, 256), (128, 512), (256, 1024), (512, 1088)]);
    }

    #[test]
    fn one_after_the_other_needs_no_more() {
        let streams = BidiStreams::default();
        for _ in 0..2000 {
            assert_eq!(streams.opened(), None);
            streams.closed();
        }
    }

    #[test]
    fn the_window_follows_the_path_ten_times_a_second() {
        let begun = Instant::now();
        let window = SendWindow::new(begun);
        let at = |millis| begun + Duration::from_millis(millis);
        assert_eq!(window.adapt(at(99), || unreachable!()), None);
        assert_eq!(window.adapt(at(100), || 1_000_000), Some(2_000_000));
        assert_eq!(window.adapt(at(199), || unreachable!()), None);
        assert_eq!(window.adapt(at(250), || 12_000), Some(64 * 1024));
        assert_eq!(window.adapt(at(350), || u64::MAX), Some(4 * 1024 * 1024));
    }
}
