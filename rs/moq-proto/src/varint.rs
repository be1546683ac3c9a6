//! `VarInt`: an unsigned integer of up to 62 bits, and its spelling in one, two, four or eight bytes.
//!
//! Every number inside a moq-lite message is one. Written as short as possible, read in any of the four sizes.
//! Spec: RFC 9000, section 16.

use std::fmt;

use bytes::{BufMut, BytesMut};

/// An integer from 0 to 2^62 - 1.
///
/// JavaScript peers read most integers as 53 bits: what is sent to one should not exceed [`VarInt::JS_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VarInt(u64);

impl VarInt {
    pub const ZERO: Self = Self(0);
    pub const MAX: Self = Self((1 << 62) - 1);
    /// Largest integer that a JavaScript peer reads exactly: 2^53 - 1.
    pub const JS_MAX: Self = Self((1 << 53) - 1);
    /// Bytes of the longest spelling.
    pub const SIZE_MAX: usize = 8;

    pub const fn from_u32(value: u32) -> Self {
        Self(value as u64)
    }

    /// `value`, or [`VarInt::MAX`] when it is larger.
    pub const fn saturating(value: u64) -> Self {
        if value > Self::MAX.0 { Self::MAX } else { Self(value) }
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    /// Bytes of the shortest spelling, which is the one written.
    pub const fn size(self) -> usize {
        match self.0 {
            0..0x40 => 1,
            0x40..0x4000 => 2,
            0x4000..0x4000_0000 => 4,
            _ => 8,
        }
    }

    /// Takes an integer off the front of `bytes`. `None`: it is not all there.
    pub(crate) fn split_from(bytes: &[u8]) -> Option<(Self, &[u8])> {
        const VALUE_2: u16 = u16::MAX >> 2;
        const VALUE_4: u32 = u32::MAX >> 2;
        const VALUE_8: u64 = u64::MAX >> 2;
        let first = *bytes.first()?;
        let (value, rest) = match first >> 6 {
            0 => (first.into(), bytes.split_at_checked(1)?.1),
            1 => bytes.split_first_chunk().map(|(chunk, rest)| ((u16::from_be_bytes(*chunk) & VALUE_2).into(), rest))?,
            2 => bytes.split_first_chunk().map(|(chunk, rest)| ((u32::from_be_bytes(*chunk) & VALUE_4).into(), rest))?,
            _ => bytes.split_first_chunk().map(|(chunk, rest)| (u64::from_be_bytes(*chunk) & VALUE_8, rest))?,
        };
        Some((Self(value), rest))
    }

    /// Appends the shortest spelling.
    pub(crate) fn put(self, into: &mut BytesMut) {
        match self.size() {
            1 => into.put_u8(self.0 as u8),
            2 => into.put_u16(self.0 as u16 | 1 << 14),
            4 => into.put_u32(self.0 as u32 | 2 << 30),
            _ => into.put_u64(self.0 | 3 << 62),
        }
    }

    /// Folds the sign into the lowest bit: 0, -1, 1, -2 become 0, 1, 2, 3. Beyond 61 bits, the nearest that fits.
    pub(crate) const fn from_signed(value: i64) -> Self {
        const LIMIT: i64 = 1 << 61;
        let value = if value >= LIMIT {
            LIMIT - 1
        } else if value < -LIMIT {
            -LIMIT
        } else {
            value
        };
        Self(((value << 1) ^ (value >> 63)) as u64)
    }

    /// Undoes [`VarInt::from_signed`].
    pub(crate) const fn to_signed(self) -> i64 {
        (self.0 >> 1) as i64 ^ -((self.0 & 1) as i64)
    }
}

impl fmt::Display for VarInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number that does not fit in 62 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} exceeds 2^62 - 1")]
pub struct VarIntError(pub u64);

impl TryFrom<u64> for VarInt {
    type Error = VarIntError;

    fn try_from(value: u64) -> Result<Self, VarIntError> {
        if value > Self::MAX.0 { Err(VarIntError(value)) } else { Ok(Self(value)) }
    }
}

impl From<u8> for VarInt {
    fn from(value: u8) -> Self {
        Self(value.into())
    }
}

impl From<u16> for VarInt {
    fn from(value: u16) -> Self {
        Self(value.into())
    }
}

impl From<u32> for VarInt {
    fn from(value: u32) -> Self {
        Self(value.into())
    }
}

impl From<VarInt> for u64 {
    fn from(value: VarInt) -> Self {
        value.0
    }
}
