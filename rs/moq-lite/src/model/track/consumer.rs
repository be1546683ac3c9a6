//! Seeing a track: its groups by sequence and in order of arrival, its live edge, its end.

use std::{
    future::poll_fn,
    ops::RangeInclusive,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use moq_proto::CloseCode;

use super::{Aside, Edge, End, Fetch, Fetches, Id, Info, Key, Shared, Subscription, readers};
use crate::model::{
    bell::{Bell, Ringer, Token},
    demand::Ask,
    group,
};

/// Sees a track. Clones are the same; only a [`Subscription`] asks for anything.
#[derive(Clone, Debug)]
pub struct Consumer {
    pub(super) shared: Arc<Shared>,
}

impl Consumer {
    pub fn id(&self) -> Id {
        self.shared.id
    }

    pub fn name(&self) -> &str {
        &self.shared.key.name
    }

    pub(crate) fn key(&self) -> &Key {
        &self.shared.key
    }

    pub fn info(&self) -> &Info {
        &self.shared.info
    }

    /// Asks for groups, for as long as the subscription lives.
    pub fn subscribe(&self, ask: Ask) -> Subscription {
        Subscription::new(self.clone(), ask)
    }

    /// Hangs up a bell that rings `ringer` under the name `token` whenever something happens to the track: bytes, a new
    /// group, an end, an eviction.
    pub fn attach(&self, ringer: &Ringer, token: Token) -> Bell {
        self.shared.attach(ringer, token)
    }

    /// How many groups have arrived: the newest place in the order of arrival.
    pub fn arrived(&self) -> u64 {
        self.shared.groups.lock().arrived()
    }

    /// Appends the groups that arrived after `seen`, in that order, as far as they are kept, and returns what is to be
    /// `seen` next time. One lock for all viewers of a shard.
    pub fn arrivals_since(&self, seen: u64, into: &mut Vec<group::Consumer>) -> u64 {
        let groups = self.shared.groups.lock();
        if groups.arrived() > seen {
            into.extend(groups.arrivals_since(seen).map(|group| group::Consumer::new(group.clone())));
        }
        groups.arrived()
    }

    /// The groups that are kept, by sequence.
    pub fn cached(&self) -> Vec<group::Consumer> {
        let groups = self.shared.groups.lock();
        let kept = groups.by_sequence().filter(|group| !group.is_evicted());
        kept.map(|group| group::Consumer::new(group.clone())).collect()
    }

    /// The newest groups that are kept, at most `max`, of those in `range` whose sequence is `wanted`, which is asked under the
    /// track's lock. By sequence, lowest first.
    pub fn newest_within(&self, range: RangeInclusive<u64>, max: usize, wanted: impl Fn(u64) -> bool) -> Vec<group::Consumer> {
        let groups = self.shared.groups.lock();
        let newest_first = groups.within(range).rev().filter(|group| wanted(group.sequence()) && !group.is_evicted());
        let mut newest: Vec<_> = newest_first.take(max).map(|group| group::Consumer::new(group.clone())).collect();
        newest.reverse();
        newest
    }

    /// The live edge: the group with the highest sequence.
    pub fn latest(&self) -> Option<group::Consumer> {
        self.shared.groups.lock().latest().map(|group| group::Consumer::new(group.clone()))
    }

    /// Sequence of the live edge.
    pub fn latest_sequence(&self) -> Option<u64> {
        self.shared.groups.lock().latest().map(|group| group.sequence())
    }

    /// Sequence of the live edge, if that is where the source is: somebody asks for all that comes, and the source has brought some
    /// of it since. What was left behind by those who asked earlier tells nothing.
    pub fn present_sequence(&self) -> Option<u64> {
        let followed_from = self.shared.readers.lock().followed_from()?;
        let groups = self.shared.groups.lock();
        groups.latest().filter(|_| groups.heard() > followed_from).map(|group| group.sequence())
    }

    /// Waits until the source is [known](Self::present_sequence) to have come to a group, and returns which. That takes somebody
    /// who asks.
    ///
    /// # Cancel safety
    /// Dropping the call changes nothing.
    pub async fn present(&self) -> u64 {
        let ringer = Ringer::new();
        let _bell = self.attach(&ringer, 0);
        let mut rung = Vec::new();
        loop {
            ringer.take_rung(&mut rung);
            if let Some(sequence) = self.present_sequence() {
                return sequence;
            }
            poll_fn(|cx| ringer.poll_rung(cx)).await;
        }
    }

    /// The group with this sequence, if it is kept.
    pub fn group(&self, sequence: u64) -> Option<group::Consumer> {
        let groups = self.shared.groups.lock();
        groups.get(sequence).filter(|group| !group.is_evicted()).map(|group| group::Consumer::new(group.clone()))
    }

    /// The group with this sequence, fetched from the track's source when it is not kept. The result is a future; it can be
    /// polled as well. The group may still be arriving.
    ///
    /// # Errors
    /// With NOT_FOUND when it is not kept and the source cannot fetch, or does not have it; with the code the source refused
    /// it with, or the track was aborted with; with NO_CAPACITY when `FETCHES_MAX` others are being fetched.
    ///
    /// # Cancel safety
    /// Dropping it withdraws the request, if nobody else waits for it and the source has not seen it.
    pub fn fetch(&self, sequence: u64) -> Fetch {
        self.fetch_with_priority(sequence, Ask::default().priority)
    }

    /// As [`fetch`](Self::fetch), which has a middling priority: its place among all that the source sends. Of several who
    /// want the same group, the highest counts that is known when the source is asked.
    pub fn fetch_with_priority(&self, sequence: u64, priority: u8) -> Fetch {
        Fetch::new(&self.shared, sequence, priority)
    }

    /// How far the track's groups lie behind its live edge.
    pub fn edge(&self) -> Edge {
        Edge::new(self.shared.clone())
    }

    /// Whether anything is known of the track's end, which costs no lock.
    pub fn is_ending(&self) -> bool {
        self.shared.has_end.load(Ordering::Acquire)
    }

    /// What is known of the track's end. `None`: nothing yet.
    pub fn ending(&self) -> Option<End> {
        if !self.is_ending() {
            return None;
        }
        self.shared.groups.lock().ending()
    }

    /// How the track ended: no group at or above this sequence will exist, or it was aborted. `None`: it goes on, though its
    /// [end](Self::ending) may be known.
    pub fn ended(&self) -> Option<Result<u64, CloseCode>> {
        match self.ending()? {
            End::Announced(_) => None,
            End::Finished(end) => Some(Ok(end)),
            End::Aborted(code) => Some(Err(code)),
        }
    }

    /// [`Producer::abort`](super::Producer::abort), for the broadcast that ends with all its tracks.
    pub(in crate::model) fn abort(&self, code: CloseCode) {
        self.shared.abort(code);
    }

    /// [`Producer::tend`](super::Producer::tend), for the broadcast, which keeps tracks that nobody produces any more.
    pub(in crate::model) fn tend(&self, now: Instant) -> bool {
        let elapsed = self.shared.feed.clock.tell(now);
        self.shared.prune();
        Aside::tend(&self.shared, elapsed);
        Fetches::tend(&self.shared.fetches, elapsed);
        let is_asked_for = self.shared.readers.lock().demand().is_some();
        let is_fetched = || !self.shared.fetches.lock().is_empty() || self.shared.groups.lock().is_fetching();
        let is_busy = is_asked_for || is_fetched();
        readers::tend(&self.shared.readers, is_busy, elapsed, self.shared.linger)
    }

    /// Whether the track has been unused for as long as it lingers.
    pub(in crate::model) fn is_unused(&self) -> bool {
        self.shared.readers.lock().is_unused()
    }
}
