//! Streams over QUIC: shared bytes into quinn, shared bytes out of it, and the codes they end with.
//!
//! Codes travel in WebTransport's mapping, on raw QUIC too, because that is what shipped peers understand there. A received
//! code outside that range is taken as it is.
//!
//! Spec: WebTransport over HTTP/3, section 4.3 (mapping of application error codes).

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use moq_lite::transport::{self, Chunks, Rank, StreamError};
use moq_proto::close;
use quinn::{ReadError, StoppedError, VarInt, WriteError};
use web_transport_proto::{error_from_http3, error_to_http3};

use super::Shared;

/// Most chunks of one read.
const BURST_CHUNKS: usize = 64;

/// The sending half of a stream.
pub struct SendStream {
    quinn: quinn::SendStream,
    /// What is left of the transport's own prefix; it goes before everything else.
    prefix: Bytes,
    state: State,
    acked: Option<Acked>,
    /// Whether the peer opened it, and it counts against what the peer may open.
    is_peers: bool,
    shared: Arc<Shared>,
}

type Acked = Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>> + Send + Sync>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Finished,
    Reset,
}

impl SendStream {
    pub(super) fn new(quinn: quinn::SendStream, rank: Rank, shared: Arc<Shared>) -> Self {
        let mut stream = Self { quinn, prefix: Bytes::new(), state: State::Open, acked: None, is_peers: false, shared };
        transport::SendStream::set_rank(&mut stream, rank);
        stream
    }

    /// Counts as the peer's.
    pub(super) fn of_peer(mut self) -> Self {
        self.is_peers = true;
        self
    }

    /// Puts `prefix` before whatever is written, at once if there is room.
    pub(super) fn begin_with(&mut self, cx: &mut Context<'_>, prefix: Bytes) {
        self.prefix = prefix;
        // What does not fit waits for the first write; a failure shows there again.
        let _ = self.write_prefix(cx);
    }

    /// Whether the prefix is out of the way; if not, `cx` is woken once there is room.
    fn write_prefix(&mut self, cx: &mut Context<'_>) -> Result<bool, WriteError> {
        while !self.prefix.is_empty() {
            let prefix = std::slice::from_mut(&mut self.prefix);
            let Poll::Ready(written) = pin!(self.quinn.write_chunks(prefix)).poll(cx) else {
                return Ok(false);
            };
            written?;
        }
        Ok(true)
    }

    fn write(&mut self, cx: &mut Context<'_>, chunks: &mut Chunks) -> Result<usize, WriteError> {
        if !self.write_prefix(cx)? {
            return Ok(0);
        }
        let mut taken = 0;
        // quinn keeps the waker only when nothing was written, so a short write is followed by another.
        while !chunks.is_empty() {
            let Poll::Ready(written) = pin!(self.quinn.write_chunks(chunks.slices())).poll(cx) else {
                break;
            };
            let written = written?;
            chunks.advance_slices(written.chunks);
            taken += written.bytes;
        }
        Ok(taken)
    }
}

impl transport::SendStream for SendStream {
    fn try_write(&mut self, cx: &mut Context<'_>, chunks: &mut Chunks) -> Result<usize, StreamError> {
        let written = self.write(cx, chunks);
        if !chunks.is_empty() && written.is_ok() {
            self.shared.make_room(Instant::now(), true);
        }
        written.map_err(|error| match error {
            WriteError::Stopped(code) => StreamError::Stopped(from_wire(code)),
            WriteError::ConnectionLost(lost) => self.shared.ending.of(lost).into(),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => StreamError::Closed,
        })
    }

    fn set_rank(&mut self, rank: Rank) {
        // Fails on a stream that is over, where rank means nothing.
        let _ = self.quinn.set_priority(rank.0);
    }

    fn finish(&mut self) -> Result<(), StreamError> {
        match self.state {
            State::Finished => Ok(()),
            State::Reset => Err(StreamError::Closed),
            // Half a prefix says nothing to the peer.
            State::Open if !self.prefix.is_empty() => {
                self.reset(close::stream::CANCELLED.get());
                Err(StreamError::Closed)
            }
            State::Open => {
                self.state = State::Finished;
                self.quinn.finish().map_err(|_| StreamError::Closed)
            }
        }
    }

    fn reset(&mut self, code: u32) {
        if self.state != State::Reset {
            self.state = State::Reset;
            // Fails on a stream that is over, which is as good.
            let _ = self.quinn.reset(to_wire(code));
        }
    }

    fn poll_acked(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        if self.state == State::Reset {
            return Poll::Ready(Err(StreamError::Closed));
        }
        let acked = self.acked.get_or_insert_with(|| Box::pin(self.quinn.stopped()));
        let result = ready!(acked.as_mut().poll(cx));
        self.acked = None;
        Poll::Ready(match result {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(StreamError::Stopped(from_wire(code))),
            Err(StoppedError::ConnectionLost(lost)) => Err(self.shared.ending.of(lost).into()),
            Err(StoppedError::ZeroRttRejected) => Err(StreamError::Closed),
        })
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        // Left alone, quinn would finish the stream and pass half a group off as a whole one.
        if self.state == State::Open {
            let _ = self.quinn.reset(to_wire(close::stream::CANCELLED.get()));
        }
        if self.is_peers {
            self.shared.bidi_streams.closed();
        }
    }
}

/// The receiving half of a stream.
pub struct RecvStream {
    quinn: quinn::RecvStream,
    /// Finished, reset or stopped: nothing more to read, and nobody to tell.
    is_over: bool,
    shared: Arc<Shared>,
}

impl RecvStream {
    pub(super) fn new(quinn: quinn::RecvStream, shared: Arc<Shared>) -> Self {
        Self { quinn, is_over: false, shared }
    }
}

impl transport::RecvStream for RecvStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, burst: &mut Vec<Bytes>) -> Poll<Result<bool, StreamError>> {
        if self.is_over {
            return Poll::Ready(Ok(false));
        }
        let before = burst.len();
        burst.resize(before + BURST_CHUNKS, Bytes::new());
        let read = pin!(self.quinn.read_chunks(&mut burst[before..])).poll(cx);
        let added = if let Poll::Ready(Ok(Some(added))) = read { added } else { 0 };
        burst.truncate(before + added);

        let result = match ready!(read) {
            Ok(Some(_)) => return Poll::Ready(Ok(true)),
            Ok(None) => Ok(false),
            Err(ReadError::Reset(code)) => Err(StreamError::Reset(from_wire(code))),
            Err(ReadError::ConnectionLost(lost)) => Err(self.shared.ending.of(lost).into()),
            Err(ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected) => Err(StreamError::Closed),
        };
        self.is_over = true;
        Poll::Ready(result)
    }

    fn stop(&mut self, code: u32) {
        if !self.is_over {
            self.is_over = true;
            // Fails on a stream that is over, which is as good.
            let _ = self.quinn.stop(to_wire(code));
        }
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        transport::RecvStream::stop(self, close::stream::CANCELLED.get());
    }
}

fn to_wire(code: u32) -> VarInt {
    VarInt::from_u64(error_to_http3(code)).unwrap_or(VarInt::MAX)
}

/// The mapped code, or the number itself where it is not one: peers that drop a stream send a plain 0.
fn from_wire(code: VarInt) -> u32 {
    let code = code.into_inner();
    error_from_http3(code).unwrap_or_else(|| u32::try_from(code).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_survive_the_mapping_and_plain_ones_pass() {
        for code in [0, 1, 29, 30, 31, 0x36, u32::MAX] {
            assert_eq!(from_wire(to_wire(code)), code);
        }
        assert_eq!(to_wire(0x36).into_inner(), 0x52e4_a40f_a912);
        for (plain, code) in [(0, 0), (15, 15), (0x10c, 0x10c), (1 << 40, u32::MAX)] {
            assert_eq!(from_wire(VarInt::from_u64(plain).unwrap()), code);
        }
    }
}
