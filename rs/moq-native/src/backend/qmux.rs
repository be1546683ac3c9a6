//! qmux: streams over what has only one, a WebSocket or a socket of bytes.
//!
//! An adapter over the qmux crate, which frames, counts credit and keeps the connection alive in tasks of its own. It asks for
//! an async caller where a session polls; `stream` bridges that without giving up a byte. How the subprotocol is agreed on is
//! in `negotiate`, how plain sockets do it in `bytes`.
//!
//! A connection closes with code 0 when its last handle is gone, whatever its streams still hold.
//!
//! Spec: qmux drafts 00 to 02, and the framing called `webtransport` before them.

mod bytes;
mod counted;
mod ending;
mod negotiate;
mod stream;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use ::bytes::Bytes;
use futures::{Sink, Stream};
use moq_lite::transport::{self, BiStream, ConnectionError, ConnectionStats, Rank};
use qmux::ws::{KeepAlive, Upgraded};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, protocol::Role, protocol::WebSocketConfig},
};
use web_transport_trait::{Session as _, Stats as _};

pub use self::{
    bytes::{BytesError, accept_bytes, connect_bytes},
    negotiate::{NoCommonProtocol, negotiate, offer},
    stream::{RecvStream, SendStream},
};
use self::{
    counted::{Carried, Counted},
    ending::Ending,
};
use super::waiting::Waiting;

/// How often a peer is asked whether it is there. Browsers answer pings but cannot send any.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// How long a peer may be silent: three pings.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Longest WebSocket message, in bytes. Records and frames of qmux are at most 16 KiB; only the oldest framing has no limit
/// of its own, and its shipped senders stay near that.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Unidirectional streams that a peer may have open: it opens one a group, and waits for credit when this is less than what
/// it publishes at once. Framing over one connection has no second moment to allow more.
const UNI_STREAMS: u64 = 1024;

/// Bidirectional streams that a peer may have open: one a subscription, and a few for all else.
const BIDI_STREAMS: u64 = 1088;

/// An established connection over qmux.
#[derive(Clone, Debug)]
pub struct Connection {
    owner: Arc<Owner>,
    /// Whether its framing has pings of its own, by which the round trip is known after a moment.
    has_pings: bool,
    /// What its socket has carried, where that is counted.
    carried: Option<Arc<Carried>>,
    opened_uni: Waiting<Result<qmux::SendStream, qmux::Error>>,
    opened_bi: Waiting<Result<(qmux::SendStream, qmux::RecvStream), qmux::Error>>,
    accepted_uni: Waiting<Result<qmux::RecvStream, qmux::Error>>,
    accepted_bi: Waiting<Result<(qmux::SendStream, qmux::RecvStream), qmux::Error>>,
    datagrams: Waiting<Result<Bytes, qmux::Error>>,
    ended: Waiting<qmux::Error>,
}

/// What all handles of one connection share; the last of them closes it.
#[derive(Debug)]
struct Owner(Arc<Ending>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close(0, "");
    }
}

/// Serves a WebSocket whose upgrade is done. `subprotocol` is what [`negotiate()`] chose.
///
/// The peer may still say nothing for ever: whoever waits for its first message sets the deadline.
pub fn accept<T>(socket: T, subprotocol: Option<&str>) -> Connection
where
    T: Stream<Item = Result<Message, tungstenite::Error>> + Sink<Message, Error = tungstenite::Error> + Unpin + Send + 'static,
{
    Connection::new(upgraded(socket, subprotocol).accept(), has_pings(subprotocol))
}

/// Serves a WebSocket over `io`, an HTTP/1.1 connection after its 101. `subprotocol` is what [`negotiate()`] chose.
///
/// Set TCP_NODELAY on the socket beneath: records are small and each is awaited.
pub async fn accept_upgraded<I>(io: I, subprotocol: Option<&str>) -> Connection
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, carried) = Counted::new(io);
    accept(WebSocketStream::from_raw_socket(io, Role::Server, Some(websocket_config())).await, subprotocol).counting(carried)
}

/// Speaks to a server over a WebSocket whose upgrade is done. `subprotocol` is what the server chose.
pub fn connect<T>(socket: T, subprotocol: Option<&str>) -> Connection
where
    T: Stream<Item = Result<Message, tungstenite::Error>> + Sink<Message, Error = tungstenite::Error> + Unpin + Send + 'static,
{
    Connection::new(upgraded(socket, subprotocol).connect(), has_pings(subprotocol))
}

/// Whether the framing of a subprotocol has pings: those before qmux-01 have none.
fn has_pings(subprotocol: Option<&str>) -> bool {
    subprotocol.is_some_and(|name| ["qmux-01", "qmux-02"].iter().any(|framing| name.starts_with(framing)))
}

/// Limits of a WebSocket.
pub(crate) fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX)).max_frame_size(Some(MESSAGE_BYTES_MAX))
}

fn upgraded<T>(socket: T, subprotocol: Option<&str>) -> Upgraded<T>
where
    T: Stream<Item = Result<Message, tungstenite::Error>> + Sink<Message, Error = tungstenite::Error> + Unpin + Send + 'static,
{
    let upgraded = Upgraded::new(socket)
        .with_session_config(session_config(qmux::Version::QMux01))
        .with_keep_alive(KeepAlive::new(PING_INTERVAL, SILENCE_MAX));
    match subprotocol {
        Some(subprotocol) => upgraded.with_alpn(subprotocol),
        None => upgraded,
    }
}

/// What a peer may do. `version` is overruled where the handshake settles one.
fn session_config(version: qmux::Version) -> qmux::Config {
    let mut config = qmux::Config::new(version);
    config.max_streams_uni = UNI_STREAMS;
    config.max_streams_bidi = BIDI_STREAMS;
    config
}

impl Connection {
    fn new(session: qmux::Session, has_pings: bool) -> Self {
        Self {
            owner: Arc::new(Owner(Arc::new(Ending::new(session)))),
            has_pings,
            carried: None,
            opened_uni: Waiting::default(),
            opened_bi: Waiting::default(),
            accepted_uni: Waiting::default(),
            accepted_bi: Waiting::default(),
            datagrams: Waiting::default(),
            ended: Waiting::default(),
        }
    }

    fn counting(self, carried: Arc<Carried>) -> Self {
        Self { carried: Some(carried), ..self }
    }

    fn session(&self) -> &qmux::Session {
        self.owner.0.session()
    }

    fn halves(&self, (send, recv): (qmux::SendStream, qmux::RecvStream), rank: Rank) -> BiStream<Self> {
        (SendStream::new(send, rank, self.owner.0.clone()), RecvStream::new(recv, self.owner.0.clone()))
    }
}

impl transport::Connection for Connection {
    type SendStream = SendStream;
    type RecvStream = RecvStream;

    fn protocol(&self) -> Option<&str> {
        self.session().protocol()
    }

    fn uni_prefix(&self) -> Bytes {
        Bytes::new()
    }

    fn poll_open_uni(&mut self, cx: &mut Context<'_>, rank: Rank) -> Poll<Result<SendStream, ConnectionError>> {
        let ending = &self.owner.0;
        let begin = || each(ending.session(), |session| async move { session.open_uni().await });
        let opened = ready!(self.opened_uni.poll(cx, begin));
        Poll::Ready(opened.map(|stream| SendStream::new(stream, rank, ending.clone())).map_err(|error| ending.of(&error)))
    }

    fn poll_open_bi(&mut self, cx: &mut Context<'_>, rank: Rank) -> Poll<Result<BiStream<Self>, ConnectionError>> {
        let ending = &self.owner.0;
        let begin = || each(ending.session(), |session| async move { session.open_bi().await });
        let opened = ready!(self.opened_bi.poll(cx, begin)).map_err(|error| ending.of(&error))?;
        Poll::Ready(Ok(self.halves(opened, rank)))
    }

    fn poll_accept_uni(&mut self, cx: &mut Context<'_>) -> Poll<Result<RecvStream, ConnectionError>> {
        let ending = &self.owner.0;
        let begin = || each(ending.session(), |session| async move { session.accept_uni().await });
        let accepted = ready!(self.accepted_uni.poll(cx, begin));
        Poll::Ready(accepted.map(|stream| RecvStream::new(stream, ending.clone())).map_err(|error| ending.of(&error)))
    }

    fn poll_accept_bi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BiStream<Self>, ConnectionError>> {
        let ending = &self.owner.0;
        let begin = || each(ending.session(), |session| async move { session.accept_bi().await });
        let accepted = ready!(self.accepted_bi.poll(cx, begin)).map_err(|error| ending.of(&error))?;
        Poll::Ready(Ok(self.halves(accepted, Rank::CONTROL)))
    }

    fn max_datagram_size(&self) -> Option<usize> {
        // 0 until the peer said that it takes datagrams.
        Some(self.session().max_datagram_size()).filter(|size| *size > 0)
    }

    fn send_datagram(&mut self, payload: Bytes) -> bool {
        self.session().send_datagram(payload).is_ok()
    }

    fn poll_recv_datagram(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ConnectionError>> {
        let ending = &self.owner.0;
        let begin = || each(ending.session(), |session| async move { session.recv_datagram().await });
        Poll::Ready(ready!(self.datagrams.poll(cx, begin)).map_err(|error| ending.of(&error)))
    }

    fn allow(&mut self, _streams: u32, _window: u32) {
        // Allowances are settled with the first message of a connection.
    }

    fn close(&self, code: u32, reason: &str) {
        self.owner.0.close(code, reason);
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionError> {
        let ending = &self.owner.0;
        let begin = || each(ending.session(), |session| async move { session.closed().await });
        Poll::Ready(ending.of(&ready!(self.ended.poll(cx, begin))))
    }

    fn is_strained(&self, _now: Instant) -> bool {
        false
    }

    fn measures_rtt(&self) -> bool {
        self.has_pings
    }

    fn stats(&self) -> ConnectionStats {
        let stats = self.session().stats();
        let mut known = ConnectionStats::default();
        known.rtt = stats.rtt();
        known.send_bitrate = stats.estimated_send_rate();
        let carried = self.carried.as_deref();
        known.bytes_sent = carried.map(|carried| carried.sent.load(Relaxed)).or(stats.bytes_sent());
        known.bytes_received = carried.map(|carried| carried.received.load(Relaxed)).or(stats.bytes_received());
        known.packets_lost = stats.packets_lost();
        known
    }
}

/// The results of `operation`, one after the other, without end.
fn each<T, O, F>(session: &qmux::Session, operation: O) -> impl Stream<Item = T> + Send + Sync + use<T, O, F>
where
    O: Fn(qmux::Session) -> F + Send + Sync,
    F: Future<Output = T> + Send + Sync,
{
    futures::stream::unfold((session.clone(), operation), |(session, operation)| async move {
        let result = operation(session.clone()).await;
        Some((result, (session, operation)))
    })
}
