//! Bounds: where a publisher says that a track ends, held against what its subscription brings.
//!
//! Who goes beyond the end that it declared has broken the track. moq-lite-05 forgives the group that the end names, since its
//! first text counted that one in. Spec: moq-lite-06, "SUBSCRIBE_END".

use std::cell::Cell;

use tokio::sync::Notify;

/// What one subscription has brought, and may bring.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    lenient: bool,
    /// Groups below this one are not taken.
    lowest: Cell<u64>,
    highest: Cell<Option<u64>>,
    end: Cell<Option<u64>>,
    broken: Notify,
}

impl Bounds {
    /// `lenient`: the group that the end names may exist.
    pub(super) fn new(lenient: bool) -> Self {
        Self { lenient, ..Self::default() }
    }

    /// The publisher says that no group at or above `end` will come.
    pub(super) fn declare(&self, end: u64) {
        self.end.set(Some(end));
        if !self.lenient && self.highest.get().is_some_and(|highest| highest >= end) {
            self.broken.notify_one();
        }
    }

    /// Whether this group may come.
    pub(super) fn admits(&self, sequence: u64) -> bool {
        self.highest.set(self.highest.get().max(Some(sequence)));
        if sequence < self.lowest.get() {
            return false;
        }
        match self.end.get() {
            Some(end) if self.lenient => sequence <= end,
            Some(end) if sequence >= end => {
                self.broken.notify_one();
                false
            }
            _ => true,
        }
    }

    /// From now on, groups below this one are not taken.
    pub(super) fn take_from(&self, lowest: u64) {
        self.lowest.set(lowest);
    }

    /// The highest group that has begun to come, taken or not.
    pub(super) fn highest(&self) -> Option<u64> {
        self.highest.get()
    }

    /// Whether this is the group that the end names.
    pub(super) fn is_end(&self, sequence: u64) -> bool {
        self.end.get() == Some(sequence)
    }

    /// Waits until the publisher has contradicted itself.
    pub(super) async fn broken(&self) {
        self.broken.notified().await;
    }
}
