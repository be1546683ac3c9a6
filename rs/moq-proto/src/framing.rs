//! `Framing`: what stands before each frame's payload on a stream of frames.
//!
//! It knows the heads alone; payloads, and the ends of groups, are their holder's. Spec: moq-lite-04 and moq-lite-05, "FRAME".

use crate::{
    DecodeError, VarInt, Writer,
    buf::{Prefix, PrefixError},
};

/// How frames are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// moq-lite-01 to 04. `FRAME { Payload Size (i), Payload (..) }`
    Sized,
    /// moq-lite-05 on. `FRAME { Timestamp Delta (i, zigzag), Payload Size (i), Payload (..) }`
    Timed,
}

/// What stands before one payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Units of the track's timescale since the frame before, or since zero for a stream's first frame. May be negative.
    /// `None` where the framing has none.
    pub delta: Option<i64>,
    /// Bytes of payload, at most 2^62 - 1.
    pub size: u64,
}

impl Framing {
    /// Longest head of any framing, in bytes.
    pub const HEAD_MAX: usize = 2 * VarInt::SIZE_MAX;

    /// Reads the head at the front of `bytes`; returns it and its length. `None`: it is not all there.
    ///
    /// # Errors
    /// None of today's framings can be malformed.
    pub fn read_head(self, bytes: &[u8]) -> Result<Option<(FrameHead, usize)>, DecodeError> {
        let mut prefix = Prefix::new(bytes);
        match self.head(&mut prefix) {
            Ok(head) => Ok(Some((head, prefix.consumed()))),
            Err(PrefixError::Short) => Ok(None),
            Err(PrefixError::Invalid(error)) => Err(error),
        }
    }

    fn head(self, prefix: &mut Prefix<'_>) -> Result<FrameHead, PrefixError> {
        let delta = match self {
            Self::Sized => None,
            Self::Timed => Some(prefix.varint()?.to_signed()),
        };
        Ok(FrameHead { delta, size: prefix.varint()?.get() })
    }

    /// Writes a head. A delta that this framing needs and `head` lacks is 0; one that it has no place for is left out.
    ///
    /// The difference of two timestamps and the length of anything in memory always fit; numbers beyond are written as the
    /// nearest that does.
    pub fn write_head(self, head: FrameHead, into: &mut Writer) {
        if self == Self::Timed {
            into.varint(VarInt::from_signed(head.delta.unwrap_or(0)));
        }
        into.varint(VarInt::saturating(head.size));
    }
}

#[cfg(test)]
mod tests;
