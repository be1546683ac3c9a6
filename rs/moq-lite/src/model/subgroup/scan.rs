//! Finds the frames in a stream of them, wherever the chunks it arrives in begin and end.

use moq_proto::{Framing, Timestamp};
use smallvec::SmallVec;

use super::{AppendError, FRAME_BYTES_MAX, FRAMES_MAX, FrameSpan};

/// Frames that a burst brought, each from its head on.
pub(super) type Found = SmallVec<[FrameSpan; 8]>;

/// Where one stream has got to.
#[derive(Debug)]
pub(super) struct Scanner {
    framing: Framing,
    /// Bytes scanned.
    at: u64,
    /// Where the current frame starts.
    start: u64,
    /// Where its payload ends, once its head is known.
    end: Option<u64>,
    /// The beginning of a head whose rest is still to come.
    head: SmallVec<[u8; Framing::HEAD_MAX]>,
    previous: Timestamp,
    frames: usize,
}

impl Scanner {
    pub(super) fn new(framing: Framing) -> Self {
        let (head, previous) = (SmallVec::new(), Timestamp::ZERO);
        Self { framing, at: 0, start: 0, end: None, head, previous, frames: 0 }
    }

    /// Whether everything scanned makes whole frames.
    pub(super) fn is_between_frames(&self) -> bool {
        self.end.is_none() && self.head.is_empty()
    }

    /// Goes on with `chunk`. Frames without a timestamp of their own get `arrival`.
    pub(super) fn scan(&mut self, mut chunk: &[u8], arrival: Timestamp, found: &mut Found) -> Result<(), AppendError> {
        while !chunk.is_empty() {
            match self.end {
                Some(end) => {
                    let taken = (end - self.at).min(chunk.len() as u64);
                    chunk = &chunk[taken as usize..];
                    self.at += taken;
                }
                None => chunk = self.scan_head(chunk, arrival, found)?,
            }
            if self.end == Some(self.at) {
                (self.start, self.end) = (self.at, None);
            }
        }
        Ok(())
    }

    /// Reads a head, or as much of it as there is; returns what follows it.
    fn scan_head<'a>(&mut self, chunk: &'a [u8], arrival: Timestamp, found: &mut Found) -> Result<&'a [u8], AppendError> {
        let before = self.head.len();
        let missing = Framing::HEAD_MAX - before;
        self.head.extend_from_slice(&chunk[..missing.min(chunk.len())]);
        let Some((head, length)) = self.framing.read_head(&self.head)? else {
            self.at += chunk.len() as u64;
            return Ok(&[]);
        };
        self.head.clear();
        let taken = length - before;
        self.at += taken as u64;

        if head.size > FRAME_BYTES_MAX {
            return Err(AppendError::FrameTooLarge { size: head.size, max: FRAME_BYTES_MAX });
        }
        if self.frames == FRAMES_MAX {
            return Err(AppendError::TooManyFrames { max: FRAMES_MAX });
        }
        let timestamp = match head.delta {
            None => arrival,
            Some(delta) => {
                let previous = self.previous;
                previous.checked_add(delta).ok_or(AppendError::Timestamp { previous, delta })?
            }
        };
        let end = self.at + head.size;
        found.push(FrameSpan { start: self.start, payload: self.at, end, timestamp });
        self.previous = timestamp;
        self.frames += 1;
        self.end = Some(end);
        Ok(&chunk[taken..])
    }
}
