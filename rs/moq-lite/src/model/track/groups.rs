//! The groups that a track has, by sequence and by arrival, and which of them it keeps.
//!
//! The newest is always kept. How long the others are goes by media time, as for viewers: a track on which little comes keeps
//! what it has through any silence, and a recording sent fast keeps no more of itself than one sent slowly. Only where media
//! time stands still while groups come, the clock decides, by when they came; else a publisher whose times are all the same
//! would have everything kept. Memory is bounded by the cache's budget, and by [`GROUPS_MAX`], whatever the times say.
//! Groups fetched one by one have no place in a track's time and get old by the clock. Spec: moq-lite-06, "Cache".

use std::{
    collections::BTreeMap,
    ops::{Range, RangeInclusive},
    sync::Arc,
    time::Duration,
};

use moq_proto::{CloseCode, Timescale};

use super::{Beginning, End, ToCome, TrackError};
use crate::model::{expiry, group::Group, log::Ending};

/// Most groups a track keeps, whatever their age and size. Audio with a group for every frame of 20 ms keeps five minutes.
pub const GROUPS_MAX: usize = 16_384;

/// Most groups a track keeps that were fetched one by one.
pub const FETCHED_MAX: usize = 256;

/// A group is kept at least this long after the next one came, whatever the times say: as long as a busy shard may need to
/// find it, and a publisher to catch up with its own backlog.
const GRACE: Duration = Duration::from_secs(1);

/// Most groups without a frame that are passed over in search of one that has some. Behind a longer run of them, media time
/// stands still.
const EMPTY_RUN_MAX: usize = 64;

/// Media time stands still when it moves by less than this part of the time in which groups come. That also holds of times
/// told in units a thousand times as large as said, which is what mistaken timescales mostly are.
const STILL: u32 = 100;

/// How long a track keeps its groups, and in which units it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeping {
    pub(super) retention: Duration,
    pub(super) timescale: Timescale,
}

#[derive(Debug, Default)]
pub(super) struct Groups {
    by_sequence: BTreeMap<u64, Arc<Group>>,
    by_arrival: BTreeMap<u64, Arc<Group>>,
    /// Groups that were asked for one by one. Subscriptions do not see them.
    fetched: BTreeMap<u64, Arc<Group>>,
    /// Groups that ever arrived.
    arrived: u64,
    /// Groups that the source has begun to bring, with those that were here already.
    heard: u64,
    /// Sequences below this one were let go of, or are too old to begin with.
    floor: u64,
    /// What the source says that it begins with.
    beginning: Beginning,
    /// No group at or above this one will exist.
    end: Option<u64>,
    /// Nothing is waited for any more, below the end either.
    finished: bool,
    aborted: Option<CloseCode>,
}

/// Whether all of a group is here, or still comes.
fn is_whole(group: &Group) -> bool {
    !matches!(group.ending(), Some(Ending::Aborted(_)))
}

impl Groups {
    pub(super) fn arrived(&self) -> u64 {
        self.arrived
    }

    /// How many groups the source has begun to bring, with those that were here already.
    pub(super) fn heard(&self) -> u64 {
        self.heard
    }

    /// The source begins to bring a group, whether or not it is taken in.
    pub(super) fn hear(&mut self) {
        self.heard += 1;
    }

    pub(super) fn end(&self) -> Option<u64> {
        self.end
    }

    pub(super) fn aborted(&self) -> Option<CloseCode> {
        self.aborted
    }

    /// What is known of the end.
    pub(super) fn ending(&self) -> Option<End> {
        let end = self.end.map(if self.finished { End::Finished } else { End::Announced });
        self.aborted.map(End::Aborted).or(end)
    }

    /// The sequence after the last, whether or not the last is kept.
    pub(super) fn next_sequence(&self) -> u64 {
        self.latest().map_or(0, |group| group.sequence().saturating_add(1))
    }

    /// The live edge.
    pub(super) fn latest(&self) -> Option<&Arc<Group>> {
        self.by_sequence.values().next_back()
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&Arc<Group>> {
        self.by_sequence.get(&sequence)
    }

    /// The group with this sequence, however it came, unless it is known to be incomplete.
    pub(super) fn whole(&self, sequence: u64) -> Option<&Arc<Group>> {
        let live = self.by_sequence.get(&sequence).filter(|group| is_whole(group));
        live.or_else(|| self.fetched.get(&sequence).filter(|group| is_whole(group)))
    }

    /// Takes in a group that was fetched, and may be evicted. Returns what it replaces, to be dropped outside of the lock.
    pub(super) fn insert_fetched(&mut self, group: Arc<Group>) -> Option<Arc<Group>> {
        group.unpin();
        self.fetched.insert(group.sequence(), group)
    }

    /// Whether a group that was asked for, or any other, arrives while somebody reads it.
    pub(super) fn is_fetching(&self) -> bool {
        self.fetched.values().chain(self.by_sequence.values()).any(|group| group.ending().is_none() && group.is_read())
    }

    pub(super) fn by_sequence(&self) -> impl DoubleEndedIterator<Item = &Arc<Group>> {
        self.by_sequence.values()
    }

    pub(super) fn within(&self, range: RangeInclusive<u64>) -> impl DoubleEndedIterator<Item = &Arc<Group>> {
        // The map would panic at an empty range.
        let range = if range.is_empty() { None } else { Some(range) };
        range.into_iter().flat_map(|range| self.by_sequence.range(range)).map(|(_, group)| group)
    }

    pub(super) fn arrivals_since(&self, seen: u64) -> impl Iterator<Item = &Arc<Group>> {
        self.by_arrival.range(seen.saturating_add(1)..).map(|(_, group)| group)
    }

    /// Whether every group of `range` is here and has ended. What was let go of, or was too old to be taken in, counts as well.
    pub(super) fn are_complete(&self, range: Range<u64>) -> bool {
        let start = range.start.max(self.floor);
        let Some(wanted) = range.end.checked_sub(start) else { return true };
        let ended = self.by_sequence.range(start..range.end).filter(|(_, group)| group.ending().is_some());
        ended.count() as u64 == wanted
    }

    pub(super) fn begin(&mut self, beginning: Beginning) {
        self.beginning = beginning;
    }

    /// Whether the lowest group that the source has of `range` is still to come.
    pub(super) fn to_come(&self, range: Range<u64>) -> ToCome {
        let is_over = self.finished || self.aborted.is_some();
        let floor = range.start.max(self.floor);
        let lowest = match self.beginning {
            Beginning::Awaited if !is_over && floor < range.end => return ToCome::Unsaid,
            Beginning::At(first) if !is_over => first.max(floor),
            _ => return ToCome::Nothing,
        };
        let is_here = self.by_sequence.contains_key(&lowest);
        if lowest < range.end && !is_here { ToCome::From(lowest) } else { ToCome::Nothing }
    }

    /// The oldest group that is not here though later ones are, among `most` groups that arrived no more than `age` before the
    /// newest.
    pub(super) fn overtaken(&self, age: Duration, most: usize) -> Option<u64> {
        let mut groups = self.by_sequence.values().rev();
        let newest = groups.next()?;
        let (mut above, mut overtaken) = (newest.sequence(), None);
        for group in groups.take(most) {
            if group.sequence() + 1 < above {
                overtaken = Some(group.sequence() + 1);
            }
            if newest.arrived().saturating_sub(group.arrived()) > age {
                break;
            }
            above = group.sequence();
        }
        overtaken
    }

    /// Whether the track was not aborted.
    pub(super) fn check_open(&self) -> Result<(), TrackError> {
        self.aborted.map_or(Ok(()), |code| Err(TrackError::Closed { code }))
    }

    /// Whether a group with this sequence may arrive. One that ended before its time may arrive again, as it does when its
    /// publisher is asked anew.
    pub(super) fn check(&self, sequence: u64) -> Result<(), TrackError> {
        self.check_open()?;
        if let Some(end) = self.end.filter(|end| sequence >= *end) {
            return Err(TrackError::Ended { end });
        }
        if sequence < self.floor {
            return Err(TrackError::Old { sequence });
        }
        match self.by_sequence.get(&sequence) {
            Some(group) if is_whole(group) => Err(TrackError::Duplicate { sequence }),
            _ => Ok(()),
        }
    }

    /// Takes in a group that was [checked](Self::check). The newest one is pinned, and only that. Returns what it replaces, to
    /// be dropped outside of the lock.
    pub(super) fn insert(&mut self, group: Arc<Group>) -> Option<Arc<Group>> {
        match self.latest() {
            Some(latest) if latest.sequence() > group.sequence() => group.unpin(),
            Some(latest) => latest.unpin(),
            None => {}
        }
        self.arrived = self.arrived.max(group.arrival());
        self.by_arrival.insert(group.arrival(), group.clone());
        let replaced = self.by_sequence.insert(group.sequence(), group)?;
        self.by_arrival.remove(&replaced.arrival());
        Some(replaced)
    }

    /// No group at or above `end` will exist, nor above the newest there is or any end that was announced before.
    pub(super) fn announce_end(&mut self, end: u64) {
        if self.aborted.is_none() && !self.finished {
            self.end = self.end.max(Some(end.max(self.next_sequence())));
        }
    }

    /// There is no more to come. `end` as it is [announced](Self::announce_end); without one, the newest was the last.
    pub(super) fn finish(&mut self, end: Option<u64>) {
        self.announce_end(end.unwrap_or(0));
        self.finished = self.aborted.is_none();
    }

    /// Ends it before its time, unless it was finished.
    pub(super) fn abort(&mut self, code: CloseCode) {
        if !self.finished {
            self.aborted.get_or_insert(code);
        }
    }

    /// Takes out a group that could not be admitted after all.
    pub(super) fn remove(&mut self, group: &Arc<Group>) {
        let sequence = group.sequence();
        for groups in [&mut self.by_sequence, &mut self.fetched] {
            if groups.get(&sequence).is_some_and(|kept| Arc::ptr_eq(kept, group)) {
                groups.remove(&sequence);
            }
        }
        self.by_arrival.remove(&group.arrival());
    }

    /// Takes it out of what is offered, though readers may still hold it.
    fn remove_first(&mut self) -> Option<Arc<Group>> {
        let (sequence, group) = self.by_sequence.pop_first()?;
        self.by_arrival.remove(&group.arrival());
        self.floor = self.floor.max(sequence.saturating_add(1));
        Some(group)
    }

    /// Lets go of the oldest groups, as long as they are not worth keeping, and of what was fetched long ago; never of the
    /// newest. They are returned, to be dropped outside of the lock.
    pub(super) fn prune(&mut self, keeping: &Keeping, elapsed: Duration) -> Vec<Arc<Group>> {
        let mut removed = Vec::new();
        while self.by_sequence.len() > 1 && (self.by_sequence.len() > GROUPS_MAX || self.is_first_over(keeping, elapsed)) {
            removed.extend(self.remove_first());
        }
        let is_over = |group: &Group| match group.ending() {
            Some(Ending::Aborted(_)) => true,
            // Whoever else wants it joins in.
            None if group.is_read() => false,
            _ => elapsed.saturating_sub(group.arrived()) >= keeping.retention.max(GRACE),
        };
        removed.extend(self.fetched.extract_if(.., |_, group| is_over(group)).map(|(_, group)| group));
        while self.fetched.len() > FETCHED_MAX {
            removed.extend(self.fetched.pop_first().map(|(_, group)| group));
        }
        removed
    }

    /// Whether the oldest group was evicted, or lies as far behind the live edge as groups are kept: in media time, or where
    /// that stands still in time passed between what came next and what came last.
    fn is_first_over(&self, keeping: &Keeping, elapsed: Duration) -> bool {
        let mut groups = self.by_sequence.values();
        let (Some(first), Some(second)) = (groups.next(), groups.next()) else { return false };
        if first.is_evicted() || elapsed.saturating_sub(second.arrived()) < GRACE {
            return first.is_evicted();
        }
        let last = self.by_arrival.values().next_back().map_or(elapsed, |group| group.arrived());
        let passed = last.saturating_sub(second.arrived());
        let moved = self.behind(first.sequence(), keeping.timescale).unwrap_or_default();
        let behind = if moved < passed / STILL { passed } else { moved };
        behind >= keeping.retention
    }

    /// Media time from the end of group `sequence` to the latest frame of the newest group.
    pub(super) fn behind(&self, sequence: u64, timescale: Timescale) -> Option<Duration> {
        let later = self.by_sequence.range(sequence.checked_add(1)?..).map(|(_, group)| group);
        let reach = later.clone().take(EMPTY_RUN_MAX).find_map(|group| group.first_timestamp())?;
        let edge = later.rev().take(EMPTY_RUN_MAX).find_map(|group| group.newest_timestamp())?;
        expiry::distance(reach, edge, timescale)
    }
}
