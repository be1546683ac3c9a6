//! A subscription: one reader's ask, and an application's way from group to group.

use std::{collections::VecDeque, future::poll_fn};

use super::{Consumer, readers::Asked};
use crate::model::{
    bell::{Bell, Ringer},
    demand::{Ask, Start},
    expiry, group,
    lock::Lock,
};

/// A registered ask. Dropping it withdraws the ask.
#[derive(Debug)]
pub struct Subscription {
    track: Consumer,
    asked: Lock<Asked>,
    ringer: Ringer,
    _bell: Bell,
    /// The order of arrival up to which groups were looked at.
    seen: u64,
    /// The lowest group wanted, once it is known.
    floor: Option<u64>,
    pending: VecDeque<group::Consumer>,
}

impl Subscription {
    pub(super) fn new(track: Consumer, ask: Ask) -> Self {
        let heard = track.shared.groups.lock().heard();
        let asked = Lock::new(Asked::new(track.shared.readers.clone(), ask, heard));
        let ringer = Ringer::new();
        let bell = track.attach(&ringer, 0);
        Self { track, asked, ringer, _bell: bell, seen: 0, floor: None, pending: VecDeque::new() }
    }

    pub fn track(&self) -> &Consumer {
        &self.track
    }

    /// Replaces what is asked. Groups that were returned are not taken back.
    pub fn update(&self, ask: Ask) {
        let heard = self.track.shared.groups.lock().heard();
        self.asked.lock().update(ask, heard);
    }

    /// The next group that is wanted and worth having, in order of arrival. `None`: the track is over, or was aborted, as
    /// its [`ended`](Consumer::ended) says.
    ///
    /// # Cancel safety
    /// Dropping the call loses no group.
    pub async fn next(&mut self) -> Option<group::Consumer> {
        let mut rung = Vec::new();
        loop {
            // Silenced before looking, so that whatever comes after the look rings.
            self.ringer.take_rung(&mut rung);
            let ended = self.track.ended();
            if let Some(group) = self.try_next() {
                return Some(group);
            }
            if ended.is_some() {
                return None;
            }
            poll_fn(|cx| self.ringer.poll_rung(cx)).await;
        }
    }

    fn try_next(&mut self) -> Option<group::Consumer> {
        let ask = *self.asked.lock().ask();
        let floor = match (ask.start, self.floor) {
            (Start::At(floor), _) => floor,
            (Start::Latest, Some(floor)) => floor,
            (Start::Latest, None) => self.track.latest_sequence()?,
        };
        self.floor = Some(floor);

        let mut fresh = Vec::new();
        self.seen = self.track.arrivals_since(self.seen, &mut fresh);
        self.pending.extend(fresh);
        let edge = self.track.edge();
        while let Some(group) = self.pending.pop_front() {
            let sequence = group.sequence();
            let wanted = sequence >= floor && ask.end.is_none_or(|end| sequence <= end);
            if wanted && !group.is_cut() && !expiry::is_expired(&edge, sequence, ask.max_age) {
                return Some(group);
            }
        }
        None
    }
}
