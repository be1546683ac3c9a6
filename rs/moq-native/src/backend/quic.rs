//! QUIC: raw, and as WebTransport over HTTP/3. The two differ by a prefix on streams and datagrams and in how they close.
//!
//! quinn carries the bytes. What HTTP/3 asks around them, SETTINGS, CONNECT and the closing capsule, is done by `http3` on the
//! side of a server and by web-transport-quinn on that of a client; streams are opened and accepted on the quinn connection
//! itself, so no byte passes through a second layer.
//!
//! A connection closes with code 0 when its last handle is gone, whatever its streams still hold.
//!
//! Spec: WebTransport over HTTP/3 (drafts 02 to 14); moq-lite-06, "Session".

pub(crate) mod allowance;
mod arrivals;
pub(crate) mod congestion;
mod ending;
pub mod http3;
mod prefix;
mod silence;
mod stream;
pub(crate) mod window;

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use moq_lite::transport::{self, BiStream, ConnectionError, ConnectionStats, Rank};

pub use self::stream::{RecvStream, SendStream};
use self::{
    allowance::BidiStreams,
    arrivals::{Arrivals, Critical},
    ending::Ending,
    http3::Lobby,
    prefix::Direction,
    window::{Path, SendWindow},
};
use super::waiting::Waiting;

/// Unidirectional streams that HTTP/3 itself needs: control and the two of QPACK (RFC 9114, section 6.2).
const HTTP3_STREAMS: u32 = 3;

/// An established connection over QUIC.
#[derive(Clone, Debug)]
pub struct Connection {
    owner: Arc<Owner>,
    opened_uni: Waiting<Result<quinn::SendStream, quinn::ConnectionError>>,
    opened_bi: Waiting<Result<(quinn::SendStream, quinn::RecvStream), quinn::ConnectionError>>,
    accepted_uni: Arrivals<quinn::RecvStream>,
    accepted_bi: Arrivals<(quinn::SendStream, quinn::RecvStream)>,
    datagrams: Waiting<Result<Bytes, quinn::ConnectionError>>,
    ended: Waiting<quinn::ConnectionError>,
}

/// The last handle closes the connection.
#[derive(Debug)]
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.ending.close(0, "");
    }
}

/// What the handles of one connection and its streams share.
#[derive(Debug)]
struct Shared {
    quinn: quinn::Connection,
    protocol: Option<String>,
    /// Whether HTTP/3 lies between QUIC and the session, so that streams and datagrams have a prefix.
    is_web_transport: bool,
    critical: Critical,
    /// Streams that came before the session began.
    lobby: Mutex<Lobby>,
    ending: Ending,
    bidi_streams: BidiStreams,
    send_window: SendWindow,
}

impl Connection {
    /// Raw QUIC, once its handshake is done.
    pub fn raw(quinn: quinn::Connection) -> Self {
        let protocol = negotiated(&quinn).and_then(|alpn| String::from_utf8(alpn).ok());
        let streams = (Critical::without_control(), Lobby::default());
        Self::new(quinn.clone(), protocol, false, Ending::raw(quinn), streams)
    }

    /// A client's WebTransport session, once its CONNECT was answered. It has the QUIC connection to itself.
    pub fn web_transport(session: web_transport_quinn::Session) -> Self {
        let quinn = quinn::Connection::clone(&session);
        let protocol = session.protocol().map(str::to_owned);
        let streams = (Critical::without_control(), Lobby::default());
        Self::new(quinn, protocol, true, Ending::web_transport(session), streams)
    }

    /// A server's WebTransport session, once it was granted. Call it inside a tokio runtime, which then looks after its end.
    pub(crate) fn served(session: http3::Session) -> Self {
        let http3::Session { protocol, streams, critical, lobby } = session;
        let quinn = streams.connection.clone();
        Self::new(quinn, protocol, true, Ending::served(streams), (critical, lobby))
    }

    fn new(
        quinn: quinn::Connection,
        protocol: Option<String>,
        is_web_transport: bool,
        ending: Ending,
        (critical, lobby): (Critical, Lobby),
    ) -> Self {
        let shared = Shared {
            quinn,
            protocol,
            is_web_transport,
            critical,
            lobby: Mutex::new(lobby),
            ending,
            bidi_streams: BidiStreams::default(),
            send_window: SendWindow::new(Instant::now()),
        };
        Self {
            owner: Arc::new(Owner(Arc::new(shared))),
            opened_uni: Waiting::default(),
            opened_bi: Waiting::default(),
            accepted_uni: Arrivals::default(),
            accepted_bi: Arrivals::default(),
            datagrams: Waiting::default(),
            ended: Waiting::default(),
        }
    }

    fn send_half(&self, stream: quinn::SendStream, rank: Rank) -> SendStream {
        SendStream::new(stream, rank, self.owner.0.clone())
    }

    fn recv_half(&self, stream: quinn::RecvStream) -> RecvStream {
        RecvStream::new(stream, self.owner.0.clone())
    }
}

impl transport::Connection for Connection {
    type SendStream = SendStream;
    type RecvStream = RecvStream;

    fn protocol(&self) -> Option<&str> {
        self.owner.0.protocol.as_deref()
    }

    fn uni_prefix(&self) -> Bytes {
        if self.owner.0.is_web_transport { prefix::UNI } else { Bytes::new() }
    }

    fn poll_open_uni(&mut self, cx: &mut Context<'_>, rank: Rank) -> Poll<Result<SendStream, ConnectionError>> {
        let quinn = &self.owner.0.quinn;
        if self.opened_uni.is_idle()
            && let Poll::Ready(opened) = pin!(quinn.open_uni()).poll(cx)
        {
            return Poll::Ready(opened.map(|stream| self.send_half(stream, rank)).map_err(|lost| self.owner.0.ending.of(lost)));
        }
        let opened = ready!(self.opened_uni.poll(cx, || each(quinn, |quinn| async move { quinn.open_uni().await })));
        Poll::Ready(opened.map(|stream| self.send_half(stream, rank)).map_err(|lost| self.owner.0.ending.of(lost)))
    }

    fn poll_open_bi(&mut self, cx: &mut Context<'_>, rank: Rank) -> Poll<Result<BiStream<Self>, ConnectionError>> {
        let quinn = &self.owner.0.quinn;
        let opened = ready!(self.opened_bi.poll(cx, || each(quinn, |quinn| async move { quinn.open_bi().await })));
        let (send, recv) = opened.map_err(|lost| self.owner.0.ending.of(lost))?;
        let mut send = self.send_half(send, rank);
        if self.owner.0.is_web_transport {
            send.begin_with(cx, prefix::BI);
        }
        Poll::Ready(Ok((send, self.recv_half(recv))))
    }

    fn poll_accept_uni(&mut self, cx: &mut Context<'_>) -> Poll<Result<RecvStream, ConnectionError>> {
        let Shared { quinn, is_web_transport, critical, lobby, .. } = &*self.owner.0;
        if self.accepted_uni.is_idle() {
            let mut lobby = lobby.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(stream) = lobby.stream() {
                return Poll::Ready(Ok(self.recv_half(stream)));
            }
            self.accepted_uni = lobby.take();
        }
        let arrivals = || each(quinn, |quinn| async move { quinn.accept_uni().await });
        let prefix = is_web_transport.then_some(Direction::Uni);
        let accepted = ready!(self.accepted_uni.poll(cx, arrivals, prefix, critical));
        Poll::Ready(accepted.map(|stream| self.recv_half(stream)).map_err(|lost| self.owner.0.ending.of(lost)))
    }

    fn poll_accept_bi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BiStream<Self>, ConnectionError>> {
        let Shared { quinn, is_web_transport, critical, .. } = &*self.owner.0;
        let arrivals = || each(quinn, |quinn| async move { quinn.accept_bi().await });
        let prefix = is_web_transport.then_some(Direction::Bi);
        let (send, recv) =
            ready!(self.accepted_bi.poll(cx, arrivals, prefix, critical)).map_err(|lost| self.owner.0.ending.of(lost))?;
        if let Some(streams) = self.owner.0.bidi_streams.opened() {
            self.owner.0.quinn.set_max_concurrent_bi_streams(streams.into());
        }
        Poll::Ready(Ok((self.send_half(send, Rank::CONTROL).of_peer(), self.recv_half(recv))))
    }

    fn max_datagram_size(&self) -> Option<usize> {
        let prefix = if self.owner.0.is_web_transport { prefix::DATAGRAM.len() } else { 0 };
        self.owner.0.quinn.max_datagram_size()?.checked_sub(prefix)
    }

    fn send_datagram(&mut self, payload: Bytes) -> bool {
        let datagram = if self.owner.0.is_web_transport {
            let mut datagram = BytesMut::with_capacity(prefix::DATAGRAM.len() + payload.len());
            datagram.extend_from_slice(&prefix::DATAGRAM);
            datagram.extend_from_slice(&payload);
            datagram.freeze()
        } else {
            payload
        };
        // quinn makes room by dropping older datagrams; the session would rather lose the newest than be told nothing.
        self.owner.0.quinn.datagram_send_buffer_space() >= datagram.len() && self.owner.0.quinn.send_datagram(datagram).is_ok()
    }

    fn poll_recv_datagram(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ConnectionError>> {
        let quinn = &self.owner.0.quinn;
        loop {
            let datagram = ready!(self.datagrams.poll(cx, || each(quinn, |quinn| async move { quinn.read_datagram().await })))
                .map_err(|lost| self.owner.0.ending.of(lost))?;
            if !self.owner.0.is_web_transport {
                return Poll::Ready(Ok(datagram));
            }
            if datagram.starts_with(&prefix::DATAGRAM) {
                return Poll::Ready(Ok(datagram.slice(prefix::DATAGRAM.len()..)));
            }
            tracing::trace!("datagram of another session dropped");
        }
    }

    fn allow(&mut self, streams: u32, window: u32) {
        let of_http3 = if self.owner.0.is_web_transport { HTTP3_STREAMS } else { 0 };
        self.owner.0.quinn.set_max_concurrent_uni_streams(streams.saturating_add(of_http3).into());
        self.owner.0.quinn.set_receive_window(window.into());
    }

    fn close(&self, code: u32, reason: &str) {
        self.owner.0.ending.close(code, reason);
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionError> {
        let quinn = &self.owner.0.quinn;
        let lost = ready!(self.ended.poll(cx, || each(quinn, |quinn| async move { quinn.closed().await })));
        Poll::Ready(self.owner.0.ending.of(lost))
    }

    fn is_strained(&self, now: Instant) -> bool {
        self.owner.0.make_room(now, false);
        self.owner.0.send_window.is_strained()
    }

    fn measures_rtt(&self) -> bool {
        true
    }

    fn stats(&self) -> ConnectionStats {
        let stats = self.owner.0.quinn.stats();
        let mut known = ConnectionStats::default();
        known.rtt = Some(stats.path.rtt);
        known.send_bitrate = bitrate(stats.path.cwnd, stats.path.rtt);
        known.bytes_sent = Some(stats.udp_tx.bytes);
        known.bytes_received = Some(stats.udp_rx.bytes);
        known.packets_lost = Some(stats.path.lost_packets);
        known
    }
}

impl Shared {
    /// Lets more bytes wait for acknowledgement where the path holds more or is silent, fewer where it holds less.
    /// `is_full`: there is none.
    fn make_room(&self, now: Instant, is_full: bool) {
        let path = || {
            let stats = self.quinn.stats();
            Path { holds: stats.path.cwnd, round_trip: stats.path.rtt, acks: stats.frame_rx.acks }
        };
        if let Some(window) = self.send_window.look(now, is_full, path) {
            self.quinn.set_send_window(window);
        }
    }
}

/// The results of `operation`, one after the other, without end.
fn each<T, O, F>(quinn: &quinn::Connection, operation: O) -> impl Stream<Item = T> + Send + Sync + use<T, O, F>
where
    O: Fn(quinn::Connection) -> F + Send + Sync,
    F: Future<Output = T> + Send + Sync,
{
    futures::stream::unfold((quinn.clone(), operation), |(quinn, operation)| async move {
        let result = operation(quinn.clone()).await;
        Some((result, (quinn, operation)))
    })
}

/// The ALPN that the handshake settled.
fn negotiated(quinn: &quinn::Connection) -> Option<Vec<u8>> {
    quinn.handshake_data()?.downcast::<quinn::crypto::rustls::HandshakeData>().ok()?.protocol
}

/// Bits per second that `window` bytes a round trip make.
fn bitrate(window: u64, rtt: Duration) -> Option<u64> {
    let bits = u128::from(window) * 8 * 1_000_000;
    bits.checked_div(rtt.as_micros()).and_then(|rate| u64::try_from(rate).ok())
}
