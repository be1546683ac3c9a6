//! Arrivals: the streams a peer opens, past their WebTransport prefix, and what becomes of those that are not for us.
//!
//! A stream whose prefix is still on its way holds nobody else up. How many there can be is bounded by the streams that the
//! peer may open.
//!
//! Spec: WebTransport over HTTP/3, section 4; RFC 9114, section 6.2.

use std::{
    fmt,
    future::poll_fn,
    io::Cursor,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use futures::{
    Stream,
    stream::{FuturesUnordered, StreamExt},
};
use quinn::VarInt;
use tokio::io::{AsyncReadExt as _, Chain};

use super::prefix::{Direction, Kind, PrefixReader};
use crate::backend::waiting::Waiting;

/// H3_STREAM_CREATION_ERROR: this side has no use for a stream of that type (RFC 9114, section 8.1).
const STREAM_CREATION_ERROR: VarInt = VarInt::from_u32(0x103);

/// WEBTRANSPORT_BUFFERED_STREAM_REJECTED: the stream belongs to a session that does not exist.
const STREAM_REJECTED: VarInt = VarInt::from_u32(0x3994_bd84);

/// A peer's stream as quinn hands it over.
pub(super) trait Arrival: Send + Sync + Unpin + 'static {
    fn recv(&mut self) -> &mut quinn::RecvStream;

    /// Refuses the stream with a code of HTTP/3.
    fn refuse(self, code: VarInt);

    /// The receiving half alone.
    fn into_recv(self) -> quinn::RecvStream;
}

impl Arrival for quinn::RecvStream {
    fn recv(&mut self) -> &mut quinn::RecvStream {
        self
    }

    fn refuse(mut self, code: VarInt) {
        // Fails on a stream that is over, which is as good.
        let _ = self.stop(code);
    }

    fn into_recv(self) -> quinn::RecvStream {
        self
    }
}

impl Arrival for (quinn::SendStream, quinn::RecvStream) {
    fn recv(&mut self) -> &mut quinn::RecvStream {
        &mut self.1
    }

    fn refuse(mut self, code: VarInt) {
        let _ = self.0.reset(code);
        self.1.refuse(code);
    }

    fn into_recv(self) -> quinn::RecvStream {
        self.1
    }
}

/// A client's control stream, past its type.
pub(super) type Control = Chain<Cursor<Vec<u8>>, quinn::RecvStream>;

/// Streams that HTTP/3 forbids to close while the connection lives: the peer's two of QPACK and its control stream.
#[derive(Debug, Default)]
pub(super) struct Critical(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    qpack: Vec<quinn::RecvStream>,
    /// The control stream, until it is taken.
    control: Option<Control>,
    has_control: bool,
}

impl Critical {
    const QPACK_STREAMS: usize = 2;

    /// For a connection whose control stream is in other hands.
    pub(super) fn without_control() -> Self {
        Self(Mutex::new(Kept { has_control: true, ..Kept::default() }))
    }

    /// The peer's control stream, once. `None`: it has not come yet.
    pub(super) fn take_control(&self) -> Option<Control> {
        self.kept().control.take()
    }

    /// Keeps a stream of QPACK open unread; one too many is refused.
    fn keep_qpack(&self, stream: quinn::RecvStream) {
        let mut kept = self.kept();
        if kept.qpack.len() < Self::QPACK_STREAMS {
            kept.qpack.push(stream);
        } else {
            stream.refuse(STREAM_CREATION_ERROR);
        }
    }

    /// Keeps the control stream, of which `begun` was read already; a second one is refused.
    fn keep_control(&self, stream: quinn::RecvStream, begun: &[u8]) {
        let mut kept = self.kept();
        if kept.has_control {
            stream.refuse(STREAM_CREATION_ERROR);
        } else {
            kept.has_control = true;
            kept.control = Some(Cursor::new(begun.to_vec()).chain(stream));
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The streams of one direction, for one handle of a connection. A clone starts with none.
pub(super) struct Arrivals<A> {
    opened: Waiting<Result<A, quinn::ConnectionError>>,
    /// Streams whose prefix is on its way. `None`: there were none yet, as in most clones.
    unread: Option<FuturesUnordered<Unread<A>>>,
}

type Unread<A> = Pin<Box<dyn Future<Output = (A, PrefixReader, Kind)> + Send + Sync>>;

impl<A: Arrival> Arrivals<A> {
    /// Whether nothing was asked for through this handle yet.
    pub(super) fn is_idle(&self) -> bool {
        self.opened.is_idle()
    }

    /// The next stream of the session. `prefixed`: whether streams have a prefix, and of which direction.
    pub(super) fn poll<S>(
        &mut self,
        cx: &mut Context<'_>,
        accept: impl Fn() -> S,
        prefixed: Option<Direction>,
        critical: &Critical,
    ) -> Poll<Result<A, quinn::ConnectionError>>
    where
        S: Stream<Item = Result<A, quinn::ConnectionError>> + Send + Sync + 'static,
    {
        let Some(direction) = prefixed else {
            return self.opened.poll(cx, accept);
        };
        while let Poll::Ready(opened) = self.opened.poll(cx, &accept) {
            let mut stream = opened?;
            let mut prefix = PrefixReader::new(direction);
            match prefix.poll(cx, stream.recv()) {
                Poll::Ready(kind) => {
                    if let Some(stream) = sort(stream, &prefix, kind, critical) {
                        return Poll::Ready(Ok(stream));
                    }
                }
                Poll::Pending => self.unread.get_or_insert_default().push(Box::pin(async move {
                    let kind = poll_fn(|cx| prefix.poll(cx, stream.recv())).await;
                    (stream, prefix, kind)
                })),
            }
        }
        let Some(unread) = &mut self.unread else {
            return Poll::Pending;
        };
        while let Some((stream, prefix, kind)) = ready!(unread.poll_next_unpin(cx)) {
            if let Some(stream) = sort(stream, &prefix, kind, critical) {
                return Poll::Ready(Ok(stream));
            }
        }
        Poll::Pending
    }
}

/// Hands on a stream of the session and does with any other what HTTP/3 asks.
fn sort<A: Arrival>(stream: A, prefix: &PrefixReader, kind: Kind, critical: &Critical) -> Option<A> {
    match kind {
        Kind::Session => return Some(stream),
        Kind::OtherSession => stream.refuse(STREAM_REJECTED),
        Kind::Foreign => stream.refuse(STREAM_CREATION_ERROR),
        Kind::Qpack => critical.keep_qpack(stream.into_recv()),
        Kind::Control => critical.keep_control(stream.into_recv(), prefix.after_type()),
        Kind::Cut => {}
    }
    tracing::debug!(?kind, "stream is not the session's");
    None
}

impl<A> Default for Arrivals<A> {
    fn default() -> Self {
        Self { opened: Waiting::default(), unread: None }
    }
}

impl<A> Clone for Arrivals<A> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<A> fmt::Debug for Arrivals<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrivals").field("unread", &self.unread.as_ref().map(FuturesUnordered::len)).finish()
    }
}
