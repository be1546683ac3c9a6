//! Images: a subgroup in another framing than its publisher's.
//!
//! Made once for a group and framing, however many viewers need it: the first of a turn catches it up, the others read.
//! A frame that is still arriving is passed on as it grows. From timed to sized the times are left out; from sized to timed
//! they are the times of arrival. Spec: moq-lite-05, "FRAME"; moq-lite-04, "FRAME".

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use moq_proto::{CloseCode, FrameHead, Framing, Timestamp, Writer, close};

use super::{
    cache::Charge,
    lock::Lock,
    log::{self, Ending, Evicted, Log},
    subgroup::{FrameSpan, Frames, Subgroup},
};

/// Slices gathered before they are appended.
const BATCH_SLICES: usize = 64;

/// A subgroup in the framing `framing`.
#[derive(Debug)]
pub(crate) struct Image {
    framing: Framing,
    source: Arc<Subgroup>,
    log: Log,
    frames: Frames,
    charge: Arc<Charge>,
    /// The mark of the source's log up to which this is caught up.
    seen: AtomicU64,
    copyist: Lock<Copyist>,
}

/// How far the copying has got.
#[derive(Debug)]
struct Copyist {
    /// `None` once the image has ended.
    writer: Option<log::Writer>,
    /// Bytes of the source that are dealt with.
    cursor: u64,
    /// Bytes of the image, with those not appended yet.
    written: u64,
    /// The frame at the cursor.
    next: usize,
    previous: Timestamp,
}

/// The head of a frame that follows one at `previous`.
pub(crate) fn head(framing: Framing, span: &FrameSpan, previous: Timestamp) -> Bytes {
    let mut head = Writer::new();
    let delta = Some(span.timestamp.since(previous));
    framing.write_head(FrameHead { delta, size: span.end - span.payload }, &mut head);
    head.into_bytes()
}

impl Image {
    pub(crate) fn new(source: Arc<Subgroup>, framing: Framing, charge: Arc<Charge>) -> Self {
        let writer = log::Writer::new(charge.clone());
        let log = writer.log();
        let copyist = Copyist { writer: Some(writer), cursor: 0, written: 0, next: 0, previous: Timestamp::ZERO };
        let (frames, seen, copyist) = (Frames::default(), AtomicU64::new(0), Lock::new(copyist));
        Self { framing, source, log, frames, charge, seen, copyist }
    }

    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    pub(crate) fn source(&self) -> &Arc<Subgroup> {
        &self.source
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    /// Catches up with the source. Two atomic loads when there is nothing new.
    pub(crate) fn sync(&self) {
        if self.source.log().mark() == self.seen.load(Ordering::Acquire) {
            return;
        }
        let mut copyist = self.copyist.lock();
        let mark = self.source.log().mark();
        if copyist.catch_up(self).is_err() {
            copyist.give_up(close::stream::EVICTED);
        }
        self.seen.store(mark, Ordering::Release);
        drop(copyist);
        // Others may have to be evicted for it, which is not done under a lock.
        if self.charge.make_room().is_err() {
            self.copyist.lock().give_up(close::stream::NO_CAPACITY);
        }
    }
}

impl Copyist {
    fn give_up(&mut self, code: CloseCode) {
        if let Some(writer) = self.writer.take() {
            writer.abort(code);
        }
    }

    /// Copies what there is to copy.
    ///
    /// # Errors
    /// When source or image were evicted.
    fn catch_up(&mut self, image: &Image) -> Result<(), Evicted> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let source = image.source.log();
        // How it ended is asked first, so that nothing is appended to it afterwards.
        let ending = source.ending();
        let mut batch = Vec::new();
        while let Some(span) = image.source.frames().get(self.next) {
            if self.cursor < span.payload {
                let head = head(image.framing, &span, self.previous);
                let payload = self.written + head.len() as u64;
                let end = payload + (span.end - span.payload);
                image.charge.add(head.len() as u64 + Frames::charge(1)).map_err(|_| Evicted)?;
                image.frames.extend([FrameSpan { start: self.written, payload, end, ..span }]);
                (self.previous, self.cursor, self.written) = (span.timestamp, span.payload, payload);
                batch.push(head);
            }
            let arrived = span.end.min(source.len());
            while self.cursor < arrived {
                let copied = source.unread(self.cursor, Some(arrived), |slice| batch.push(slice));
                if copied == 0 {
                    return Err(Evicted);
                }
                image.charge.add(copied).map_err(|_| Evicted)?;
                self.cursor += copied;
                self.written += copied;
                if batch.len() >= BATCH_SLICES {
                    writer.append(&batch)?;
                    batch.clear();
                }
            }
            if self.cursor < span.end {
                break;
            }
            self.next += 1;
        }
        if !batch.is_empty() {
            writer.append(&batch)?;
        }
        match ending {
            None => Ok(()),
            Some(Ending::Finished) => self.writer.take().map_or(Ok(()), log::Writer::finish),
            Some(Ending::Aborted(code)) => {
                self.give_up(code);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
