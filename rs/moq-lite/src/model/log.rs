//! Logs: append-only bytes with one writer and any number of cursors.
//!
//! A reader is a byte offset; it costs the log nothing. Bytes can be read as soon as they are appended and never move or
//! change. How arriving chunks are packed is decided here alone: small ones are copied together into pages, so that a viewer
//! gets few large slices and no transport's receive buffer is kept alive; large ones are kept as they came. What the bytes
//! mean is `subgroup`'s and `image`'s matter.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use bytes::{Bytes, BytesMut};
use moq_proto::{CloseCode, close};
use smallvec::SmallVec;

use super::{cache::Charge, lock::Lock};

/// Most slices one read hands out.
pub const SLICES_MAX: usize = 16;

/// Largest slice handed out, in bytes. A QUIC sender that counts a partly acknowledged slice in full would stop and wait
/// with larger ones, and would search long among much smaller ones.
pub const SLICE_BYTES_MAX: usize = 32 * 1024;

/// Smallest page. A group of one chat message fits and wastes little.
const PAGE_BYTES_MIN: usize = 512;

/// Chunks from this size on are kept as they came: copying costs more than the slice saves.
const KEEP_BYTES_MIN: usize = 8 * 1024;

/// A page that arrived in more pieces than this is copied into one once it is full, for those who come late.
const PIECES_MAX: usize = 4;

/// A page that is not full yet has no more pieces than this: what it cost to keep track of them could exceed what is in them.
const OPEN_PIECES_MAX: usize = 64;

/// How a log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With everything its writer had to say.
    Finished,
    /// Before its time.
    Aborted(CloseCode),
}

/// The bytes were let go of while they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("evicted from the cache")]
pub(crate) struct Evicted;

const FINISHED: u64 = 1;
const ABORTED: u64 = 2;
const FLAG_BITS: u32 = 2;

#[derive(Debug)]
struct Shared {
    /// Readable bytes above two flags, so that one load tells all.
    published: AtomicU64,
    code: OnceLock<CloseCode>,
    slices: Lock<Vec<Slice>>,
    /// Ends with the last who can read the bytes.
    _charge: Arc<Charge>,
}

#[derive(Debug)]
struct Slice {
    start: u64,
    bytes: Bytes,
}

impl Shared {
    /// Changes what is published; under the lock of the slices.
    fn publish(&self, len: u64, flags: u64) {
        let flags = flags | self.published.load(Ordering::Relaxed) & (FINISHED | ABORTED);
        self.published.store(len << FLAG_BITS | flags, Ordering::Release);
    }
}

/// A reader's handle. Clones are other readers of the same bytes.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

impl Log {
    /// Bytes that can be read so far.
    pub fn len(&self) -> u64 {
        self.shared.published.load(Ordering::Acquire) >> FLAG_BITS
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes with everything that happens to the log, and only then.
    pub(crate) fn mark(&self) -> u64 {
        self.shared.published.load(Ordering::Acquire)
    }

    /// Hands `push` what lies between `cursor` and `until`, or the end so far: at most [`SLICES_MAX`] slices of at most
    /// [`SLICE_BYTES_MAX`] bytes, none empty. Returns how many bytes those are. Costs one atomic load when there are none.
    pub fn unread(&self, cursor: u64, until: Option<u64>, mut push: impl FnMut(Bytes)) -> u64 {
        let end = until.unwrap_or(u64::MAX).min(self.len());
        if cursor >= end {
            return 0;
        }
        let slices = self.shared.slices.lock();
        let first = slices.partition_point(|slice| slice.start <= cursor).saturating_sub(1);
        let mut at = cursor;
        for slice in slices.iter().skip(first).take(SLICES_MAX) {
            if at >= end {
                break;
            }
            let from = (at - slice.start) as usize;
            let to = (end - slice.start).min(slice.bytes.len() as u64) as usize;
            push(if from == 0 && to == slice.bytes.len() { slice.bytes.clone() } else { slice.bytes.slice(from..to) });
            at = slice.start + to as u64;
        }
        at - cursor
    }

    /// How the log ended, if it has. An aborted one may still have bytes to read; an evicted one has none.
    pub fn ending(&self) -> Option<Ending> {
        let flags = self.shared.published.load(Ordering::Acquire);
        if flags & ABORTED != 0 {
            return Some(Ending::Aborted(self.shared.code.get().copied().unwrap_or(close::stream::CANCELLED)));
        }
        (flags & FINISHED != 0).then_some(Ending::Finished)
    }

    /// How the log ended for a reader that has everything up to `cursor`. `None`: more can come.
    ///
    /// A reader that had all of a finished log does not notice that it is evicted afterwards.
    pub fn ending_at(&self, cursor: u64) -> Option<Ending> {
        if self.ends_at(cursor) { Some(Ending::Finished) } else { self.ending().filter(|end| *end != Ending::Finished) }
    }

    /// Whether the log was finished and a reader at `cursor` has all of it.
    pub fn ends_at(&self, cursor: u64) -> bool {
        let published = self.shared.published.load(Ordering::Acquire);
        published & FINISHED != 0 && published >> FLAG_BITS == cursor
    }

    /// Lets go of the bytes. Readers that lack some find the log aborted with EVICTED.
    pub(crate) fn evict(&self) {
        let mut slices = self.shared.slices.lock();
        // An earlier abort keeps its own code.
        let _ = self.shared.code.set(close::stream::EVICTED);
        self.shared.publish(self.len(), ABORTED);
        let evicted = std::mem::take(&mut *slices);
        drop(slices);
        drop(evicted);
    }
}

/// The one who appends. Dropping it unfinished aborts the log with CANCELLED.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    page: Page,
    /// How many of the readers' slices, the last ones, are pieces of the open page.
    shown: usize,
    /// Bytes that went through pages so far, which tells how large the next one should be.
    copied: usize,
}

/// The page that small chunks are copied into at present.
#[derive(Debug, Default)]
struct Page {
    /// What is still free of it, and what was copied since the last piece was cut.
    buffer: BytesMut,
    pieces: Vec<Bytes>,
    /// How many of the pieces readers have just as they are.
    known: usize,
    bytes: usize,
    capacity: usize,
}

impl Page {
    fn room(&self) -> usize {
        self.buffer.capacity() - self.buffer.len()
    }

    /// Makes what was copied since the last piece into one.
    fn cut(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        self.pieces.push(self.buffer.split().freeze());
        if self.pieces.len() > OPEN_PIECES_MAX {
            self.join();
        }
    }

    /// Copies all pieces into one.
    fn join(&mut self) {
        let mut whole = BytesMut::with_capacity(self.bytes);
        self.pieces.drain(..).for_each(|piece| whole.extend_from_slice(&piece));
        self.pieces.push(whole.freeze());
        self.known = 0;
    }

    /// Ends the page; what it holds goes to `done`, in few pieces and without much waste.
    fn close(&mut self, done: &mut impl Extend<Bytes>) {
        self.cut();
        let mut page = std::mem::take(self);
        let is_wasteful = page.bytes > 0 && page.bytes * 2 < page.capacity;
        if page.pieces.len() > PIECES_MAX || is_wasteful {
            page.join();
        }
        done.extend(page.pieces);
    }
}

/// Slices that stay as they are from now on.
type Done = SmallVec<[Bytes; 8]>;

impl Writer {
    /// A log for bytes that are counted in `charge`, by whoever appends them.
    pub(crate) fn new(charge: Arc<Charge>) -> Self {
        let (published, code, slices) = (AtomicU64::new(0), OnceLock::new(), Lock::default());
        let shared = Arc::new(Shared { published, code, slices, _charge: charge });
        Self { shared, page: Page::default(), shown: 0, copied: 0 }
    }

    pub(crate) fn log(&self) -> Log {
        Log { shared: self.shared.clone() }
    }

    /// Appends `chunks`, which are readable together once it returns.
    ///
    /// # Errors
    /// When the log was evicted; nothing is appended then.
    pub(crate) fn append(&mut self, chunks: &[Bytes]) -> Result<(), Evicted> {
        let lengths = || chunks.iter().map(Bytes::len);
        let expected = self.copied + lengths().filter(|len| *len < KEEP_BYTES_MIN).sum::<usize>();
        let mut done = Done::new();
        for chunk in chunks {
            if chunk.len() < KEEP_BYTES_MIN {
                self.copy(chunk, expected, &mut done);
            } else {
                self.page.close(&mut done);
                for from in (0..chunk.len()).step_by(SLICE_BYTES_MAX) {
                    done.push(chunk.slice(from..chunk.len().min(from + SLICE_BYTES_MAX)));
                }
            }
        }
        self.page.cut();
        self.publish(done, lengths().sum(), 0)
    }

    fn copy(&mut self, mut chunk: &[u8], expected: usize, done: &mut Done) {
        self.copied += chunk.len();
        while !chunk.is_empty() {
            if self.page.room() == 0 {
                self.page.close(done);
                let capacity = expected.next_power_of_two().clamp(PAGE_BYTES_MIN, SLICE_BYTES_MAX);
                self.page = Page { buffer: BytesMut::with_capacity(capacity), capacity, ..Page::default() };
            }
            let (now, later) = chunk.split_at(chunk.len().min(self.page.room()));
            self.page.buffer.extend_from_slice(now);
            self.page.bytes += now.len();
            chunk = later;
        }
    }

    /// Shows readers `done`, then the open page, in place of the pieces they have of a page that was closed or joined.
    fn publish(&mut self, done: Done, grown: usize, flags: u64) -> Result<(), Evicted> {
        let mut slices = self.shared.slices.lock();
        let published = self.shared.published.load(Ordering::Relaxed);
        if published & ABORTED != 0 {
            return Err(Evicted);
        }
        let unchanged = slices.len() - self.shown + self.page.known;
        let replaced: SmallVec<[Slice; OPEN_PIECES_MAX]> = slices.drain(unchanged..).collect();
        let mut start = slices.last().map_or(0, |slice| slice.start + slice.bytes.len() as u64);
        for bytes in done.into_iter().chain(self.page.pieces[self.page.known..].iter().cloned()) {
            let len = bytes.len() as u64;
            slices.push(Slice { start, bytes });
            start += len;
        }
        self.shared.publish((published >> FLAG_BITS) + grown as u64, flags);
        drop(slices);
        drop(replaced);
        self.page.known = self.page.pieces.len();
        self.shown = self.page.known;
        Ok(())
    }

    /// Ends the log; nothing more will be appended.
    ///
    /// # Errors
    /// When it was evicted meanwhile.
    pub(crate) fn finish(mut self) -> Result<(), Evicted> {
        let mut done = Done::new();
        self.page.close(&mut done);
        self.publish(done, 0, FINISHED)
    }

    /// Ends the log before its time. What was appended can still be read.
    pub(crate) fn abort(self, code: CloseCode) {
        self.end_with(code);
    }

    fn end_with(&self, code: CloseCode) {
        let _slices = self.shared.slices.lock();
        if self.shared.published.load(Ordering::Relaxed) & (FINISHED | ABORTED) == 0 {
            let _ = self.shared.code.set(code);
            self.shared.publish(self.log().len(), ABORTED);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end_with(close::stream::CANCELLED);
    }
}

#[cfg(test)]
mod tests;
