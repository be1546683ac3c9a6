//! One subscription's delivery: its open groups, its limits, its end.
//!
//! A viewer never waits and never holds anybody back: what it cannot take stays in the shared logs until it is stale, and is
//! then let go of. Which groups it gets is `selection`'s to say. Spec: moq-lite-06, "Subscribe".

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use moq_proto::{
    VarInt, Writer, close,
    lite::{
        self, Dialect,
        message::{Datagram, GroupHeader},
    },
};

use super::{
    order::{Order, Tick},
    outbound::{Part, Progress, Sending},
    ready::ViewerBell,
    report::{News, Outcome, Report},
    selection::{Opening, Selection, Wish},
    served::Served,
};
use crate::{
    model::{group, track},
    stats::Tally,
    transport::{Chunks, Connection, SendStream, StreamError},
};

/// Largest datagram sent, in bytes: what moq-lite-05 allows, whatever the transport takes.
const DATAGRAM_BYTES_MAX: usize = 1200;

/// Most groups open at a time; the others wait.
const OPEN_MAX: usize = 128;

/// Room for the head of a group's stream: prefix, type, header and a rewritten frame head, of integers as they mostly are.
const HEAD_BYTES: usize = 48;

/// Finished streams that are kept until they are acknowledged; older ones are so for long.
const UNACKED_MAX: usize = 64;

/// How long a viewer that has groups is not told which is its lowest, while the track's source has not said what it begins
/// with: as long as a stream may be overtaken by others.
const START_WAIT: Duration = Duration::from_secs(1);

/// What never changes about a viewer.
pub(super) struct Identity {
    pub(super) subscribe: VarInt,
    pub(super) dialect: &'static Dialect,
    pub(super) order: Order,
}

/// One subscription's delivery.
pub(super) struct Viewer<C: Connection> {
    delivery: Delivery<C>,
    selection: Selection,
    waker: Waker,
    bell: Arc<ViewerBell>,
    begun: Begun,
    over: bool,
}

/// Whether a viewer was told with which group it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    /// It has none.
    No,
    /// It has had some since.
    Untold(Instant),
    Told,
}

/// The streams of a viewer.
struct Delivery<C: Connection> {
    identity: Identity,
    connection: C,
    prefix: Bytes,
    report: Rc<Report>,
    open: Vec<Opened<C::SendStream>>,
    unacked: VecDeque<Sent<C::SendStream>>,
    /// The groups sent whole, as far as they were not taken back.
    whole: Served,
    /// A group found all places taken.
    was_full: bool,
}

struct Opened<S> {
    group: group::Consumer,
    sending: Sending<S>,
}

/// A group that was sent whole, and may not have arrived.
struct Sent<S> {
    sequence: u64,
    tick: Tick,
    stream: S,
}

impl<C: Connection> Viewer<C> {
    pub(super) fn new(
        identity: Identity,
        connection: C,
        track: track::Consumer,
        wish: Wish,
        report: Rc<Report>,
        bell: Arc<ViewerBell>,
    ) -> Self {
        let prefix = connection.uni_prefix();
        let (open, unacked, whole) = (Vec::new(), VecDeque::new(), Served::default());
        let delivery = Delivery { identity, connection, prefix, report, open, unacked, whole, was_full: false };
        let selection = Selection::new(track, wish);
        Self { delivery, selection, waker: bell.clone().into(), bell, begun: Begun::No, over: false }
    }

    /// Whether it has something to get and cannot take it.
    pub(super) fn is_blocked(&self) -> bool {
        !self.over && (self.selection.is_starved() || self.delivery.open.iter().any(|opened| opened.sending.is_blocked()))
    }

    /// Whether time matters to it, and not only what happens.
    pub(super) fn is_timed(&self) -> bool {
        self.is_blocked() || (!self.over && matches!(self.begun, Begun::Untold(_)))
    }

    /// Replaces what it asks for.
    pub(super) fn rewish(&mut self, wish: Wish) {
        self.selection.rewish(wish);
        for opened in &mut self.delivery.open {
            opened.sending.set_priority(wish.priority);
            opened.sending.extend(wish.frames(opened.group.sequence()).1);
        }
        for sent in &mut self.delivery.unacked {
            sent.stream.set_rank(sent.tick.rank(wish.priority));
        }
    }

    /// Offers the groups that have arrived; returns whether a visit is worth it: one of them is wanted, one that waits may be
    /// there now, or one that is open could take more.
    pub(super) fn offer(&mut self, fresh: &[group::Consumer], seen: u64) -> bool {
        let wanted = !self.over && self.selection.offer(fresh, seen);
        let waits = !self.selection.is_empty() && !self.selection.is_starved();
        wanted || waits || !self.is_blocked() || self.delivery.open.iter().any(|opened| !opened.sending.is_blocked())
    }

    /// Gives the viewer what it lacks, as far as it takes it. Never waits. `roomy`: the viewer said that there is room, so
    /// that what was blocked is tried too.
    pub(super) fn advance(&mut self, now: Instant, roomy: bool, scratch: &mut Chunks, tally: &mut Tally) {
        if roomy {
            self.bell.rearm();
        }
        if self.over {
            return;
        }
        let waker = self.waker.clone();
        let cx = &mut Context::from_waker(&waker);
        loop {
            let opened = self.open_waiting(cx, now, tally);
            if opened.and_then(|()| self.pump(cx, now, roomy, scratch, tally)).is_err() {
                return self.fail(Outcome::Gone);
            }
            // What was full is so no more: a burst of many small groups goes through a few at a time.
            if !self.delivery.was_full || self.delivery.open.len() >= OPEN_MAX {
                break;
            }
        }
        self.tell_start(now);
        self.conclude(cx);
    }

    /// Does what is due for no other reason than the time; returns whether a visit is worth it then.
    pub(super) fn look_after(&mut self, now: Instant, tally: &mut Tally) -> bool {
        let told = !self.over && self.tell_start(now);
        let let_go = self.is_blocked() && self.let_go(now, tally);
        told || let_go
    }

    /// Lets go of what is blocked and stale; returns whether there was any.
    fn let_go(&mut self, now: Instant, tally: &mut Tally) -> bool {
        let mut stale = self.selection.drop_stale();
        let (selection, delivery) = (&self.selection, &mut self.delivery);
        if delivery.connection.is_strained(now) || delivery.open.iter().any(|opened| opened.sending.is_stalled(now)) {
            stale += delivery.withdraw(|sequence| selection.is_expired(sequence));
        }
        let open = &mut delivery.open;
        for at in (0..open.len()).rev() {
            if open[at].sending.is_stalled(now) && selection.is_expired(open[at].group.sequence()) {
                open.remove(at).sending.expire();
                stale += 1;
            }
        }
        tally.expired_groups += stale;
        stale > 0
    }

    /// Opens streams for the groups that wait, as long as the peer allows streams.
    fn open_waiting(&mut self, cx: &mut Context<'_>, now: Instant, tally: &mut Tally) -> Result<(), StreamError> {
        if self.selection.is_empty() {
            self.delivery.was_full = false;
            return Ok(());
        }
        tally.expired_groups += self.selection.drop_stale();
        let (selection, delivery) = (&self.selection, &mut self.delivery);
        // Before the new group takes room, and a path that is back repeats what nobody wants any more.
        if delivery.connection.is_strained(now) {
            tally.expired_groups += delivery.withdraw(|sequence| selection.is_expired(sequence));
        }
        delivery.was_full = false;
        self.selection.serve(|group, wish| delivery.open_one(group, wish, cx, now, tally))
    }

    /// Tells once with which group it begins, when that is known; returns whether it did.
    fn tell_start(&mut self, now: Instant) -> bool {
        let since = match self.begun {
            Begun::Told => return false,
            Begun::No if !self.selection.has_begun() => return false,
            Begun::No => now,
            Begun::Untold(since) => since,
        };
        self.begun = Begun::Untold(since);
        let Some(start) = self.selection.start(now.saturating_duration_since(since) >= START_WAIT) else { return false };
        self.begun = Begun::Told;
        self.delivery.report.tell(|news| news.first = Some(start));
        true
    }

    fn pump(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        roomy: bool,
        scratch: &mut Chunks,
        tally: &mut Tally,
    ) -> Result<(), StreamError> {
        let open = &mut self.delivery.open;
        // What opened last comes first, as it does on the wire: where room is scarce, it is for the newest.
        for at in (0..open.len()).rev() {
            let opened = &mut open[at];
            if opened.sending.is_blocked() && !roomy {
                continue;
            }
            match opened.sending.pump(cx, now, scratch, &mut tally.sent_bytes) {
                Ok(Progress::CaughtUp | Progress::Blocked) => {}
                Ok(Progress::Done) => {
                    if self.delivery.unacked.len() == UNACKED_MAX {
                        self.delivery.unacked.pop_front();
                    }
                    let Opened { group, sending } = open.remove(at);
                    let (sequence, tick) = (group.sequence(), sending.tick);
                    self.delivery.whole.insert(sequence);
                    self.delivery.unacked.push_back(Sent { sequence, tick, stream: sending.into_stream() });
                }
                Ok(Progress::Cut(_)) | Err(StreamError::Stopped(_)) => {
                    open.remove(at);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells where the track ends, once that is known, and that it has.
    fn conclude(&mut self, cx: &mut Context<'_>) {
        if !self.selection.track().is_ending() {
            return;
        }
        let idle = self.selection.is_empty() && self.delivery.open.is_empty();
        // Told, and not there yet, is how a last group goes on frame by frame: nothing to ask then.
        if !idle && self.delivery.report.news().end.is_some() {
            return;
        }
        let Some(ending) = self.selection.track().ending() else { return };
        // Asked after the end is known: groups that arrived before it and were not offered yet have rung the bell.
        if !self.selection.is_current() {
            return;
        }
        let (end, over) = match ending {
            track::End::Announced(end) => (end, false),
            // Groups above a cap wait for it to be raised.
            track::End::Finished(end) => (end, idle && !self.selection.is_capped()),
            // The groups that were cut off are gone from here; those that are whole are the viewer's, however its track ended.
            track::End::Aborted(code) if idle => return self.fail(Outcome::Failed(code)),
            track::End::Aborted(_) => return,
        };
        let report = &self.delivery.report;
        // Where nothing was sent yet, something may be: what begins has a start before its end.
        if over || report.news().first.is_some() {
            report.tell(|news| {
                news.end.get_or_insert(end);
            });
        }
        if over && self.delivery.poll_acked(cx).is_ready() {
            self.over = true;
            self.delivery.report.tell(|news| news.outcome = Some(Outcome::Complete));
        }
    }

    /// Once it is complete: the groups between its start and its end that it was not given, or not whole.
    pub(super) fn left_out(&self) -> Vec<RangeInclusive<u64>> {
        match self.delivery.report.news() {
            News { first: Some(first), end: Some(end), .. } => self.delivery.whole.gaps(first..end),
            _ => Vec::new(),
        }
    }

    /// Ends the viewer, and resets its open groups.
    pub(super) fn fail(&mut self, outcome: Outcome) {
        self.over = true;
        self.selection.clear();
        self.delivery.open.clear();
        self.delivery.report.tell(|news| news.outcome = Some(outcome));
    }
}

impl<C: Connection> Delivery<C> {
    fn open_one(
        &mut self,
        group: &group::Consumer,
        wish: &Wish,
        cx: &mut Context<'_>,
        now: Instant,
        tally: &mut Tally,
    ) -> Result<Opening, StreamError> {
        if self.is_past_end(group.sequence()) {
            return Ok(Opening::Skipped);
        }
        if group.is_datagram() {
            return Ok(self.send_datagram(group));
        }
        if self.open.len() >= OPEN_MAX {
            self.was_full = true;
            return Ok(Opening::Full);
        }
        let (first, last) = wish.frames(group.sequence());
        if last.is_some_and(|last| last < first) {
            return Ok(Opening::Skipped);
        }
        // Asked first: what is not there although the group has ended will never be.
        let ended = group.is_ended();
        let Some(part) = Part::of(group, self.identity.dialect.framing, first, last) else {
            return Ok(if ended { Opening::Skipped } else { Opening::NotYet });
        };
        let tick = self.identity.order.tick(now);
        let stream = match self.connection.poll_open_uni(cx, tick.rank(wish.priority)) {
            Poll::Ready(stream) => stream?,
            Poll::Pending => return Ok(Opening::NoStream),
        };
        let header = GroupHeader {
            subscribe: self.identity.subscribe,
            sequence: VarInt::saturating(group.sequence()),
            frame_start: VarInt::saturating(first),
        };
        let mut head = Writer::with_capacity(HEAD_BYTES);
        head.bytes(&self.prefix).varint(lite::stream::GROUP);
        self.identity.dialect.group.write(&header, &mut head);
        head.bytes(&part.rewritten);
        let sending = Sending::new(head.into_bytes(), part, stream, tick);
        self.open.push(Opened { group: group.clone(), sending });
        tally.sent_groups += 1;
        Ok(Opening::Opened)
    }

    /// Whether the viewer was told that there is no such group, though its publisher thought again.
    fn is_past_end(&self, sequence: u64) -> bool {
        let lenient = self.identity.dialect.lenient_end;
        self.report.news().end.is_some_and(|end| sequence > end || (sequence == end && !lenient))
    }

    /// Passes a datagram on, to peers that can have one. What does not fit or finds no room is lost, as datagrams are.
    fn send_datagram(&mut self, group: &group::Consumer) -> Opening {
        let Some(layout) = &self.identity.dialect.datagram else { return Opening::Skipped };
        let ended = group.is_ended();
        let Some(frame) = group.frame(0) else {
            return if ended { Opening::Skipped } else { Opening::NotYet };
        };
        let datagram = Datagram {
            subscribe: self.identity.subscribe,
            sequence: VarInt::saturating(group.sequence()),
            timestamp: frame.timestamp,
            payload: frame.payload,
        };
        let wire = layout.encode(&datagram);
        let fits = self.connection.max_datagram_size().is_some_and(|max| wire.len() <= max.min(DATAGRAM_BYTES_MAX));
        if !fits || !self.connection.send_datagram(wire) {
            return Opening::Skipped;
        }
        self.whole.insert(group.sequence());
        Opening::Opened
    }

    /// Takes back groups that were sent whole, have not arrived, and are no longer worth it: they hold room that newer ones
    /// need, and would be repeated before it is found out. Returns how many.
    fn withdraw(&mut self, is_expired: impl Fn(u64) -> bool) -> u64 {
        // Nobody waits for them here.
        let cx = &mut Context::from_waker(Waker::noop());
        let mut withdrawn = 0;
        self.unacked.retain_mut(|sent| {
            if !is_expired(sent.sequence) {
                return true;
            }
            if sent.stream.poll_acked(cx).is_pending() {
                sent.stream.reset(close::stream::OLD.get());
                self.whole.remove(sent.sequence);
                withdrawn += 1;
            }
            false
        });
        withdrawn
    }

    fn poll_acked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(sent) = self.unacked.front_mut() {
            match sent.stream.poll_acked(cx) {
                Poll::Ready(_) => self.unacked.pop_front(),
                Poll::Pending => return Poll::Pending,
            };
        }
        Poll::Ready(())
    }
}
