//! From one source of a track to the next: the groups whose stream was lost in the middle, set aside to be continued.
//!
//! Their readers wait meanwhile. Whoever feeds the track next takes them up where what it brings is the same; what nobody
//! takes up in time is aborted, and reading goes on with the groups after it. Where another source comes from is the origin's
//! matter. Spec: moq-lite-06, "Relay".

use std::{collections::BTreeMap, time::Duration};

use moq_proto::close;

use super::{End, Producer, Shared};
use crate::model::subgroup;

/// Most groups set aside; of more, the oldest is aborted. A track of audio with a group a frame has half a dozen under way.
pub const ASIDE_MAX: usize = 64;

/// How long a group waits to be continued: as long as the tries of a subscription take that its publisher resets.
const WAIT: Duration = Duration::from_secs(3);

/// How long a group still waits once its source says that it begins with a later one: what a relay has to begin with can be
/// overtaken by what comes after it.
const OVERTAKEN_WAIT: Duration = Duration::from_secs(1);

/// How much earlier than the newest group another may have come for what lies between them to be still under way. The newest
/// goes first, so that those before it come when they can; readers wait as long for them.
const OVERTAKEN_AGE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Aside {
    left: BTreeMap<u64, Left>,
    /// There is no source that could be late.
    held: bool,
    /// Sources in a row that failed while they could be reached, and had brought nothing.
    strikes: u32,
}

/// A group without a source.
#[derive(Debug)]
struct Left {
    subgroup: subgroup::Producer,
    /// How long it waits, counted from the track's beginning.
    until: Duration,
}

impl Aside {
    /// Aborts those for which `over` holds; with the track's own code if it was aborted.
    fn give_up(shared: &Shared, mut over: impl FnMut(u64, &Left) -> bool) {
        let code = shared.groups.lock().aborted().unwrap_or(close::stream::SESSION_CLOSED);
        let mut aside = shared.aside.lock();
        let given_up: Vec<_> = aside.left.extract_if(.., |sequence, left| over(*sequence, left)).collect();
        // Outside of the lock, since it rings.
        drop(aside);
        given_up.into_iter().for_each(|(_, left)| left.subgroup.abort(code));
    }

    /// All of them: there will be no other source.
    pub(super) fn end(shared: &Shared) {
        Self::give_up(shared, |_, _| true);
    }

    /// Those that have waited long enough.
    pub(super) fn tend(shared: &Shared, elapsed: Duration) {
        if shared.aside.lock().held {
            return;
        }
        Self::give_up(shared, |_, left| elapsed >= left.until);
    }
}

impl Producer {
    /// Keeps a group whose stream was lost in the middle, for another source to [take up](Self::take_up). For about three
    /// seconds, then it is aborted with SESSION_CLOSED, as it is at once when there are [`ASIDE_MAX`] newer ones.
    pub fn set_aside(&self, sequence: u64, subgroup: subgroup::Producer) {
        let shared = &self.shared;
        let left = Left { subgroup, until: shared.feed.clock.elapsed() + WAIT };
        let mut aside = shared.aside.lock();
        let replaced = aside.left.insert(sequence, left);
        let surplus = if aside.left.len() > ASIDE_MAX { aside.left.pop_first() } else { None };
        drop(aside);
        for left in replaced.into_iter().chain(surplus.map(|(_, left)| left)) {
            left.subgroup.abort(close::stream::SESSION_CLOSED);
        }
        // Asked last, so that either this or the one who aborts the track finds it.
        if shared.groups.lock().aborted().is_some() {
            Aside::end(shared);
        }
    }

    /// While the track has no source at all, what was set aside waits as long as the track does; its time begins anew with the
    /// next source.
    pub(in crate::model) fn hold_aside(&self, held: bool) {
        let until = self.shared.feed.clock.elapsed() + WAIT;
        let mut aside = self.shared.aside.lock();
        aside.held = held;
        aside.left.values_mut().for_each(|left| left.until = until);
    }

    /// The group that was set aside, to be continued by a stream of the same kind. One of another kind cannot continue it: it
    /// is aborted then, and may arrive anew.
    pub fn take_up(&self, sequence: u64, info: &subgroup::Info) -> Option<subgroup::Producer> {
        let left = self.shared.aside.lock().left.remove(&sequence)?;
        if left.subgroup.info() == info {
            return Some(left.subgroup);
        }
        left.subgroup.abort(close::stream::SESSION_CLOSED);
        None
    }

    /// The oldest group of which something is missing, where another source goes on: one that waits to be continued, or that
    /// has not come at all although a later one has, a moment before the newest or after.
    pub fn incomplete(&self) -> Option<u64> {
        let unfinished = self.shared.aside.lock().left.keys().next().copied();
        let overtaken = self.shared.groups.lock().overtaken(OVERTAKEN_AGE, ASIDE_MAX);
        unfinished.into_iter().chain(overtaken).min()
    }

    /// Says that the source begins with this group: those below wait for about a second more.
    pub fn give_up_below(&self, sequence: u64) {
        let until = self.shared.feed.clock.elapsed() + OVERTAKEN_WAIT;
        let mut aside = self.shared.aside.lock();
        aside.left.range_mut(..sequence).for_each(|(_, left)| left.until = left.until.min(until));
    }

    /// Whether nothing more is to come: the track was aborted, or it was finished and no group of it is open.
    pub fn is_over(&self) -> bool {
        let groups = self.shared.groups.lock();
        match groups.ending() {
            None | Some(End::Announced(_)) => false,
            Some(End::Finished(_)) => groups.by_sequence().all(|group| group.ending().is_some()),
            Some(End::Aborted(_)) => true,
        }
    }

    /// Says that a source has failed that could be reached; returns how many in a row have, and had
    /// [brought](Self::forgive) nothing.
    pub fn strike(&self) -> u32 {
        let mut aside = self.shared.aside.lock();
        aside.strikes += 1;
        aside.strikes
    }

    /// Says that the present source has brought something.
    pub fn forgive(&self) {
        self.shared.aside.lock().strikes = 0;
    }
}
