//! Groups: what can be decoded on its own, and is kept, sent or dropped as one.
//!
//! A group is its subgroups (a moq-lite group has exactly one) and the images of them that viewers needed. Which groups are
//! kept is the track's matter. Spec: moq-lite-05, "GROUP".

mod consumer;

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use moq_proto::{CloseCode, Framing, Timestamp, close};
use smallvec::SmallVec;

pub use self::consumer::{Consumer, Frame, GroupError, View};
use super::{
    cache::{Account, Charge, ChargeError, Evict},
    image::{self, Image},
    lock::Lock,
    log::Ending,
    subgroup::{self, AppendError, Extent, Feed, FrameSpan, Subgroup},
};

/// Most subgroups of a group. moq-lite has one; layered codecs have a handful.
pub const SUBGROUPS_MAX: usize = 64;

/// What a group counts for in the budget beside its bytes.
const GROUP_CHARGE: u64 = 2048;

/// A group as the track keeps it.
#[derive(Debug)]
pub(crate) struct Group {
    sequence: u64,
    arrival: u64,
    /// When it came, counted from the track's beginning.
    arrived: Duration,
    /// Whether it came in a datagram, and goes on in one.
    datagram: AtomicBool,
    feed: Arc<Feed>,
    extent: Arc<Extent>,
    charge: Arc<Charge>,
    /// How many consumers there are.
    readers: AtomicUsize,
    /// Whether somebody waits for the last of them to leave.
    awaited: AtomicBool,
    state: Lock<State>,
}

#[derive(Debug, Default)]
struct State {
    subgroups: SmallVec<[Arc<Subgroup>; 1]>,
    images: SmallVec<[Arc<Image>; 1]>,
    /// How the group ended, apart from its subgroups. `None` as long as more of them may come.
    closed: Option<Ending>,
    evicted: bool,
}

impl Group {
    /// Makes a group that the cache may not evict before it is [unpinned](Self::unpin).
    pub(crate) fn new(sequence: u64, arrival: u64, feed: Arc<Feed>, account: &Account) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            sequence,
            arrival,
            arrived: feed.clock.elapsed(),
            datagram: AtomicBool::new(false),
            feed,
            extent: Arc::new(Extent::new()),
            charge: Arc::new(account.charge(this.clone())),
            readers: AtomicUsize::new(0),
            awaited: AtomicBool::new(false),
            state: Lock::default(),
        })
    }

    /// Says that it came in a datagram; before anybody sees it.
    pub(crate) fn note_datagram(&self) {
        self.datagram.store(true, Ordering::Relaxed);
    }

    /// Charges the budget for the group itself. Not to be called under any lock.
    ///
    /// # Errors
    /// When the cache has no room; the group is ended with NO_CAPACITY then.
    pub(crate) fn admit(&self) -> Result<(), ChargeError> {
        let admitted = self.charge.grow(GROUP_CHARGE);
        if admitted.is_err() {
            self.close(Ending::Aborted(close::stream::NO_CAPACITY));
        }
        admitted
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(crate) fn arrival(&self) -> u64 {
        self.arrival
    }

    pub(crate) fn first_timestamp(&self) -> Option<Timestamp> {
        self.extent.first()
    }

    pub(crate) fn newest_timestamp(&self) -> Option<Timestamp> {
        self.extent.newest()
    }

    /// When it came, counted from the track's beginning, as far as the track had been told the time.
    pub(crate) fn arrived(&self) -> Duration {
        self.arrived
    }

    /// Lets the cache evict it.
    pub(crate) fn unpin(&self) {
        self.charge.unpin();
    }

    /// Whether somebody may read it, now or later on.
    pub(crate) fn is_read(&self) -> bool {
        self.readers.load(Ordering::Acquire) > 0
    }

    /// As [`is_read`](Self::is_read); if so, the track's bells ring once when the last reader leaves.
    pub(crate) fn is_read_still(&self) -> bool {
        // In this order, so that whoever leaves meanwhile rings or is seen to have left.
        self.awaited.store(true, Ordering::SeqCst);
        self.readers.load(Ordering::SeqCst) > 0
    }

    fn leave(&self) {
        // Once, since those who are rung for may look at the group again, and leave it again.
        if self.readers.fetch_sub(1, Ordering::SeqCst) == 1 && self.awaited.swap(false, Ordering::SeqCst) {
            self.feed.tower.ring();
        }
    }

    pub(crate) fn is_evicted(&self) -> bool {
        self.state.lock().evicted
    }

    /// How the group ended, once no subgroup is open and none can come.
    pub(crate) fn ending(&self) -> Option<Ending> {
        let state = self.state.lock();
        let mut ending = state.closed?;
        for subgroup in &state.subgroups {
            match subgroup.log().ending()? {
                aborted @ Ending::Aborted(_) if ending == Ending::Finished => ending = aborted,
                _ => {}
            }
        }
        Some(ending)
    }

    fn close(&self, ending: Ending) {
        self.state.lock().closed.get_or_insert(ending);
        self.feed.tower.ring();
    }

    fn open(self: &Arc<Self>, info: subgroup::Info) -> Result<subgroup::Producer, SubgroupError> {
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return Err(SubgroupError::Ended);
        }
        if state.subgroups.len() == SUBGROUPS_MAX {
            return Err(SubgroupError::TooMany { max: SUBGROUPS_MAX });
        }
        if state.subgroups.iter().any(|subgroup| subgroup.info().id == info.id) {
            return Err(SubgroupError::Duplicate { id: info.id });
        }
        let producer = subgroup::Producer::new(info, self.feed.clone(), self.extent.clone(), self.charge.clone());
        state.subgroups.push(producer.subgroup().clone());
        Ok(producer)
    }

    /// The one subgroup that moq-lite can see: the one that holds the group's first frame.
    fn visible(&self) -> Option<Arc<Subgroup>> {
        let state = self.state.lock();
        let whole = state.subgroups.iter().filter(|subgroup| subgroup.info().first_object == 0);
        whole.min_by_key(|subgroup| subgroup.info().id).cloned()
    }

    /// The image of `source`, made if it is the first time that it is needed.
    fn image(&self, source: &Arc<Subgroup>, framing: Framing) -> Arc<Image> {
        let mut state = self.state.lock();
        let made = state.images.iter().find(|image| image.framing() == framing && Arc::ptr_eq(image.source(), source));
        if let Some(image) = made {
            return image.clone();
        }
        let image = Arc::new(Image::new(source.clone(), framing, self.charge.clone()));
        if state.evicted {
            image.log().evict();
        }
        state.images.push(image.clone());
        image
    }
}

impl Evict for Group {
    fn evict(&self) {
        let mut state = self.state.lock();
        state.evicted = true;
        state.closed.get_or_insert(Ending::Aborted(close::stream::EVICTED));
        state.subgroups.iter().for_each(|subgroup| subgroup.log().evict());
        state.images.iter().for_each(|image| image.log().evict());
        drop(state);
        self.charge.release();
        self.feed.tower.ring();
    }
}

/// Why a subgroup could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubgroupError {
    #[error("the group has a subgroup {id} already")]
    Duplicate { id: u64 },
    #[error("a group of more than {max} subgroups")]
    TooMany { max: usize },
    #[error("the group has ended")]
    Ended,
}

/// Writes a group.
///
/// A peer's streams are written as [subgroups](Self::subgroup), which end by themselves; dropping the producer then only
/// says that no more of them come. An application writes [frames](Self::write_frame); dropping the producer before
/// [`finish`](Self::finish) aborts what it wrote with CANCELLED.
#[derive(Debug)]
pub struct Producer {
    group: Arc<Group>,
    frames: Option<subgroup::Producer>,
    previous: Timestamp,
    opened: bool,
}

impl Producer {
    pub(crate) fn new(group: Arc<Group>) -> Self {
        Self { group, frames: None, previous: Timestamp::ZERO, opened: false }
    }

    pub fn sequence(&self) -> u64 {
        self.group.sequence
    }

    pub fn consume(&self) -> Consumer {
        Consumer::new(self.group.clone())
    }

    /// Opens one of the group's streams of frames.
    ///
    /// # Errors
    /// When there is one with this id, there are [`SUBGROUPS_MAX`], or the group was evicted.
    pub fn subgroup(&mut self, info: subgroup::Info) -> Result<subgroup::Producer, SubgroupError> {
        let subgroup = self.group.open(info)?;
        self.opened = true;
        Ok(subgroup)
    }

    /// Appends one frame. `timestamp` is in the track's timescale; `None` is the time since the track began, as exactly as
    /// the track is told the time, and not before that of the last frame.
    ///
    /// # Errors
    /// When the frame or the group is too large, or the cache has no room for it; the group is then to be aborted.
    pub fn write_frame(&mut self, payload: impl Into<Bytes>, timestamp: Option<Timestamp>) -> Result<(), AppendError> {
        let payload = payload.into();
        let elapsed = self.group.feed.clock.elapsed();
        let timestamp =
            timestamp.unwrap_or_else(|| Timestamp::from_duration(elapsed, self.group.feed.timescale).max(self.previous));
        let span = FrameSpan { start: 0, payload: 0, end: payload.len() as u64, timestamp };
        let head = image::head(Framing::Timed, &span, self.previous);
        self.frames()?.append_at([head, payload], elapsed)?;
        self.previous = timestamp;
        Ok(())
    }

    /// Writes frames without times of their own and finishes. What cannot be kept aborts the group.
    pub fn write_all<P: Into<Bytes>>(mut self, payloads: impl IntoIterator<Item = P>) {
        for payload in payloads {
            if self.write_frame(payload, None).is_err() {
                return;
            }
        }
        self.finish();
    }

    /// Ends the group: everything was said. Subgroups that are still open end by themselves.
    pub fn finish(mut self) {
        // A group without frames is one of an empty stream.
        if !self.opened {
            let _ = self.frames();
        }
        if let Some(frames) = self.frames.take() {
            // Whole frames were written; readers of an evicted group know already.
            let _ = frames.finish();
        }
        self.group.close(Ending::Finished);
    }

    /// Ends the group before its time: `code` is told to readers who wait for a subgroup, and for more of the frames
    /// written here.
    pub fn abort(mut self, code: CloseCode) {
        self.abort_with(code);
    }

    fn abort_with(&mut self, code: CloseCode) {
        if let Some(frames) = self.frames.take() {
            frames.abort(code);
        }
        self.group.close(Ending::Aborted(code));
    }

    fn frames(&mut self) -> Result<&mut subgroup::Producer, AppendError> {
        if self.frames.is_none() {
            let opened = self.subgroup(subgroup::Info::whole(Framing::Timed));
            self.frames = Some(opened.map_err(|_| AppendError::Ended)?);
        }
        self.frames.as_mut().ok_or(AppendError::Ended)
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if self.opened && self.frames.is_none() {
            self.group.close(Ending::Finished);
        } else {
            self.abort_with(close::stream::CANCELLED);
        }
    }
}

#[cfg(test)]
mod tests;
