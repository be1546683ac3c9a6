//! QPACK: the fields of a request out of their compressed form. The dynamic table has no room here, as SETTINGS told the peer, so
//! a section can be read on its own; nothing is written.
//!
//! Spec: RFC 9204, sections 4.1 and 4.5.

mod fields;
mod huffman;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::fields::STATIC;

/// What every field counts beside its name and value (RFC 9114, section 4.2.2).
const FIELD_BYTES: usize = 32;

/// A name and a value. What the section holds as it is, is not copied.
pub(super) type Field<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// Why a field section cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    #[error("field section ends within a field")]
    Short,
    #[error("field section holds an integer out of range")]
    Integer,
    #[error("field section refers to the dynamic table, which has no room")]
    Dynamic,
    #[error("field section refers past the static table")]
    Static,
    #[error("field section holds a text that is no Huffman code")]
    Huffman,
    #[error("field section larger than announced")]
    TooLarge,
}

/// The fields of one section, in their order. Keeps none of them; after an error it is over.
pub(super) struct Section<'a> {
    rest: &'a [u8],
    /// Bytes that the fields to come may count.
    room: usize,
}

impl<'a> Section<'a> {
    /// # Errors
    /// [`DecodeError::Dynamic`] when the section needs insertions into the dynamic table.
    pub(super) fn new(section: &'a [u8], size_max: usize) -> Result<Self, DecodeError> {
        let mut section = Self { rest: section, room: size_max };
        let insertions = section.integer(8)?;
        // The base only matters to references that are refused.
        let _base = section.integer(7)?;
        if insertions == 0 { Ok(section) } else { Err(DecodeError::Dynamic) }
    }

    fn field(&mut self) -> Result<Field<'a>, DecodeError> {
        let first = *self.rest.first().ok_or(DecodeError::Short)?;
        let (name, value) = match first {
            // Indexed field line, of the static table.
            0b1100_0000.. => {
                let (name, value) = self.indexed(6)?;
                (name.as_bytes().into(), value.as_bytes().into())
            }
            // Literal field line with a name of the static table.
            0b0101_0000..=0b0101_1111 | 0b0111_0000..=0b0111_1111 => {
                let (name, _) = self.indexed(4)?;
                (name.as_bytes().into(), self.text(7)?)
            }
            // Literal field line with a literal name.
            0b0010_0000..=0b0011_1111 => (self.text(3)?, self.text(7)?),
            // The same of the dynamic table, and everything after the base.
            _ => return Err(DecodeError::Dynamic),
        };
        self.room = self.room.checked_sub(name.len() + value.len() + FIELD_BYTES).ok_or(DecodeError::TooLarge)?;
        Ok((name, value))
    }

    fn indexed(&mut self, bits: u32) -> Result<(&'static str, &'static str), DecodeError> {
        STATIC.get(self.integer(bits)?).copied().ok_or(DecodeError::Static)
    }

    /// A text behind its length, which begins in the low `bits` of a byte; the bit above says whether it is coded.
    fn text(&mut self, bits: u32) -> Result<Cow<'a, [u8]>, DecodeError> {
        let is_coded = self.rest.first().is_some_and(|first| first >> bits & 1 == 1);
        let length = self.integer(bits)?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Short)?;
        self.rest = rest;
        if is_coded { Ok(huffman::decode(text, self.room)?.into()) } else { Ok(text.into()) }
    }

    /// An integer that begins in the low `bits` of a byte. Spec: RFC 7541, section 5.1.
    fn integer(&mut self, bits: u32) -> Result<usize, DecodeError> {
        let most = (1 << bits) - 1;
        let mut value = usize::from(self.byte()?) & most;
        if value < most {
            return Ok(value);
        }
        // Five bytes more reach past every section there may be.
        for shift in (0..5).map(|place| 7 * place) {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Integer)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        let (byte, rest) = self.rest.split_first().ok_or(DecodeError::Short)?;
        self.rest = rest;
        Ok(*byte)
    }
}

impl<'a> Iterator for Section<'a> {
    type Item = Result<Field<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}
