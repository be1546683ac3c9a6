//! Counters a session keeps; rendering them is the program's.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// What went through the sessions that share this handle. Counted once a turn, not once a frame.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    counters: Arc<Counters>,
}

/// All of it only ever grows.
#[derive(Debug, Default)]
pub struct Counters {
    /// Payload and frame heads received on group streams, in bytes.
    pub received_bytes: AtomicU64,
    /// Group streams received.
    pub received_groups: AtomicU64,
    /// Payload and frame heads written to viewers, in bytes.
    pub sent_bytes: AtomicU64,
    /// Group streams opened to viewers.
    pub sent_groups: AtomicU64,
    /// Groups a viewer did not get, or not whole, because they were no longer worth sending.
    pub expired_groups: AtomicU64,
    /// Requests refused because of a limit.
    pub refused: AtomicU64,
    /// Subscriptions answered, and asked of publishers.
    pub subscribes: AtomicU64,
    pub upstream_subscribes: AtomicU64,
    /// Tracks that lost their source and were handed over to another of the same publisher.
    pub handovers: AtomicU64,
    /// Groups that were cut off in the middle and continued by another source or subscription.
    pub continued_groups: AtomicU64,
}

impl Stats {
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// Adds to a counter that is only ever read for display.
pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Relaxed);
}

/// What one turn of a shard has done, counted once at its end.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) sent_bytes: u64,
    pub(crate) sent_groups: u64,
    pub(crate) expired_groups: u64,
}

impl Tally {
    /// Adds what there is to the counters, and begins anew.
    pub(crate) fn settle(&mut self, stats: &Stats) {
        let Self { sent_bytes, sent_groups, expired_groups } = std::mem::take(self);
        let Counters { sent_bytes: bytes, sent_groups: groups, expired_groups: expired, .. } = stats.counters();
        for (counter, more) in [(bytes, sent_bytes), (groups, sent_groups), (expired, expired_groups)] {
            if more > 0 {
                count(counter, more);
            }
        }
    }
}
