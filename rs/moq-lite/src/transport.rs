//! What a session asks of a connection: streams, datagrams, close. Nothing else.
//!
//! Every backend fits behind these traits, and so does the one in memory (`testing::memory`). They are poll methods only
//! and ask for no `Send`, so a backend may keep a connection on one thread; auto traits pass through. Nothing here assumes
//! a task per connection.
//!
//! A [`Connection`] is a handle: clones share the connection and each keeps its own unfinished operation, so a clone is
//! what runs a second wait beside the first.

use std::{
    fmt::Debug,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// One side of an established connection, whatever carries it.
pub trait Connection: Clone + Debug + 'static {
    type SendStream: SendStream + 'static;
    type RecvStream: RecvStream;

    /// The application protocol that the transport negotiated, such as `moq-lite-05`. `None`: it negotiated none.
    fn protocol(&self) -> Option<&str>;

    /// What every unidirectional stream opened here starts with: the stream prefix of WebTransport, nothing elsewhere.
    ///
    /// Whoever opens the stream puts it before the first bytes, so that prefix, header and body leave in one write.
    /// Bidirectional streams carry their prefix already.
    fn uni_prefix(&self) -> Bytes;

    /// Opens a unidirectional stream; waits while the peer allows no more of them.
    fn poll_open_uni(&mut self, cx: &mut Context<'_>, rank: Rank) -> Poll<Result<Self::SendStream, ConnectionError>>;

    /// Opens a bidirectional stream; waits while the peer allows no more of them.
    fn poll_open_bi(&mut self, cx: &mut Context<'_>, rank: Rank) -> Poll<Result<BiStream<Self>, ConnectionError>>;

    /// The next unidirectional stream the peer opened, past its transport prefix.
    fn poll_accept_uni(&mut self, cx: &mut Context<'_>) -> Poll<Result<Self::RecvStream, ConnectionError>>;

    /// The next bidirectional stream the peer opened, past its transport prefix. Starts with [`Rank::CONTROL`].
    fn poll_accept_bi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BiStream<Self>, ConnectionError>>;

    /// Largest datagram payload that fits now, in bytes. `None`: this connection carries no datagrams.
    fn max_datagram_size(&self) -> Option<usize>;

    /// Sends one datagram if it fits and there is room; otherwise it is dropped. Returns whether it was taken.
    fn send_datagram(&mut self, payload: Bytes) -> bool;

    /// The next datagram that arrived. Pending for ever where there are none.
    fn poll_recv_datagram(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ConnectionError>>;

    /// Lets the peer open `streams` unidirectional streams at a time and send `window` bytes ahead of the reader.
    /// Called once media is expected; a backend that cannot change its mind ignores it.
    fn allow(&mut self, streams: u32, window: u32);

    /// Ends the connection with an application code and a reason of at most 1,024 bytes. The first close wins.
    fn close(&self, code: u32, reason: &str);

    /// Ready once the connection is over, with how it ended.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionError>;

    /// Whether nothing that was sent has been acknowledged for some time, or was until a moment ago: what is stale by now is then
    /// better taken back than sent again. Asked when a group begins and while there is no room, so that it may be found out.
    /// `false` where the transport does not know.
    fn is_strained(&self, now: Instant) -> bool;

    /// Whether it measures the round trip, though [`stats`](Self::stats) may not have it yet.
    fn measures_rtt(&self) -> bool;

    /// What the transport measured, as far as it knows.
    fn stats(&self) -> ConnectionStats;
}

/// A bidirectional stream of connection `C`.
pub type BiStream<C> = (<C as Connection>::SendStream, <C as Connection>::RecvStream);

/// The sending half of a stream. Dropping it without [`finish`](Self::finish) resets the stream with code 1, cancelled.
pub trait SendStream {
    /// Writes as much of `chunks` as fits now and takes it off their front; shares the bytes rather than copying them.
    ///
    /// Returns the bytes taken. When some are left over, `cx` is woken once there is room or the stream has failed; the next
    /// write begins with those very bytes, for a backend may hold a share of them already.
    fn try_write(&mut self, cx: &mut Context<'_>, chunks: &mut Chunks) -> Result<usize, StreamError>;

    /// Changes which stream goes first while several have bytes to send.
    fn set_rank(&mut self, rank: Rank);

    /// Ends the stream after what was written. Finishing twice is the same as once.
    fn finish(&mut self) -> Result<(), StreamError>;

    /// Abandons the stream with an application code of the session protocol; the backend maps it where needed.
    fn reset(&mut self, code: u32);

    /// Ready once everything sent was acknowledged, or the peer stopped the stream. Asked of groups only while a subscription
    /// ends, and of control streams while they wait for their peer.
    fn poll_acked(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>>;
}

/// A stream lent out, for as long as one task writes to it.
impl<S: SendStream> SendStream for &mut S {
    fn try_write(&mut self, cx: &mut Context<'_>, chunks: &mut Chunks) -> Result<usize, StreamError> {
        (**self).try_write(cx, chunks)
    }

    fn set_rank(&mut self, rank: Rank) {
        (**self).set_rank(rank);
    }

    fn finish(&mut self) -> Result<(), StreamError> {
        (**self).finish()
    }

    fn reset(&mut self, code: u32) {
        (**self).reset(code);
    }

    fn poll_acked(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        (**self).poll_acked(cx)
    }
}

/// The receiving half of a stream. Dropping it before its end stops the stream with code 1, cancelled.
pub trait RecvStream: 'static {
    /// Appends to `burst` everything the transport has right now, at most 64 chunks.
    ///
    /// `true`: at least one chunk was added. `false`: the peer finished the stream and everything was read.
    fn poll_read(&mut self, cx: &mut Context<'_>, burst: &mut Vec<Bytes>) -> Poll<Result<bool, StreamError>>;

    /// Tells the peer that nobody reads on, with an application code of the session protocol.
    fn stop(&mut self, code: u32);
}

/// Which stream goes first: higher first, equal ones share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(pub i32);

impl Rank {
    /// Control streams come before all media.
    pub const CONTROL: Self = Self(i32::MAX);
}

/// Bytes on their way into a stream: a few shared slices, taken from the front.
///
/// Never holds an empty slice.
#[derive(Debug, Default)]
pub struct Chunks {
    slices: smallvec::SmallVec<[Bytes; Self::SLICES_MAX + 1]>,
    /// Slices before this one are taken.
    next: usize,
}

impl Chunks {
    /// Most slices of one write, a head aside. With slices of at most 32 KiB that is half a MiB at a time.
    pub const SLICES_MAX: usize = 16;

    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a slice at the end; an empty one is left out.
    pub fn push(&mut self, slice: Bytes) {
        if !slice.is_empty() {
            self.slices.push(slice);
        }
    }

    /// What is left to write, in order.
    pub fn slices(&mut self) -> &mut [Bytes] {
        &mut self.slices[self.next..]
    }

    pub fn is_empty(&self) -> bool {
        self.next == self.slices.len()
    }

    /// Bytes left to write.
    pub fn len(&self) -> usize {
        self.slices[self.next..].iter().map(Bytes::len).sum()
    }

    /// Takes `whole` slices off the front; the backend has shortened a partly written one in place.
    pub fn advance_slices(&mut self, whole: usize) {
        self.next += whole;
        debug_assert!(self.next <= self.slices.len());
    }

    /// Takes `bytes` off the front.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn advance(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let slice = &mut self.slices[self.next];
            if bytes < slice.len() {
                slice.advance(bytes);
                return;
            }
            bytes -= slice.len();
            self.next += 1;
        }
    }

    /// Empties it, keeping its room.
    pub fn clear(&mut self) {
        self.slices.clear();
        self.next = 0;
    }
}

/// Gives its bytes away without copying them, as long as nobody asks across slices.
impl Buf for Chunks {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        self.slices.get(self.next).map_or(&[], |slice| slice)
    }

    fn advance(&mut self, bytes: usize) {
        Self::advance(self, bytes);
    }

    fn copy_to_bytes(&mut self, bytes: usize) -> Bytes {
        match self.slices.get(self.next) {
            Some(slice) if bytes <= slice.len() => {
                let taken = slice.slice(..bytes);
                Self::advance(self, bytes);
                taken
            }
            _ => {
                let mut taken = BytesMut::with_capacity(bytes);
                taken.put(self.take(bytes));
                taken.freeze()
            }
        }
    }
}

impl From<Bytes> for Chunks {
    fn from(slice: Bytes) -> Self {
        let mut chunks = Self::new();
        chunks.push(slice);
        chunks
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// One side closed it on purpose, with an application code.
    #[error("closed with code {code}{}{reason}", if reason.is_empty() { "" } else { ": " })]
    Closed { code: u32, reason: String },
    /// The transport gave up: idle, unreachable, or a violation of its own rules.
    #[error("connection lost: {0}")]
    Lost(String),
}

/// How a stream ended before its time. Codes are those of the session protocol, whatever the wire carries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The sender abandoned the stream.
    #[error("stream reset (code {0})")]
    Reset(u32),
    /// The receiver does not want the rest.
    #[error("stream stopped (code {0})")]
    Stopped(u32),
    /// This side finished or reset the stream before.
    #[error("stream already closed")]
    Closed,
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// What a transport measured. `None`: it does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionStats {
    pub rtt: Option<Duration>,
    /// Bits per second that the path takes, as the congestion control believes.
    pub send_bitrate: Option<u64>,
    pub bytes_sent: Option<u64>,
    pub bytes_received: Option<u64>,
    pub packets_lost: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_give_bytes_away_slice_by_slice_and_across() {
        let mut chunks = Chunks::new();
        for slice in ["one", "", "two", "three"] {
            chunks.push(Bytes::from(slice));
        }
        assert_eq!((chunks.len(), chunks.slices().len()), (11, 3));

        let shared = chunks.copy_to_bytes(2);
        assert_eq!(shared, "on");
        assert_eq!(chunks.chunk(), b"e");
        assert_eq!(chunks.copy_to_bytes(5), "etwot");
        chunks.advance(2);
        assert_eq!(chunks.copy_to_bytes(2), "ee");
        assert!(chunks.is_empty() && !chunks.has_remaining() && chunks.chunk().is_empty());
    }
}
