//! Selection: which groups of a track one viewer gets, and in what order.
//!
//! Decides only; `viewer` opens the streams. Spec: moq-lite-06, "Subscribe" and "Expiration"; moq-lite-05 and older where
//! they differ.

use std::{collections::VecDeque, time::Duration};

use super::served::Served;
use crate::model::{expiry, group, track};

/// Most groups that wait for their stream. More than that is a viewer that takes none; the oldest is let go.
const WAITING_MAX: usize = 1024;

/// What a viewer asks for, as its latest SUBSCRIBE or SUBSCRIBE_UPDATE has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) priority: u8,
    /// How far, in media time, a group may lie behind the newest. `None`: no limit.
    pub(super) max_age: Option<Duration>,
    pub(super) start: Start,
    /// Last group wanted.
    pub(super) end: Option<u64>,
    /// First frame wanted of the group that `start` names.
    pub(super) frame_start: u64,
    /// Last frame wanted of the group `end`.
    pub(super) frame_end: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The newest group there is, or the first to come. `strict`: never one below the first that was sent (moq-lite-05).
    Latest { strict: bool },
    /// Every group at or above this one that has not expired.
    Floor(u64),
}

impl Wish {
    /// First frame wanted of a group, and the last if there is one.
    pub(super) fn frames(&self, sequence: u64) -> (u64, Option<u64>) {
        let named = self.start == Start::Floor(sequence);
        let first = if named { self.frame_start } else { 0 };
        (first, if self.end == Some(sequence) { self.frame_end } else { None })
    }

    /// Whether another wish may want groups that this one did not.
    fn selects_like(&self, other: &Self) -> bool {
        (self.max_age, self.start, self.end) == (other.max_age, other.start, other.end)
    }
}

/// Which groups of a track one viewer gets.
pub(super) struct Selection {
    track: track::Consumer,
    wish: Wish,
    /// The order of arrival up to which groups were offered.
    seen: u64,
    /// The lowest group wanted, once known.
    floor: Option<u64>,
    /// The highest group that arrived.
    newest: u64,
    /// The groups that were given, or wait to be.
    served: Served,
    /// Groups wanted whose stream is not open yet, in order of arrival.
    waiting: VecDeque<group::Consumer>,
    /// Groups let go of for want of a place, since they were last told.
    crowded_out: u64,
    /// The lowest group wanted that was cut off, and may arrive again.
    missed: Option<u64>,
    /// No stream could be opened when last tried.
    starved: bool,
    /// The lowest group that was sent.
    lowest: Option<u64>,
}

impl Selection {
    pub(super) fn new(track: track::Consumer, wish: Wish) -> Self {
        let (seen, served) = (track.arrived(), Served::default());
        let (waiting, crowded_out) = (VecDeque::new(), 0);
        let (floor, missed, starved, lowest) = (None, None, false, None);
        let mut selection = Self { track, wish, seen, floor, newest: 0, served, waiting, crowded_out, missed, starved, lowest };
        selection.look_back();
        selection
    }

    pub(super) fn track(&self) -> &track::Consumer {
        &self.track
    }

    /// Whether it was offered everything that has arrived.
    pub(super) fn is_current(&self) -> bool {
        self.seen >= self.track.arrived()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether there is a group above the last one wanted, which another wish may want.
    pub(super) fn is_capped(&self) -> bool {
        self.wish.end.is_some_and(|end| self.track.latest_sequence() > Some(end))
    }

    /// Whether something waits and no stream was to be had.
    pub(super) fn is_starved(&self) -> bool {
        self.starved && !self.waiting.is_empty()
    }

    /// Replaces what is asked for. Groups delivered are not taken back; groups not served that are wanted now will be.
    pub(super) fn rewish(&mut self, wish: Wish) {
        let before = std::mem::replace(&mut self.wish, wish);
        if !wish.selects_like(&before) {
            if let (None, Start::Floor(_), Start::Latest { .. }) = (self.lowest, before.start, wish.start) {
                // The newest may lie below a floor that was waited for.
                self.floor = None;
            }
            self.look_back();
        }
    }

    /// Takes from the cache what is wanted and was not offered, or not wanted, before.
    fn look_back(&mut self) {
        if let Start::Floor(floor) = self.wish.start {
            self.floor = Some(floor);
        }
        let Some(latest) = self.track.latest() else { return };
        self.newest = self.newest.max(latest.sequence());
        if self.floor.is_none() {
            // What arrived meanwhile, and before it, is not what this viewer begins with.
            self.seen = self.seen.max(latest.arrival());
            self.floor = Some(latest.sequence());
            self.want(latest);
            return;
        }
        let range = self.floor.unwrap_or(0)..=self.wish.end.unwrap_or(u64::MAX);
        // Of more than can wait, the oldest would be let go again.
        let fresh = self.track.newest_within(range, WAITING_MAX, |sequence| !self.served.contains(sequence));
        for group in fresh {
            self.want(group);
        }
    }

    /// Offers the groups that have arrived up to `seen` in the order of arrival; returns whether any of them is wanted.
    pub(super) fn offer(&mut self, fresh: &[group::Consumer], seen: u64) -> bool {
        let mut wanted = false;
        for group in fresh {
            if group.arrival() > self.seen {
                wanted |= self.want(group.clone());
            }
        }
        // Whatever arrived and is not among them is not kept any more.
        self.seen = self.seen.max(seen);
        wanted
    }

    fn want(&mut self, group: group::Consumer) -> bool {
        let sequence = group.sequence();
        self.floor.get_or_insert(sequence);
        let late = sequence < self.newest;
        self.newest = self.newest.max(sequence);
        let above = self.wish.end.is_some_and(|end| sequence > end);
        if above || self.is_below(sequence) || (late && self.is_expired(sequence)) {
            return false;
        }
        if group.is_cut() {
            // It is for nobody new; if it arrives again, whole, that counts.
            self.missed = Some(self.missed.map_or(sequence, |missed| missed.min(sequence)));
            return false;
        }
        if !self.served.insert(sequence) {
            return false;
        }
        if self.waiting.len() == WAITING_MAX {
            if let Some(oldest) = self.waiting.pop_front() {
                self.served.remove(oldest.sequence());
            }
            self.crowded_out += 1;
        }
        self.waiting.push_back(group);
        true
    }

    fn is_below(&self, sequence: u64) -> bool {
        match self.wish.start {
            Start::Latest { strict: false } => false,
            Start::Latest { strict: true } | Start::Floor(_) => self.floor.is_some_and(|floor| sequence < floor),
        }
    }

    pub(super) fn is_expired(&self, sequence: u64) -> bool {
        self.wish.max_age.is_some() && expiry::is_expired(&self.track.edge(), sequence, self.wish.max_age)
    }

    /// Lets go of what waits and is no longer worth sending; returns how many those are, and were since the last time.
    pub(super) fn drop_stale(&mut self) -> u64 {
        let crowded_out = std::mem::take(&mut self.crowded_out);
        if self.wish.max_age.is_none() || self.waiting.is_empty() {
            return crowded_out;
        }
        let (edge, max_age, before) = (self.track.edge(), self.wish.max_age, self.waiting.len());
        let served = &mut self.served;
        self.waiting.retain(|group| {
            let stale = expiry::is_expired(&edge, group.sequence(), max_age);
            if stale {
                // A wish for older groups brings it back.
                served.remove(group.sequence());
            }
            !stale
        });
        crowded_out + (before - self.waiting.len()) as u64
    }

    /// Whether a group was sent.
    pub(super) fn has_begun(&self) -> bool {
        self.lowest.is_some()
    }

    /// The lowest group that is or may yet be sent. `None`: none was, or what the track begins with is about to be said, which
    /// is not waited for if `overdue`.
    pub(super) fn start(&self, overdue: bool) -> Option<u64> {
        let sent = self.lowest?;
        let Start::Floor(floor) = self.wish.start else { return Some(sent) };
        let lowest = self.waiting.iter().map(group::Consumer::sequence).chain(self.missed).fold(sent, u64::min);
        match self.track.to_come(floor..lowest) {
            track::ToCome::From(first) if !self.is_expired(first) => Some(first),
            // Where the next one below has expired, all of them have.
            track::ToCome::Unsaid if !overdue && !self.is_expired(lowest - 1) => None,
            _ => Some(lowest),
        }
    }

    /// Goes through what waits, in order of arrival; but newest first once streams are scarce, as it is worth most then.
    pub(super) fn serve<E>(&mut self, mut open: impl FnMut(&group::Consumer, &Wish) -> Result<Opening, E>) -> Result<(), E> {
        let newest_first = self.starved;
        let mut passed = 0;
        while passed < self.waiting.len() {
            let at = if newest_first { self.waiting.len() - 1 - passed } else { passed };
            let group = &self.waiting[at];
            let sequence = group.sequence();
            let opening = if self.wish.end.is_some_and(|end| sequence > end) {
                Opening::NotYet
            } else if self.is_below(sequence) {
                // A lower floor brings it back.
                self.served.remove(sequence);
                Opening::Skipped
            } else {
                open(group, &self.wish)?
            };
            match opening {
                Opening::Opened => {
                    self.starved = false;
                    self.begin(sequence);
                    self.waiting.remove(at);
                }
                Opening::Skipped => {
                    self.waiting.remove(at);
                }
                Opening::NotYet => passed += 1,
                Opening::NoStream => {
                    self.starved = true;
                    return Ok(());
                }
                Opening::Full => return Ok(()),
            }
        }
        self.starved = false;
        Ok(())
    }

    /// On moq-lite-05 the first group sent is the lowest there will be.
    fn begin(&mut self, sequence: u64) {
        if self.lowest.is_none() && self.wish.start == (Start::Latest { strict: true }) {
            self.floor = self.floor.max(Some(sequence));
        }
        self.lowest = Some(self.lowest.map_or(sequence, |lowest| lowest.min(sequence)));
    }

    /// Nothing more is wanted.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}

/// What came of trying to open a stream for a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Opened,
    /// Nothing more of it will be for this viewer.
    Skipped,
    /// What this viewer wants of it is not there yet.
    NotYet,
    /// The peer allows no more streams now.
    NoStream,
    /// As many groups are open as may be at a time.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cache::Budget;

    #[test]
    fn of_more_groups_than_can_wait_the_oldest_are_let_go_of_and_counted() {
        let track = track::Producer::new("video", track::Info::default(), &Budget::new(1 << 30).account());
        let wish = Wish { priority: 0, max_age: None, start: Start::Floor(0), end: None, frame_start: 0, frame_end: None };
        let mut selection = Selection::new(track.consume(), wish);
        let starve = |_: &group::Consumer, _: &Wish| Ok::<_, ()>(Opening::NoStream);
        for _ in 0..WAITING_MAX + 3 {
            track.append_group().write_all(["frame"]);
            let (mut fresh, seen) = (Vec::new(), selection.seen);
            let seen = track.consume().arrivals_since(seen, &mut fresh);
            assert!(selection.offer(&fresh, seen));
            selection.serve(starve).unwrap();
        }
        assert!(selection.is_starved());
        assert_eq!((selection.drop_stale(), selection.drop_stale()), (3, 0), "told once");

        let mut opened = Vec::new();
        let open = |group: &group::Consumer, _: &Wish| {
            opened.push(group.sequence());
            Ok::<_, ()>(Opening::Opened)
        };
        selection.serve(open).unwrap();
        opened.sort_unstable();
        assert_eq!(opened, Vec::from_iter(3..WAITING_MAX as u64 + 3), "the newest");
    }
}
