//! What a connection's peer may ask of us at a time: bidirectional streams, more as it uses them.
//!
//! Decides only; quinn is told by whoever asks.

use std::sync::atomic::{AtomicU32, Ordering};

/// Bidirectional streams that a peer may have open at first: one a subscription, and a few for all else.
pub(crate) const BIDI_STREAMS: u32 = 64;

/// Most of them: 1,024 subscriptions and 64 for all else.
const BIDI_STREAMS_MAX: u32 = 1088;

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
}
