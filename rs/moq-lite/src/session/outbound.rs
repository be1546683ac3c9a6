//! Outbound: one group on its way to one viewer.
//!
//! `viewer` decides which groups; here the bytes go. Nothing is copied: the stream shares the group's log.

use std::{
    task::Context,
    time::{Duration, Instant},
};

use bytes::Bytes;
use moq_proto::{CloseCode, Framing, close};

use crate::{
    model::{group, log::Ending},
    transport::{Chunks, SendStream, StreamError},
};

use super::order::Tick;

/// How long a stream may take nothing before its group, once expired, is let go of. The end of a group whose successor has
/// begun is still worth the moment that a full window takes to drain.
const STALL: Duration = Duration::from_millis(500);

/// How far a pump got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The viewer has all there is so far.
    CaughtUp,
    /// The viewer takes no more now; its waker fires once it does.
    Blocked,
    /// The group was sent whole and its stream finished.
    Done,
    /// The group ended before its time, and its stream with it.
    Cut(CloseCode),
}

/// One group on its way to one viewer.
pub(super) struct Sending<S> {
    /// What is this viewer's own: the stream prefix, the group header, and a first frame that had to be rewritten.
    head: Bytes,
    view: group::View,
    /// Bytes of the view's log that the stream took.
    cursor: u64,
    /// The last frame of this viewer's part of the group, if it is not all of it.
    last: Option<u64>,
    stream: S,
    /// When the stream opened, for ranks.
    pub(super) tick: Tick,
    /// Since when the stream has taken nothing of what there is. `None`: it took all.
    blocked: Option<Instant>,
}

impl<S: SendStream> Sending<S> {
    pub(super) fn new(head: Bytes, part: Part, stream: S, tick: Tick) -> Self {
        let Part { view, from, last, .. } = part;
        Self { head, view, cursor: from, last, stream, tick, blocked: None }
    }

    /// Gives this viewer what its group has gained since last time. Never waits. `sent` grows by the bytes taken.
    pub(super) fn pump(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        scratch: &mut Chunks,
        sent: &mut u64,
    ) -> Result<Progress, StreamError> {
        self.view.sync();
        let mut blocked = self.blocked.take().unwrap_or(now);
        loop {
            scratch.clear();
            scratch.push(self.head.clone());
            self.view.log().unread(self.cursor, self.until(), |slice| scratch.push(slice));
            if scratch.is_empty() {
                return self.conclude();
            }
            let taken = self.stream.try_write(cx, scratch)?;
            self.account(taken);
            *sent += taken as u64;
            if taken > 0 {
                blocked = now;
            }
            if !scratch.is_empty() {
                self.blocked = Some(blocked);
                return Ok(Progress::Blocked);
            }
        }
    }

    /// Where this viewer's part ends, as far as that is known. `None`: with the group.
    fn until(&self) -> Option<u64> {
        let last = self.last?;
        // Frames are known before their bytes can be read, so up to here nothing lies behind a last frame not known yet.
        let readable = self.view.log().len();
        Some(self.view.frame(last).map_or(readable, |span| span.end))
    }

    fn account(&mut self, taken: usize) {
        let head = taken.min(self.head.len());
        let _ = self.head.split_to(head);
        self.cursor += (taken - head) as u64;
    }

    /// Everything there is was written: is that all there will be?
    fn conclude(&mut self) -> Result<Progress, StreamError> {
        let last = self.last.and_then(|last| self.view.frame(last));
        if last.is_some_and(|span| self.cursor >= span.end) {
            self.stream.finish()?;
            return Ok(Progress::Done);
        }
        match self.view.log().ending_at(self.cursor) {
            None => Ok(Progress::CaughtUp),
            Some(Ending::Finished) => {
                self.stream.finish()?;
                Ok(Progress::Done)
            }
            Some(Ending::Aborted(code)) => {
                self.stream.reset(code.get());
                Ok(Progress::Cut(code))
            }
        }
    }

    /// Lets the group go on to a later last frame than it was opened with, or to its end. An earlier one comes too late.
    pub(super) fn extend(&mut self, last: Option<u64>) {
        if last.is_none_or(|last| self.last.is_some_and(|before| last > before)) {
            self.last = last;
        }
    }

    pub(super) fn set_priority(&mut self, priority: u8) {
        self.stream.set_rank(self.tick.rank(priority));
    }

    /// Whether there is something to send that the stream does not take.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    /// Whether the stream has taken nothing for so long that this is no passing jam.
    pub(super) fn is_stalled(&self, now: Instant) -> bool {
        self.blocked.is_some_and(|since| now.saturating_duration_since(since) >= STALL)
    }

    /// Gives up on a group that is no longer worth sending.
    pub(super) fn expire(mut self) {
        self.stream.reset(close::stream::OLD.get());
    }

    pub(super) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    pub(super) fn into_stream(self) -> S {
        self.stream
    }
}

/// The frames of a group that go to one viewer.
pub(super) struct Part {
    view: group::View,
    from: u64,
    last: Option<u64>,
    /// The head of the first frame where it had to be rewritten: on a stream of its own its time is told from zero on.
    pub(super) rewritten: Bytes,
}

impl Part {
    /// From frame `first` to frame `last`, or to the end. `None`: the first is not there.
    pub(super) fn of(group: &group::Consumer, framing: Framing, first: u64, last: Option<u64>) -> Option<Self> {
        let view = group.view(framing)?;
        view.sync();
        if first == 0 {
            return Some(Self { view, from: 0, last, rewritten: Bytes::new() });
        }
        let (from, rewritten) = (view.frame(first)?.payload, view.first_head(first)?);
        Some(Self { view, from, last, rewritten })
    }
}
