//! Frames: the pieces that a control stream and a request consist of, read one by one without a byte more.
//!
//! Spec: RFC 9114, sections 7.1 and 9 (what has no meaning here is ignored), 10.5 (but not without end).

use tokio::io::{AsyncRead, AsyncReadExt as _, copy, sink};
use web_transport_proto::{Frame, VarInt};

use super::Violation;

/// Frames of HTTP/2 that HTTP/3 has no meaning for, DATA, pushes and the mark of a WebTransport stream: nothing that a request
/// or a control stream could begin with.
const MISPLACED: [u64; 7] = [0x00, 0x02, 0x05, 0x06, 0x08, 0x09, 0x41];

/// Type and length of a frame, at their shortest.
const HEAD_BYTES_MIN: u64 = 2;

/// A stream of frames.
#[derive(Debug)]
pub(super) struct Frames<S> {
    stream: S,
    /// Bytes that may still be ignored.
    patience: u64,
}

impl<S: AsyncRead + Unpin> Frames<S> {
    /// `patience`: how many bytes are ignored at most.
    pub(super) fn new(stream: S, patience: u64) -> Self {
        Self { stream, patience }
    }

    /// The same with another `patience`.
    pub(super) fn with_patience(self, patience: u64) -> Self {
        Self { patience, ..self }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// Type and length of the next frame, whose payload has to be read or skipped before the one after it. `None`: the stream
    /// has ended.
    ///
    /// # Errors
    /// When the stream ends within that, or can never be what is read here.
    pub(super) async fn next(&mut self) -> Result<Option<(Frame, u64)>, Violation> {
        let Some(kind) = VarInt::read_optional(&mut self.stream).await.map_err(|_| Violation::FrameCut)? else {
            return Ok(None);
        };
        if MISPLACED.contains(&kind.into_inner()) {
            return Err(Violation::FrameUnexpected);
        }
        let length = VarInt::read(&mut self.stream).await.map_err(|_| Violation::FrameCut)?;
        Ok(Some((Frame(kind), length.into_inner())))
    }

    /// The `length` bytes of a frame.
    ///
    /// # Errors
    /// When they are more than `most`, or fewer than they should be.
    pub(super) async fn payload(&mut self, length: u64, most: u64) -> Result<Vec<u8>, Violation> {
        if length > most {
            return Err(Violation::FrameTooLarge);
        }
        let mut payload = Vec::new();
        let read = (&mut self.stream).take(length).read_to_end(&mut payload).await;
        if read.is_ok_and(|read| read as u64 == length) { Ok(payload) } else { Err(Violation::FrameCut) }
    }

    /// Ignores a frame of `length` bytes.
    ///
    /// # Errors
    /// When too much was ignored already, or the stream ends within the frame.
    pub(super) async fn skip(&mut self, length: u64) -> Result<(), Violation> {
        let cost = length.saturating_add(HEAD_BYTES_MIN);
        self.patience = self.patience.checked_sub(cost).ok_or(Violation::TooMuchIgnored)?;
        let skipped = copy(&mut (&mut self.stream).take(length), &mut sink()).await;
        if skipped.is_ok_and(|skipped| skipped == length) { Ok(()) } else { Err(Violation::FrameCut) }
    }
}
