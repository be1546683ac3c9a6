//! One subscription: which groups it gets, its open groups, its limits.
//!
//! A viewer never waits and never holds anybody back: what it cannot take stays in the shared logs until it is stale, and is
//! then let go of. Spec: moq-lite-06, "Subscribe" and "Expiration"; moq-lite-05 and older where they differ.

use std::{
    collections::VecDeque,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use moq_proto::{
    VarInt, Writer,
    lite::{
        self, Dialect,
        message::{Datagram, GroupHeader},
    },
};

use super::{
    fanout::ViewerBell,
    order::Order,
    outbound::{Part, Progress, Sending},
    report::{Outcome, Report},
    served::Served,
};
use crate::{
    model::{expiry, group, track},
    stats::{Stats, count},
    transport::{Chunks, Connection, SendStream, StreamError},
};

/// Most groups that wait for their stream. More than that at once is a viewer without stream credit; the oldest is let go.
const WAITING_MAX: usize = 128;

/// Largest datagram sent, in bytes: what moq-lite-05 allows, whatever the transport takes.
const DATAGRAM_BYTES_MAX: usize = 1200;

/// Most groups open at a time. The oldest is let go for a newer one.
const OPEN_MAX: usize = 128;

/// Finished streams whose acknowledgement a subscription's end waits for; older ones are long acknowledged.
const UNACKED_MAX: usize = 64;

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
    /// The newest group there is, or the first to come. `strict`: never one below it (moq-lite-05).
    Latest { strict: bool },
    /// Every group at or above this one that has not expired.
    Floor(u64),
}

/// What never changes about a viewer.
pub(super) struct Identity {
    pub(super) subscribe: VarInt,
    pub(super) dialect: &'static Dialect,
    pub(super) order: Order,
}

/// One subscription's delivery.
pub(super) struct Viewer<C: Connection> {
    identity: Identity,
    connection: C,
    prefix: Bytes,
    track: track::Consumer,
    wish: Wish,
    report: Rc<Report>,
    waker: Waker,
    bell: Option<Arc<ViewerBell>>,
    /// The order of arrival up to which groups were offered to this viewer.
    seen: u64,
    /// The lowest group wanted, once known.
    floor: Option<u64>,
    served: Served,
    /// Groups wanted whose stream is not open yet, in order of arrival.
    waiting: VecDeque<group::Consumer>,
    /// No stream could be opened when last tried.
    starved: bool,
    open: Vec<Opened<C::SendStream>>,
    unacked: VecDeque<C::SendStream>,
    over: bool,
}

struct Opened<S> {
    group: group::Consumer,
    sending: Sending<S>,
}

impl<C: Connection> Viewer<C> {
    pub(super) fn new(
        identity: Identity,
        connection: C,
        track: track::Consumer,
        wish: Wish,
        report: Rc<Report>,
        waker: Waker,
    ) -> Self {
        let prefix = connection.uni_prefix();
        let mut viewer = Self {
            identity,
            connection,
            prefix,
            seen: track.arrived(),
            track,
            wish,
            report,
            waker,
            bell: None,
            floor: None,
            served: Served::default(),
            waiting: VecDeque::new(),
            starved: false,
            open: Vec::new(),
            unacked: VecDeque::new(),
            over: false,
        };
        viewer.look_back();
        viewer
    }

    pub(super) fn set_bell(&mut self, bell: Arc<ViewerBell>) {
        self.bell = Some(bell);
    }

    pub(super) fn wake(&self) {
        self.waker.wake_by_ref();
    }

    pub(super) fn track(&self) -> &track::Consumer {
        &self.track
    }

    /// Whether it has something to get and cannot take it.
    pub(super) fn is_blocked(&self) -> bool {
        !self.over && ((self.starved && !self.waiting.is_empty()) || self.open.iter().any(|opened| opened.sending.blocked))
    }

    /// Replaces what it asks for. Groups delivered are not taken back; groups not served that are wanted now will be.
    pub(super) fn rewish(&mut self, wish: Wish) {
        self.wish = wish;
        if let Start::Floor(floor) = wish.start {
            self.floor = Some(floor);
        }
        for opened in &mut self.open {
            opened.sending.set_priority(wish.priority);
        }
        self.look_back();
    }

    /// Takes from the cache what is wanted and was not offered or not wanted before.
    fn look_back(&mut self) {
        match (self.wish.start, self.floor) {
            (Start::Latest { .. }, None) => {
                let Some(latest) = self.track.latest() else { return };
                self.floor = Some(latest.sequence());
                self.want(latest);
            }
            (Start::Latest { .. }, Some(_)) => {
                for group in self.track.cached() {
                    self.want(group);
                }
            }
            (Start::Floor(floor), _) => {
                self.floor = Some(floor);
                let edge = self.track.edge();
                for group in self.track.cached() {
                    if !expiry::is_expired(&edge, group.sequence(), self.wish.max_age) {
                        self.want(group);
                    }
                }
            }
        }
    }

    /// Offers groups that have arrived; returns whether any of them is wanted.
    pub(super) fn offer(&mut self, fresh: &[group::Consumer]) -> bool {
        let mut wanted = false;
        for group in fresh {
            if group.arrival() > self.seen {
                self.seen = group.arrival();
                wanted |= self.want(group.clone());
            }
        }
        wanted
    }

    fn want(&mut self, group: group::Consumer) -> bool {
        let sequence = group.sequence();
        let floor = *self.floor.get_or_insert(sequence);
        let below = match self.wish.start {
            Start::Latest { strict: false } => false,
            Start::Latest { strict: true } | Start::Floor(_) => sequence < floor,
        };
        let above = self.wish.end.is_some_and(|end| sequence > end);
        // A group that was cut off is for nobody new; if it arrives again, whole, that counts.
        if below || above || self.over || group.is_cut() || !self.served.insert(sequence) {
            return false;
        }
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(group);
        true
    }

    /// Gives the viewer what it lacks, as far as it takes it. Never waits.
    pub(super) fn advance(&mut self, now: Instant, scratch: &mut Chunks, stats: &Stats) {
        if let Some(bell) = &self.bell {
            bell.rearm();
        }
        if self.over {
            return;
        }
        let waker = self.waker.clone();
        let cx = &mut Context::from_waker(&waker);
        let opened = self.open_waiting(cx, now, stats);
        let result = opened.and_then(|()| self.pump(cx, scratch, stats));
        match result {
            Ok(()) => self.conclude(cx),
            Err(_) => self.fail(Outcome::Gone),
        }
    }

    /// Lets go of what is stale, then tries again.
    pub(super) fn expire(&mut self, now: Instant, scratch: &mut Chunks, stats: &Stats) {
        self.drop_stale(stats);
        self.advance(now, scratch, stats);
    }

    fn drop_stale(&mut self, stats: &Stats) {
        if self.wish.max_age.is_none() {
            return;
        }
        let edge = self.track.edge();
        let max_age = self.wish.max_age;
        let before = self.waiting.len() + self.open.len();
        self.waiting.retain(|group| !expiry::is_expired(&edge, group.sequence(), max_age));
        let mut at = 0;
        while at < self.open.len() {
            let opened = &self.open[at];
            if opened.sending.blocked && expiry::is_expired(&edge, opened.group.sequence(), max_age) {
                self.open.remove(at).sending.expire();
            } else {
                at += 1;
            }
        }
        count(&stats.counters().expired_groups, (before - self.waiting.len() - self.open.len()) as u64);
    }

    /// Opens streams for the groups that wait, as long as the peer allows streams.
    fn open_waiting(&mut self, cx: &mut Context<'_>, now: Instant, stats: &Stats) -> Result<(), StreamError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        if self.waiting.len() > 1 || self.starved {
            self.drop_stale(stats);
        }
        let mut tries = self.waiting.len();
        while tries > 0 {
            tries -= 1;
            // In order of arrival; but once streams are scarce, what is newest is worth most.
            let next = if self.starved { self.waiting.pop_back() } else { self.waiting.pop_front() };
            let Some(group) = next else { break };
            match self.open_one(&group, cx, now)? {
                Opening::Open(sending) => {
                    self.starved = false;
                    if self.open.len() >= OPEN_MAX {
                        self.open.remove(0).sending.expire();
                        count(&stats.counters().expired_groups, 1);
                    }
                    count(&stats.counters().sent_groups, 1);
                    let sequence = group.sequence();
                    self.open.push(Opened { group, sending });
                    self.report.tell(|news| {
                        news.first.get_or_insert(sequence);
                    });
                }
                Opening::Skip => {}
                Opening::NotYet => self.waiting.push_back(group),
                Opening::NoStream => {
                    self.waiting.push_back(group);
                    self.starved = true;
                    break;
                }
            }
        }
        Ok(())
    }

    fn open_one(
        &mut self,
        group: &group::Consumer,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Result<Opening<C::SendStream>, StreamError> {
        if group.is_datagram() {
            return Ok(self.send_datagram(group));
        }
        let (first, last) = self.frames(group.sequence());
        let Some(part) = Part::of(group, self.identity.dialect.framing, first, last) else {
            return Ok(if group.is_ended() { Opening::Skip } else { Opening::NotYet });
        };
        let tick = self.identity.order.tick(now);
        let stream = match self.connection.poll_open_uni(cx, tick.rank(self.wish.priority)) {
            Poll::Ready(stream) => stream?,
            Poll::Pending => return Ok(Opening::NoStream),
        };
        let header = GroupHeader {
            subscribe: self.identity.subscribe,
            sequence: VarInt::saturating(group.sequence()),
            frame_start: VarInt::saturating(first),
        };
        let mut head = Writer::new();
        head.bytes(&self.prefix).varint(lite::stream::GROUP);
        head.bytes(&self.identity.dialect.group.to_wire(&header)).bytes(&part.rewritten);
        Ok(Opening::Open(Sending::new(head.into_bytes(), part, stream, tick)))
    }

    /// Passes a datagram on, to peers that can have one. What does not fit or finds no room is lost, as datagrams are.
    fn send_datagram(&mut self, group: &group::Consumer) -> Opening<C::SendStream> {
        let Some(layout) = &self.identity.dialect.datagram else { return Opening::Skip };
        let Some(frame) = group.frame(0) else {
            return if group.is_ended() { Opening::Skip } else { Opening::NotYet };
        };
        let datagram = Datagram {
            subscribe: self.identity.subscribe,
            sequence: VarInt::saturating(group.sequence()),
            timestamp: frame.timestamp,
            payload: frame.payload,
        };
        let wire = layout.encode(&datagram);
        if self.connection.max_datagram_size().is_some_and(|max| wire.len() <= max.min(DATAGRAM_BYTES_MAX))
            && self.connection.send_datagram(wire)
        {
            self.report.tell(|news| {
                news.first.get_or_insert(group.sequence());
            });
        }
        Opening::Skip
    }

    /// First frame, and last if there is one, that this viewer wants of a group.
    fn frames(&self, sequence: u64) -> (u64, Option<u64>) {
        let named = matches!(self.wish.start, Start::Floor(floor) if floor == sequence);
        let first = if named { self.wish.frame_start } else { 0 };
        let last = if self.wish.end == Some(sequence) { self.wish.frame_end } else { None };
        (first, last)
    }

    fn pump(&mut self, cx: &mut Context<'_>, scratch: &mut Chunks, stats: &Stats) -> Result<(), StreamError> {
        let mut sent = 0;
        let mut at = 0;
        let mut result = Ok(());
        while at < self.open.len() {
            match self.open[at].sending.pump(cx, scratch, &mut sent) {
                Ok(Progress::CaughtUp) => at += 1,
                Ok(Progress::Blocked) if self.is_stale(at) => {
                    self.open.remove(at).sending.expire();
                    count(&stats.counters().expired_groups, 1);
                }
                Ok(Progress::Blocked) => at += 1,
                Ok(Progress::Done) => {
                    if self.unacked.len() == UNACKED_MAX {
                        self.unacked.pop_front();
                    }
                    self.unacked.push_back(self.open.remove(at).sending.into_stream());
                }
                Ok(Progress::Cut(_)) | Err(StreamError::Stopped(_)) => {
                    self.open.remove(at);
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        if sent > 0 {
            count(&stats.counters().sent_bytes, sent);
        }
        result
    }

    fn is_stale(&self, at: usize) -> bool {
        self.wish.max_age.is_some() && expiry::is_expired(&self.track.edge(), self.open[at].group.sequence(), self.wish.max_age)
    }

    /// Tells how the track ends, once it does.
    fn conclude(&mut self, cx: &mut Context<'_>) {
        let Some(ended) = self.track.ended() else { return };
        match ended {
            Err(code) => self.fail(Outcome::Failed(code)),
            Ok(end) => {
                self.report.tell(|news| news.end = Some(end));
                let idle = self.waiting.is_empty() && self.open.is_empty();
                if idle && self.poll_acked(cx).is_ready() {
                    self.over = true;
                    self.report.tell(|news| news.outcome = Some(Outcome::Complete));
                }
            }
        }
    }

    fn poll_acked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(stream) = self.unacked.front_mut() {
            match stream.poll_acked(cx) {
                Poll::Ready(_) => self.unacked.pop_front(),
                Poll::Pending => return Poll::Pending,
            };
        }
        Poll::Ready(())
    }

    /// Ends the viewer; its open groups are reset when it is taken away.
    pub(super) fn fail(&mut self, outcome: Outcome) {
        self.over = true;
        self.waiting.clear();
        self.open.clear();
        self.report.tell(|news| news.outcome = Some(outcome));
    }
}

enum Opening<S> {
    Open(Sending<S>),
    /// Nothing of it will ever be for this viewer.
    Skip,
    /// What this viewer wants of it is not there yet.
    NotYet,
    /// The peer allows no more streams now.
    NoStream,
}
