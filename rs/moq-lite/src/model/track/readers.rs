//! The readers of a track: what they ask, and how long there have been none.

use std::{sync::Arc, time::Duration};

use crate::model::{
    demand::{Ask, Asks, Demand},
    watch::Watch,
};

/// What the track's producers wait for.
#[derive(Debug)]
pub(super) struct Readers {
    asks: Asks,
    demand: Option<Demand>,
    /// What the source had brought when those who ask now began to want all that comes.
    heard: u64,
    /// Counts the changes of the demand, from 1.
    version: u64,
    /// Since when nobody asks, counted from the track's beginning. `None`: somebody does, or the time is not known yet.
    idle_since: Option<Duration>,
    unused: bool,
}

impl Readers {
    pub(super) fn new() -> Arc<Watch<Self>> {
        let asks = Asks::default();
        Arc::new(Watch::new(Self { asks, demand: None, heard: 0, version: 1, idle_since: None, unused: false }))
    }

    pub(super) fn demand(&self) -> Option<Demand> {
        self.demand
    }

    /// How much the source had brought when it was last asked for all that comes and had not been before. `None`: it is not.
    pub(super) fn followed_from(&self) -> Option<u64> {
        self.is_followed().then_some(self.heard)
    }

    fn is_followed(&self) -> bool {
        self.demand.is_some_and(|demand| demand.end.is_none())
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Whether nobody has asked for as long as the track lingers.
    pub(super) fn is_unused(&self) -> bool {
        self.unused
    }

    /// The source has brought this much as somebody is about to ask.
    fn note(&mut self, heard: u64) {
        if !self.is_followed() {
            self.heard = heard;
        }
    }

    fn merge(&mut self) {
        let demand = self.asks.demand();
        if demand != self.demand {
            self.demand = demand;
            self.version += 1;
        }
        self.idle_since = None;
        self.unused = false;
    }
}

/// One reader's ask, for as long as it lives.
#[derive(Debug)]
pub(super) struct Asked {
    readers: Arc<Watch<Readers>>,
    ask: Ask,
}

impl Asked {
    /// `heard`: how much the track's source has brought so far.
    pub(super) fn new(readers: Arc<Watch<Readers>>, ask: Ask, heard: u64) -> Self {
        let mut guard = readers.lock();
        guard.note(heard);
        guard.asks.add(&ask);
        guard.merge();
        drop(guard);
        Self { readers, ask }
    }

    pub(super) fn ask(&self) -> &Ask {
        &self.ask
    }

    /// `heard`: as above.
    pub(super) fn update(&mut self, ask: Ask, heard: u64) {
        let mut guard = self.readers.lock();
        guard.note(heard);
        guard.asks.remove(&self.ask);
        guard.asks.add(&ask);
        guard.merge();
        self.ask = ask;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut guard = self.readers.lock();
        guard.asks.remove(&self.ask);
        guard.merge();
    }
}

/// Takes note of the time; returns whether nobody has asked for `linger`. `is_busy`: somebody waits for a single group, or reads it as it arrives.
pub(super) fn tend(readers: &Watch<Readers>, is_busy: bool, elapsed: Duration, linger: Duration) -> bool {
    let mut guard = readers.lock();
    if guard.demand.is_some() || guard.unused {
        return guard.unused;
    }
    match guard.idle_since {
        _ if is_busy => guard.idle_since = None,
        None => guard.idle_since = Some(elapsed),
        Some(since) if elapsed.saturating_sub(since) >= linger => guard.unused = true,
        Some(_) => {}
    }
    guard.unused
}
