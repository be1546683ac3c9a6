//! One connection type over every transport, so that one kind of session serves them all.
//!
//! Dispatches and nothing else; what a transport does is in its room under [`backend`](crate::backend).

use std::{
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use moq_lite::transport::{
    BiStream, Chunks, Connection, ConnectionError, ConnectionStats, Rank, RecvStream, SendStream, StreamError,
};

use crate::backend::{qmux, quic};

/// A connection over any of the transports.
#[derive(Clone, Debug)]
pub enum AnyConnection {
    /// Raw QUIC or WebTransport.
    Quic(quic::Connection),
    /// WebSocket, TCP or a Unix socket.
    Qmux(qmux::Connection),
}

/// The sending half of a stream over any of the transports.
pub enum AnySendStream {
    Quic(quic::SendStream),
    Qmux(qmux::SendStream),
}

/// The receiving half of a stream over any of the transports.
pub enum AnyRecvStream {
    Quic(quic::RecvStream),
    Qmux(qmux::RecvStream),
}

impl From<quic::Connection> for AnyConnection {
    fn from(connection: quic::Connection) -> Self {
        Self::Quic(connection)
    }
}

impl From<qmux::Connection> for AnyConnection {
    fn from(connection: qmux::Connection) -> Self {
        Self::Qmux(connection)
    }
}

/// Does `$do` with whichever connection or stream `$of` is.
macro_rules! each {
    ($of:expr, $inner:ident => $do:expr) => {
        match $of {
            Self::Quic($inner) => $do,
            Self::Qmux($inner) => $do,
        }
    };
}

impl Connection for AnyConnection {
    type SendStream = AnySendStream;
    type RecvStream = AnyRecvStream;

    fn protocol(&self) -> Option<&str> {
        each!(self, connection => connection.protocol())
    }

    fn uni_prefix(&self) -> Bytes {
        each!(self, connection => connection.uni_prefix())
    }

    fn poll_open_uni(&mut self, cx: &mut Context<'_>, rank: Rank) -> Poll<Result<AnySendStream, ConnectionError>> {
        match self {
            Self::Quic(connection) => connection.poll_open_uni(cx, rank).map_ok(AnySendStream::Quic),
            Self::Qmux(connection) => connection.poll_open_uni(cx, rank).map_ok(AnySendStream::Qmux),
        }
    }

    fn poll_open_bi(&mut self, cx: &mut Context<'_>, rank: Rank) -> Poll<Result<BiStream<Self>, ConnectionError>> {
        match self {
            Self::Quic(connection) => connection.poll_open_bi(cx, rank).map_ok(over_quic),
            Self::Qmux(connection) => connection.poll_open_bi(cx, rank).map_ok(over_qmux),
        }
    }

    fn poll_accept_uni(&mut self, cx: &mut Context<'_>) -> Poll<Result<AnyRecvStream, ConnectionError>> {
        match self {
            Self::Quic(connection) => connection.poll_accept_uni(cx).map_ok(AnyRecvStream::Quic),
            Self::Qmux(connection) => connection.poll_accept_uni(cx).map_ok(AnyRecvStream::Qmux),
        }
    }

    fn poll_accept_bi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BiStream<Self>, ConnectionError>> {
        match self {
            Self::Quic(connection) => connection.poll_accept_bi(cx).map_ok(over_quic),
            Self::Qmux(connection) => connection.poll_accept_bi(cx).map_ok(over_qmux),
        }
    }

    fn max_datagram_size(&self) -> Option<usize> {
        each!(self, connection => connection.max_datagram_size())
    }

    fn send_datagram(&mut self, payload: Bytes) -> bool {
        each!(self, connection => connection.send_datagram(payload))
    }

    fn poll_recv_datagram(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ConnectionError>> {
        each!(self, connection => connection.poll_recv_datagram(cx))
    }

    fn allow(&mut self, streams: u32, window: u32) {
        each!(self, connection => connection.allow(streams, window));
    }

    fn close(&self, code: u32, reason: &str) {
        each!(self, connection => connection.close(code, reason));
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionError> {
        each!(self, connection => connection.poll_closed(cx))
    }

    fn is_strained(&self, now: Instant) -> bool {
        each!(self, connection => connection.is_strained(now))
    }

    fn measures_rtt(&self) -> bool {
        each!(self, connection => connection.measures_rtt())
    }

    fn stats(&self) -> ConnectionStats {
        each!(self, connection => connection.stats())
    }
}

fn over_quic((send, recv): BiStream<quic::Connection>) -> BiStream<AnyConnection> {
    (AnySendStream::Quic(send), AnyRecvStream::Quic(recv))
}

fn over_qmux((send, recv): BiStream<qmux::Connection>) -> BiStream<AnyConnection> {
    (AnySendStream::Qmux(send), AnyRecvStream::Qmux(recv))
}

impl SendStream for AnySendStream {
    fn try_write(&mut self, cx: &mut Context<'_>, chunks: &mut Chunks) -> Result<usize, StreamError> {
        each!(self, stream => stream.try_write(cx, chunks))
    }

    fn set_rank(&mut self, rank: Rank) {
        each!(self, stream => stream.set_rank(rank));
    }

    fn finish(&mut self) -> Result<(), StreamError> {
        each!(self, stream => stream.finish())
    }

    fn reset(&mut self, code: u32) {
        each!(self, stream => stream.reset(code));
    }

    fn poll_acked(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        each!(self, stream => stream.poll_acked(cx))
    }
}

impl RecvStream for AnyRecvStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, burst: &mut Vec<Bytes>) -> Poll<Result<bool, StreamError>> {
        each!(self, stream => stream.poll_read(cx, burst))
    }

    fn stop(&mut self, code: u32) {
        each!(self, stream => stream.stop(code));
    }
}
