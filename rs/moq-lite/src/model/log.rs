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

use super::{
    cache::{Charge, ChargeError},
    lock::Lock,
};

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

/// How a log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With everything its writer had to say.
    Finished,
    /// Before its time.
    Aborted(CloseCode),
}

const FINISHED: u64 = 1;
const ABORTED: u64 = 2;
const FLAG_BITS: u32 = 2;

#[derive(Debug)]
struct Shared {
    /// Readable bytes above two flags, so that one load tells all.
    published: AtomicU64,
    code: OnceLock<CloseCode>,
    slices: Lock<Vec<Slice>>,
    charge: Arc<Charge>,
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
        let end = until.map_or(u64::MAX, |until| until).min(self.len());
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
    /// Bytes that went through pages so far, which tells how large the next one should be.
    copied: usize,
}

/// The page that small chunks are copied into at present.
#[derive(Debug, Default)]
struct Page {
    /// What is still free of it, and what was copied since the last piece was cut.
    buffer: BytesMut,
    pieces: Vec<Bytes>,
    bytes: usize,
    capacity: usize,
}

impl Page {
    fn room(&self) -> usize {
        self.buffer.capacity() - self.buffer.len()
    }

    /// Makes what was copied since the last piece into one.
    fn cut(&mut self) {
        if !self.buffer.is_empty() {
            self.pieces.push(self.buffer.split().freeze());
        }
    }

    /// Ends the page; what it holds goes to `done`, in few pieces and without much waste.
    fn close(&mut self, done: &mut impl Extend<Bytes>) {
        self.cut();
        let mut page = std::mem::take(self);
        if page.pieces.len() > PIECES_MAX || page.bytes * 2 < page.capacity {
            let mut whole = BytesMut::with_capacity(page.bytes);
            page.pieces.drain(..).for_each(|piece| whole.extend_from_slice(&piece));
            page.pieces.push(whole.freeze());
        }
        done.extend(page.pieces.into_iter().filter(|piece| !piece.is_empty()));
    }
}

impl Writer {
    pub(crate) fn new(charge: Arc<Charge>) -> Self {
        let (published, code, slices) = (AtomicU64::new(0), OnceLock::new(), Lock::default());
        let shared = Arc::new(Shared { published, code, slices, charge });
        Self { shared, page: Page::default(), copied: 0 }
    }

    pub(crate) fn log(&self) -> Log {
        Log { shared: self.shared.clone() }
    }

    pub(crate) fn len(&self) -> u64 {
        self.shared.published.load(Ordering::Relaxed) >> FLAG_BITS
    }

    /// Appends `chunks`, which are readable together once it returns.
    ///
    /// # Errors
    /// When the budget has no room, or the log was evicted; nothing is appended then.
    pub(crate) fn append(&mut self, chunks: &[Bytes]) -> Result<(), ChargeError> {
        let total: usize = chunks.iter().map(Bytes::len).sum();
        self.shared.charge.grow(total as u64)?;
        let small = chunks.iter().map(Bytes::len).filter(|len| *len < KEEP_BYTES_MIN).sum::<usize>();
        let expected = self.copied + small;

        // Pieces of the page that readers have already are replaced when the page is closed.
        let known = self.page.pieces.len();
        let mut done: SmallVec<[Bytes; 8]> = SmallVec::new();
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
        self.publish(known, done, total, 0)
    }

    fn copy(&mut self, mut chunk: &[u8], expected: usize, done: &mut impl Extend<Bytes>) {
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

    /// Shows readers `done`, in place of the `known` pieces they have of a page closed meanwhile, and the open page.
    fn publish(&self, known: usize, done: SmallVec<[Bytes; 8]>, grown: usize, flags: u64) -> Result<(), ChargeError> {
        let mut slices = self.shared.slices.lock();
        if self.shared.published.load(Ordering::Relaxed) & ABORTED != 0 {
            return Err(ChargeError::Evicted);
        }
        let kept = if done.is_empty() { known } else { 0 };
        let unchanged = slices.len() - (known - kept);
        let replaced: SmallVec<[Slice; 32]> = slices.drain(unchanged..).collect();
        let mut start = slices.last().map_or(0, |slice| slice.start + slice.bytes.len() as u64);
        for bytes in done.into_iter().chain(self.page.pieces[kept..].iter().cloned()) {
            let len = bytes.len() as u64;
            slices.push(Slice { start, bytes });
            start += len;
        }
        self.shared.publish(self.len() + grown as u64, flags);
        drop(slices);
        drop(replaced);
        Ok(())
    }

    /// Ends the log; nothing more will be appended.
    ///
    /// # Errors
    /// When it was evicted meanwhile.
    pub(crate) fn finish(mut self) -> Result<(), ChargeError> {
        let known = self.page.pieces.len();
        let mut done = SmallVec::new();
        self.page.close(&mut done);
        self.publish(known, done, 0, FINISHED)
    }

    /// Ends the log before its time. What was appended can still be read.
    pub(crate) fn abort(self, code: CloseCode) {
        self.end_with(code);
    }

    fn end_with(&self, code: CloseCode) {
        let _slices = self.shared.slices.lock();
        if self.shared.published.load(Ordering::Relaxed) & (FINISHED | ABORTED) == 0 {
            let _ = self.shared.code.set(code);
            self.shared.publish(self.len(), ABORTED);
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
