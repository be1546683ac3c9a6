//! Outbound: one group on its way to one viewer.
//!
//! `viewer` decides which groups; here the bytes go. Nothing is copied: the stream shares the group's log.

use std::task::Context;

use bytes::Bytes;
use moq_proto::{CloseCode, close};

use crate::{
    model::{group, log::Ending},
    transport::{Chunks, SendStream, StreamError},
};

use super::order::Tick;

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
    /// Where this viewer's part of the group ends, if before its end.
    until: Option<u64>,
    stream: S,
    /// When the stream opened, for ranks.
    pub(super) tick: Tick,
    pub(super) blocked: bool,
}

impl<S: SendStream> Sending<S> {
    pub(super) fn new(head: Bytes, view: group::View, part: Part, stream: S, tick: Tick) -> Self {
        Self { head, view, cursor: part.from, until: part.until, stream, tick, blocked: false }
    }

    /// Gives this viewer what its group has gained since last time. Never waits. `sent` grows by the bytes taken.
    pub(super) fn pump(&mut self, cx: &mut Context<'_>, scratch: &mut Chunks, sent: &mut u64) -> Result<Progress, StreamError> {
        self.view.sync();
        self.blocked = false;
        loop {
            scratch.clear();
            scratch.push(self.head.clone());
            self.view.log().unread(self.cursor, self.until, |slice| scratch.push(slice));
            if scratch.is_empty() {
                return self.conclude();
            }
            let taken = self.stream.try_write(cx, scratch)?;
            self.account(taken);
            *sent += taken as u64;
            if !scratch.is_empty() {
                self.blocked = true;
                return Ok(Progress::Blocked);
            }
        }
    }

    fn account(&mut self, taken: usize) {
        let head = taken.min(self.head.len());
        let _ = self.head.split_to(head);
        self.cursor += (taken - head) as u64;
    }

    /// Everything there is was written: is that all there will be?
    fn conclude(&mut self) -> Result<Progress, StreamError> {
        if self.until.is_some_and(|until| self.cursor >= until) {
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

    pub(super) fn set_priority(&mut self, priority: u8) {
        self.stream.set_rank(self.tick.rank(priority));
    }

    /// Gives up on a group that is no longer worth sending.
    pub(super) fn expire(mut self) {
        self.stream.reset(close::stream::OLD.get());
    }

    pub(super) fn into_stream(self) -> S {
        self.stream
    }
}

/// Which bytes of a view's log a viewer gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) from: u64,
    pub(super) until: Option<u64>,
}
