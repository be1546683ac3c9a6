//! Subgroups: one ordered stream of frames, kept as it was framed by its publisher.
//!
//! A subgroup is a [`Log`] and an index of the frames in it, found as the bytes arrive. Bounds are checked here, before
//! anything is kept. A moq-lite group has exactly one subgroup; those of moq-transport may have several.
//! Spec: moq-lite-05, "FRAME"; moq-lite-04 and older, whose frames carry no time and are stamped on arrival.

mod repeat;
mod scan;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use moq_proto::{CloseCode, DecodeError, Framing, Timescale, Timestamp, close};
use smallvec::SmallVec;

pub use self::repeat::{Differs, Repeat};
use self::scan::{Found, Scanner};
use super::{
    bell::Tower,
    cache::{Charge, ChargeError},
    clock::Clock,
    lock::Lock,
    log::{self, Evicted, Log},
};

/// Largest payload of a frame, in bytes. An 8K intra picture takes a third of it.
pub const FRAME_BYTES_MAX: u64 = 32 << 20;

/// Most bytes of a group, all its subgroups together. Ten seconds at 50 Mbit/s.
pub const GROUP_BYTES_MAX: u64 = 64 << 20;

/// Most frames of a subgroup. A track of 50 frames a second may go 20 minutes without a new group.
pub const FRAMES_MAX: usize = 65_536;

/// What a frame's place in the indexes counts for in the budget, in bytes.
const FRAME_CHARGE: u64 = 32;

/// What a subgroup is, as it was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Tells the subgroups of a group apart. 0 in moq-lite.
    pub id: u64,
    /// What stands before each payload.
    pub framing: Framing,
    /// Index within the group of the first frame on this stream.
    pub first_object: u64,
}

impl Info {
    /// The one subgroup of a whole moq-lite group.
    pub fn whole(framing: Framing) -> Self {
        Self { id: 0, framing, first_object: 0 }
    }
}

/// Where a frame lies in a log, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSpan {
    /// Offset of its head.
    pub start: u64,
    /// Offset of its payload.
    pub payload: u64,
    /// Offset past its payload. What lies there may not have arrived yet.
    pub end: u64,
    /// In the track's timescale; without a time of its own, when it arrived, counted from the track's beginning.
    pub timestamp: Timestamp,
}

/// Why bytes were not appended, or a subgroup not finished. Nothing more is to be appended then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    #[error("a frame of {size} bytes, at most {max} accepted")]
    FrameTooLarge { size: u64, max: u64 },
    #[error("a group of more than {max} bytes")]
    GroupTooLarge { max: u64 },
    #[error("a group of more than {max} frames")]
    TooManyFrames { max: usize },
    #[error("a frame {delta} units after {}, which is outside of time", previous.get())]
    Timestamp { previous: Timestamp, delta: i64 },
    #[error("malformed frame head: {0}")]
    Head(#[from] DecodeError),
    /// The stream ended inside a frame.
    #[error("ended inside a frame")]
    Truncated,
    /// Everything that is kept is the newest of its track.
    #[error("the cache has no room")]
    NoCapacity,
    /// The cache dropped the group while it was written.
    #[error("the group was evicted while it was written")]
    Evicted,
    /// The group was ended before.
    #[error("the group has ended already")]
    Ended,
}

impl From<ChargeError> for AppendError {
    fn from(error: ChargeError) -> Self {
        match error {
            ChargeError::Full => Self::NoCapacity,
            ChargeError::Evicted => Self::Evicted,
        }
    }
}

impl From<Evicted> for AppendError {
    fn from(_: Evicted) -> Self {
        Self::Evicted
    }
}

/// What all subgroups of a track share.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) tower: Arc<Tower>,
    pub(crate) clock: Clock,
    pub(crate) timescale: Timescale,
}

/// What the subgroups of one group have brought so far.
#[derive(Debug)]
pub(crate) struct Extent {
    bytes: AtomicU64,
    first: AtomicU64,
    newest: AtomicU64,
}

/// A value that is not there yet, in an atomic.
const NOT_YET: u64 = u64::MAX;

fn timestamp(value: &AtomicU64) -> Option<Timestamp> {
    match value.load(Ordering::Acquire) {
        NOT_YET => None,
        units => Timestamp::try_from(units).ok(),
    }
}

impl Extent {
    pub(crate) fn new() -> Self {
        Self { bytes: AtomicU64::new(0), first: AtomicU64::new(NOT_YET), newest: AtomicU64::new(NOT_YET) }
    }

    /// When the first frame that arrived is to be shown.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        timestamp(&self.first)
    }

    /// The latest time of any frame that arrived.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        timestamp(&self.newest)
    }

    fn note(&self, found: &Found) {
        let set = |value: &AtomicU64, to: u64| {
            let _ = value.compare_exchange(NOT_YET, to, Ordering::AcqRel, Ordering::Relaxed);
        };
        if let Some(first) = found.first() {
            set(&self.first, first.timestamp.get());
            let newest = found.iter().map(|span| span.timestamp.get()).max().unwrap_or_default();
            set(&self.newest, newest);
            self.newest.fetch_max(newest, Ordering::AcqRel);
        }
    }
}

/// A subgroup as its readers have it.
#[derive(Debug)]
pub(crate) struct Subgroup {
    info: Info,
    log: Log,
    frames: Frames,
}

impl Subgroup {
    pub(crate) fn info(&self) -> &Info {
        &self.info
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// The frames whose head has arrived.
    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }
}

/// The frames of a log, in order.
#[derive(Debug, Default)]
pub(crate) struct Frames(Lock<Vec<FrameSpan>>);

impl Frames {
    pub(crate) fn get(&self, index: usize) -> Option<FrameSpan> {
        self.0.lock().get(index).copied()
    }

    /// Where the first `count` frames end.
    pub(crate) fn end(&self, count: usize) -> u64 {
        count.checked_sub(1).and_then(|last| self.get(last)).map_or(0, |span| span.end)
    }

    pub(crate) fn extend(&self, frames: impl IntoIterator<Item = FrameSpan>) {
        self.0.lock().extend(frames);
    }

    /// Bytes that `count` more frames count for in the budget.
    pub(crate) fn charge(count: usize) -> u64 {
        count as u64 * FRAME_CHARGE
    }
}

/// Writes a subgroup. Dropping it unfinished aborts the subgroup with CANCELLED.
#[derive(Debug)]
pub struct Producer {
    subgroup: Arc<Subgroup>,
    feed: Arc<Feed>,
    extent: Arc<Extent>,
    charge: Arc<Charge>,
    scanner: Scanner,
    /// `None` once ended.
    writer: Option<log::Writer>,
    failed: Option<AppendError>,
}

impl Producer {
    pub(crate) fn new(info: Info, feed: Arc<Feed>, extent: Arc<Extent>, charge: Arc<Charge>) -> Self {
        let writer = log::Writer::new(charge.clone());
        let subgroup = Arc::new(Subgroup { info, log: writer.log(), frames: Frames::default() });
        let scanner = Scanner::new(info.framing);
        Self { subgroup, feed, extent, charge, scanner, writer: Some(writer), failed: None }
    }

    pub(crate) fn subgroup(&self) -> &Arc<Subgroup> {
        &self.subgroup
    }

    pub fn info(&self) -> &Info {
        &self.subgroup.info
    }

    /// Compares another source's stream with what was appended so far.
    pub fn repeat(&self) -> Repeat {
        Repeat::new(self.subgroup.log.clone())
    }

    /// Appends what has arrived, cut anywhere: heads and payloads alike may begin in one burst and end in another. Readers
    /// have it as soon as this returns, and one bell rings for all of it. `now`: the time of arrival.
    ///
    /// # Errors
    /// When the bytes break a bound or the framing, or cannot be kept. Nothing of the burst is appended then, and nothing
    /// will be: the caller says how the subgroup ends ([`abort`](Self::abort)).
    pub fn append(&mut self, burst: impl IntoIterator<Item = Bytes>, now: Instant) -> Result<(), AppendError> {
        let elapsed = self.feed.clock.tell(now);
        self.append_at(burst, elapsed)
    }

    /// [`append`](Self::append), that long after the track's beginning.
    pub(crate) fn append_at(&mut self, burst: impl IntoIterator<Item = Bytes>, elapsed: Duration) -> Result<(), AppendError> {
        let chunks: SmallVec<[Bytes; 64]> = burst.into_iter().filter(|chunk| !chunk.is_empty()).collect();
        if chunks.is_empty() {
            return Ok(());
        }
        let appended = match &self.failed {
            Some(error) => Err(error.clone()),
            None => self.append_chunks(&chunks, elapsed),
        };
        match &appended {
            Ok(()) => self.feed.tower.ring(),
            Err(error) => self.failed = Some(error.clone()),
        }
        appended
    }

    fn append_chunks(&mut self, chunks: &[Bytes], elapsed: Duration) -> Result<(), AppendError> {
        let writer = self.writer.as_mut().ok_or(AppendError::Ended)?;
        let total: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        if self.extent.bytes.fetch_add(total, Ordering::Relaxed) + total > GROUP_BYTES_MAX {
            return Err(AppendError::GroupTooLarge { max: GROUP_BYTES_MAX });
        }
        let arrival = Timestamp::from_duration(elapsed, self.feed.timescale);
        let mut found = Found::new();
        for chunk in chunks {
            self.scanner.scan(chunk, arrival, &mut found)?;
        }
        self.charge.grow(total + Frames::charge(found.len()))?;
        if !found.is_empty() {
            self.subgroup.frames.extend(found.iter().copied());
        }
        writer.append(chunks)?;
        self.extent.note(&found);
        Ok(())
    }

    /// Ends the subgroup: everything was said.
    ///
    /// # Errors
    /// [`AppendError::Truncated`] inside a frame, or what an append before has failed with; the readers then find it aborted
    /// with MALFORMED_TRACK. [`AppendError::Evicted`] when the cache dropped it meanwhile.
    pub fn finish(mut self) -> Result<(), AppendError> {
        let writer = self.writer.take().ok_or(AppendError::Ended)?;
        let cut = (!self.scanner.is_between_frames()).then_some(AppendError::Truncated);
        if let Some(error) = self.failed.take().or(cut) {
            writer.abort(close::stream::MALFORMED_TRACK);
            return Err(error);
        }
        Ok(writer.finish()?)
    }

    /// Ends the subgroup before its time. Readers get what was appended, then `code`.
    pub fn abort(mut self, code: CloseCode) {
        if let Some(writer) = self.writer.take() {
            writer.abort(code);
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        drop(self.writer.take());
        self.feed.tower.ring();
    }
}

#[cfg(test)]
mod tests;
