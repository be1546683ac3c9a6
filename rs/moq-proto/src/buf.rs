//! Reading and writing bytes; every length is checked here.
//!
//! [`Reader`] goes over one whole message, where running out is an error. [`Prefix`] goes over the head of a stream, which
//! carries no length of its own, so running out means waiting. [`Writer`] takes values that are in range already and
//! cannot fail. Which fields stand where is each layout's own matter.
//! Spec: moq-lite-05, "Notational Conventions"; RFC 9000, section 16.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{HopError, Path, PathError, TimescaleError, TimestampError, VarInt};

/// Why bytes are not the message they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The message ends inside a field.
    #[error("message ends {missing} bytes early")]
    Short { missing: u64 },
    /// The message goes on after its last field.
    #[error("{count} bytes left over after the last field")]
    Leftover { count: usize },
    /// A field has a value its definition does not allow.
    #[error("{field} cannot be {value}")]
    Invalid { field: &'static str, value: u64 },
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    Utf8,
    /// Something is longer than it may be.
    #[error("{what} of {size} bytes, at most {max} allowed")]
    TooLong { what: &'static str, size: u64, max: usize },
    /// More items than there may be.
    #[error("{count} {what}, at most {max} allowed")]
    TooMany { what: &'static str, count: u64, max: usize },
    /// What may stand once stands twice.
    #[error("{what} {id:#x} repeated")]
    Repeated { what: &'static str, id: u64 },
    /// A message type this conversation does not have, or a type where the version has none.
    #[error("unknown message type {0}")]
    UnknownType(VarInt),
    /// A typed message without its type.
    #[error("message lacks its type")]
    MissingType,
    /// One field rules out the value of another.
    #[error("{field} without {needs}")]
    Contradiction { field: &'static str, needs: &'static str },
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Hop(#[from] HopError),
    #[error(transparent)]
    Timescale(#[from] TimescaleError),
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
}

/// Goes over one whole message, front to back.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// An integer, in any of its spellings.
    pub fn varint(&mut self) -> Result<VarInt, DecodeError> {
        let (value, rest) = VarInt::split_from(self.rest).ok_or_else(|| {
            let size = self.rest.first().map_or(1, |first| 1 << (first >> 6));
            DecodeError::Short { missing: size - self.rest.len() as u64 }
        })?;
        self.rest = rest;
        Ok(value)
    }

    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.chunk().map(|[byte]| byte)
    }

    /// Two bytes, most significant first.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.chunk().map(u16::from_be_bytes)
    }

    /// One byte, 0 or 1; `field` is its name if it is neither.
    pub fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(DecodeError::Invalid { field, value: value.into() }),
        }
    }

    /// Exactly `count` bytes.
    pub fn bytes(&mut self, count: u64) -> Result<&'a [u8], DecodeError> {
        let short = DecodeError::Short { missing: count.saturating_sub(self.rest.len() as u64) };
        let split = usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count));
        let (taken, rest) = split.ok_or(short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// A length, and as many bytes of UTF-8.
    pub fn string(&mut self) -> Result<&'a str, DecodeError> {
        let length = self.varint()?.get();
        std::str::from_utf8(self.bytes(length)?).map_err(|_| DecodeError::Utf8)
    }

    /// A string that names a path; its slashes are normalised.
    pub fn path(&mut self) -> Result<Path, DecodeError> {
        Ok(Path::new(self.string()?)?)
    }

    /// An optional integer: 0 is absent, all else one more than the value.
    pub fn opt(&mut self) -> Result<Option<VarInt>, DecodeError> {
        Ok(self.varint()?.get().checked_sub(1).map(VarInt::saturating))
    }

    /// The number of items of kind `what` that follow, at most `max`. Each takes at least a byte, so a number that the rest of
    /// the message cannot hold is refused before anything is allocated for it.
    pub fn count(&mut self, what: &'static str, max: usize) -> Result<usize, DecodeError> {
        let count = self.varint()?.get();
        if count > max as u64 {
            return Err(DecodeError::TooMany { what, count, max });
        }
        match count.checked_sub(self.rest.len() as u64) {
            None | Some(0) => Ok(count as usize),
            Some(missing) => Err(DecodeError::Short { missing }),
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`DecodeError::Leftover`] when the message goes on.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(DecodeError::Leftover { count }),
        }
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let short = DecodeError::Short { missing: (N - self.rest.len().min(N)) as u64 };
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(short)?;
        self.rest = rest;
        Ok(*chunk)
    }
}

/// Why a stream's head could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Not all of it has arrived: read again from the start once more bytes are there.
    #[error("more bytes needed")]
    Short,
    /// No further bytes can make it valid.
    #[error(transparent)]
    Invalid(#[from] DecodeError),
}

/// Goes over the head of a stream, which carries no length.
///
/// It remembers nothing: as long as it says [`PrefixError::Short`], begin anew with what has arrived by then.
#[derive(Clone, Debug)]
pub struct Prefix<'a> {
    arrived: usize,
    head: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Prefix<'a> {
    /// Longest head, in bytes: eight integers of the longest spelling. No peer can make a reader wait for more.
    pub const MAX: usize = 64;

    /// `arrived` is all that came so far, from the head's first byte.
    pub fn new(arrived: &'a [u8]) -> Self {
        let head = arrived.get(..Self::MAX).unwrap_or(arrived);
        Self { arrived: arrived.len(), head, rest: head }
    }

    /// An integer, in any of its spellings.
    pub fn varint(&mut self) -> Result<VarInt, PrefixError> {
        let (value, rest) = VarInt::split_from(self.rest).ok_or_else(|| self.short())?;
        self.rest = rest;
        Ok(value)
    }

    /// Two bytes, most significant first.
    pub fn u16(&mut self) -> Result<u16, PrefixError> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or_else(|| self.short())?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*chunk))
    }

    /// Bytes read so far; once the head is read, its length.
    pub fn consumed(&self) -> usize {
        self.head.len() - self.rest.len()
    }

    fn short(&self) -> PrefixError {
        if self.arrived < Self::MAX {
            return PrefixError::Short;
        }
        DecodeError::TooLong { what: "stream head", size: self.arrived as u64, max: Self::MAX }.into()
    }
}

/// Collects bytes. Values are in range by their types, so writing cannot fail.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: BytesMut,
}

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`new`](Self::new), with room for `bytes` bytes before more has to be found.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: BytesMut::with_capacity(bytes) }
    }

    /// An integer in its shortest spelling.
    pub fn varint(&mut self, value: VarInt) -> &mut Self {
        value.put(&mut self.bytes);
        self
    }

    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.put_u8(value);
        self
    }

    /// Two bytes, most significant first.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes.put_u16(value);
        self
    }

    /// One byte, 0 or 1.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.u8(value.into())
    }

    /// The bytes as they are, without a length.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.put_slice(bytes);
        self
    }

    /// The length of `bytes`, then `bytes`.
    pub fn sized(&mut self, bytes: &[u8]) -> &mut Self {
        self.length(bytes.len()).bytes(bytes)
    }

    /// The length of what `write` appends, then that.
    pub fn sized_with(&mut self, write: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        write(self);
        // Written behind the body first, since its length is known only then; most are one byte long.
        let end = self.bytes.len();
        self.length(end - start);
        let size = self.bytes.len() - end;
        if let Some(tail) = self.bytes.get_mut(start..) {
            tail.rotate_right(size);
        }
    }

    /// A length, and the text in UTF-8.
    pub fn string(&mut self, text: &str) -> &mut Self {
        self.sized(text.as_bytes())
    }

    pub fn path(&mut self, path: &Path) -> &mut Self {
        self.string(path.as_str())
    }

    /// An optional integer: 0 is absent, all else one more than the value.
    ///
    /// 2^62 - 1 has no successor and is written as the value below it.
    pub fn opt(&mut self, value: Option<VarInt>) -> &mut Self {
        self.varint(value.map_or(VarInt::ZERO, |value| VarInt::saturating(value.get() + 1)))
    }

    /// The length or number of something in memory.
    pub fn length(&mut self, length: usize) -> &mut Self {
        self.varint(VarInt::saturating(length as u64))
    }

    pub fn into_bytes(self) -> Bytes {
        self.bytes.freeze()
    }
}

#[cfg(test)]
mod tests;
