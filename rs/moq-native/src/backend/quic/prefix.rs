//! The prefix of a WebTransport stream: its type and the session it belongs to, before the first byte of the session.
//!
//! Spec: WebTransport over HTTP/3, sections 4.2 to 4.4; integers are those of RFC 9000, section 16.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};
use web_transport_proto::{Frame, StreamUni, VarInt};

/// The session every connection carries: the first request stream of a client is number 0, and CONNECT is all it carries.
const SESSION: VarInt = VarInt::from_u32(0);

/// What every unidirectional stream starts with: type 0x54, session 0.
pub(super) const UNI: Bytes = Bytes::from_static(&[0x40, 0x54, 0x00]);

/// What every bidirectional stream starts with, the opener's way: type 0x41, session 0.
pub(super) const BI: Bytes = Bytes::from_static(&[0x40, 0x41, 0x00]);

/// What every datagram starts with: the session's quarter stream id (RFC 9297, section 2.1).
pub(super) const DATAGRAM: Bytes = Bytes::from_static(&[0x00]);

/// Type and session id, both at their longest.
const PREFIX_BYTES_MAX: usize = 16;

/// The shortest prefix of a WebTransport stream: two bytes of type, one of session id.
const PREFIX_BYTES_MIN: usize = 3;

/// Which way a stream runs decides which type number marks it as WebTransport's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Uni,
    Bi,
}

impl Direction {
    fn marker(self) -> VarInt {
        match self {
            Self::Uni => StreamUni::WEBTRANSPORT.0,
            Self::Bi => Frame::WEBTRANSPORT.0,
        }
    }
}

/// What a peer's stream turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A stream of this session; what follows belongs to the session.
    Session,
    /// A stream of a WebTransport session that is not on this connection.
    OtherSession,
    /// A QPACK stream, which HTTP/3 forbids to close.
    Qpack,
    /// A control stream, likewise.
    Control,
    /// HTTP/3 traffic of another kind: reserved types, pushes, further requests.
    Foreign,
    /// It ended or failed before it said what it was.
    Cut,
}

/// As much of a prefix as has arrived.
#[derive(Debug)]
pub(super) struct PrefixReader {
    direction: Direction,
    bytes: [u8; PREFIX_BYTES_MAX],
    len: usize,
}

impl PrefixReader {
    pub(super) fn new(direction: Direction) -> Self {
        Self { direction, bytes: [0; PREFIX_BYTES_MAX], len: 0 }
    }

    /// Reads the prefix off `stream` and not one byte of a session's stream beyond it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, stream: &mut quinn::RecvStream) -> Poll<Kind> {
        loop {
            let missing = match self.judge() {
                Judgement::Is(kind) => return Poll::Ready(kind),
                Judgement::Needs(missing) => missing,
            };
            let mut room = ReadBuf::new(&mut self.bytes[self.len..self.len + missing]);
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut room));
            match (read, room.filled().len()) {
                (Ok(()), 1..) => self.len += room.filled().len(),
                (Ok(()), 0) | (Err(_), _) => return Poll::Ready(Kind::Cut),
            }
        }
    }

    /// What was read behind the type: bytes of a stream that has no session to name.
    pub(super) fn after_type(&self) -> &[u8] {
        let mut bytes = &self.bytes[..self.len];
        // Whoever asks knows that the type is there.
        let _ = VarInt::decode(&mut bytes);
        bytes
    }

    fn judge(&self) -> Judgement {
        let arrived = &self.bytes[..self.len];
        let mut bytes = arrived;
        let Ok(kind) = VarInt::decode(&mut bytes) else {
            return Judgement::Needs(missing(arrived).max(PREFIX_BYTES_MIN.saturating_sub(self.len)));
        };
        if kind != self.direction.marker() {
            return Judgement::Is(match (self.direction, StreamUni(kind)) {
                (Direction::Uni, StreamUni::CONTROL) => Kind::Control,
                (Direction::Uni, StreamUni::QPACK_ENCODER | StreamUni::QPACK_DECODER) => Kind::Qpack,
                _ => Kind::Foreign,
            });
        }
        let id = bytes;
        match VarInt::decode(&mut bytes) {
            Ok(session) if session == SESSION => Judgement::Is(Kind::Session),
            Ok(_) => Judgement::Is(Kind::OtherSession),
            Err(_) => Judgement::Needs(missing(id)),
        }
    }
}

enum Judgement {
    Is(Kind),
    /// So many bytes more, at least.
    Needs(usize),
}

/// Bytes that the integer begun in `bytes` lacks.
fn missing(bytes: &[u8]) -> usize {
    bytes.first().map_or(1, |first| (1usize << (first >> 6)) - bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(direction: Direction, bytes: &[u8]) -> Result<Kind, usize> {
        let mut reader = PrefixReader::new(direction);
        reader.bytes[..bytes.len()].copy_from_slice(bytes);
        reader.len = bytes.len();
        match reader.judge() {
            Judgement::Is(kind) => Ok(kind),
            Judgement::Needs(missing) => Err(missing),
        }
    }

    #[test]
    fn a_prefix_says_whose_stream_it_is() {
        use Direction::{Bi, Uni};
        for (direction, bytes, expected) in [
            (Uni, &[0x40, 0x54, 0x00][..], Ok(Kind::Session)),
            (Bi, &[0x40, 0x41, 0x00], Ok(Kind::Session)),
            (Uni, &[0x80, 0x00, 0x00, 0x54, 0x40, 0x00], Ok(Kind::Session)),
            (Uni, &[0x40, 0x54, 0x04], Ok(Kind::OtherSession)),
            (Uni, &[0x40, 0x41, 0x00], Ok(Kind::Foreign)),
            (Uni, &[0x02], Ok(Kind::Qpack)),
            (Uni, &[0x03, 0x3f], Ok(Kind::Qpack)),
            (Uni, &[0x00, 0x04], Ok(Kind::Control)),
            (Bi, &[0x00, 0x04], Ok(Kind::Foreign)),
            (Bi, &[0x02], Ok(Kind::Foreign)),
            (Bi, &[0x01, 0x10, 0x00], Ok(Kind::Foreign)),
            (Uni, &[0x21], Ok(Kind::Foreign)),
            (Uni, &[], Err(3)),
            (Uni, &[0x40], Err(2)),
            (Uni, &[0x40, 0x54], Err(1)),
            (Uni, &[0x40, 0x54, 0x41], Err(1)),
            (Uni, &[0xc0, 0x00, 0x00], Err(5)),
        ] {
            assert_eq!(judge(direction, bytes), expected, "{direction:?} {bytes:02x?}");
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        assert_eq!(judge(Direction::Uni, &UNI), Ok(Kind::Session));
        assert_eq!(judge(Direction::Bi, &BI), Ok(Kind::Session));
    }
}
