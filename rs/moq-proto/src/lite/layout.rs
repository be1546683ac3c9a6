//! `Layout`: how one version spells one message, and the envelope it travels in.
//!
//! The envelope is the same for all: most messages are `size (i), body`, typed ones `type (i), size (i), body`, a datagram
//! is its body. Whoever reads a stream takes the envelope off, checks the size, collects the body, and hands it over whole.
//! Spec: moq-lite-05, "Messages".

use std::fmt;

use bytes::Bytes;

use crate::{DecodeError, Reader, VarInt, Writer};

/// Longest body of a message, in bytes. A SETUP with a path of 4 KiB and 32 hops fits eight times over.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// How one version spells a message: plain functions.
///
/// Encoding cannot fail. A message may have variants that a version cannot say ([`can_say`](Self::can_say)): those have no
/// bytes at all.
pub struct Layout<M> {
    says: fn(&M) -> bool,
    encode: fn(&M, &mut Writer),
    envelope: Envelope<M>,
}

enum Envelope<M> {
    /// `body`
    None { decode: fn(&mut Reader<'_>) -> Result<M, DecodeError> },
    /// `size (i), body`
    Sized { decode: fn(&mut Reader<'_>) -> Result<M, DecodeError> },
    /// `type (i), size (i), body`
    Typed { kind: fn(&M) -> VarInt, decode: fn(VarInt, &mut Reader<'_>) -> Result<M, DecodeError> },
}

impl<M> Layout<M> {
    pub(super) const fn bare(encode: fn(&M, &mut Writer), decode: fn(&mut Reader<'_>) -> Result<M, DecodeError>) -> Self {
        Self { says: |_| true, encode, envelope: Envelope::None { decode } }
    }

    pub(super) const fn sized(encode: fn(&M, &mut Writer), decode: fn(&mut Reader<'_>) -> Result<M, DecodeError>) -> Self {
        Self { says: |_| true, encode, envelope: Envelope::Sized { decode } }
    }

    pub(super) const fn typed(
        kind: fn(&M) -> VarInt,
        encode: fn(&M, &mut Writer),
        decode: fn(VarInt, &mut Reader<'_>) -> Result<M, DecodeError>,
    ) -> Self {
        Self { says: |_| true, encode, envelope: Envelope::Typed { kind, decode } }
    }

    /// Restricts what it says to some variants.
    pub(super) const fn only(self, says: fn(&M) -> bool) -> Self {
        Self { says, ..self }
    }

    /// Whether this version has words for `message`.
    pub fn can_say(&self, message: &M) -> bool {
        (self.says)(message)
    }

    /// Whether a type stands before the size.
    pub const fn is_typed(&self) -> bool {
        matches!(self.envelope, Envelope::Typed { .. })
    }

    /// The body alone; empty when this version cannot say it.
    pub fn encode(&self, message: &M) -> Bytes {
        let mut body = Writer::new();
        if self.can_say(message) {
            (self.encode)(message, &mut body);
        }
        body.into_bytes()
    }

    /// The message in its envelope; no bytes at all when this version cannot say it.
    pub fn to_wire(&self, message: &M) -> Bytes {
        let mut wire = Writer::new();
        self.write(message, &mut wire);
        wire.into_bytes()
    }

    /// Appends the message in its envelope to what else goes into the same write; nothing when this version cannot say it.
    pub fn write(&self, message: &M, wire: &mut Writer) {
        if !self.can_say(message) {
            return;
        }
        match self.envelope {
            Envelope::None { .. } => (self.encode)(message, wire),
            Envelope::Sized { .. } => wire.sized_with(|body| (self.encode)(message, body)),
            Envelope::Typed { kind, .. } => wire.varint(kind(message)).sized_with(|body| (self.encode)(message, body)),
        }
    }

    /// Reads the whole body of a message without a type.
    ///
    /// # Errors
    /// All that [`DecodeError`] knows; [`DecodeError::MissingType`] when this layout [is typed](Self::is_typed).
    pub fn decode(&self, body: &[u8]) -> Result<M, DecodeError> {
        self.from_wire(None, body)
    }

    /// Reads the whole body of a message; `kind` is the type that stood before its size, where there is one.
    ///
    /// # Errors
    /// All that [`DecodeError`] knows, among it a body longer than [`MESSAGE_BYTES_MAX`], one that ends early, and one that
    /// goes on.
    pub fn from_wire(&self, kind: Option<VarInt>, body: &[u8]) -> Result<M, DecodeError> {
        if body.len() > MESSAGE_BYTES_MAX {
            return Err(DecodeError::TooLong { what: "message", size: body.len() as u64, max: MESSAGE_BYTES_MAX });
        }
        let mut reader = Reader::new(body);
        let message = match (&self.envelope, kind) {
            (Envelope::None { decode } | Envelope::Sized { decode }, None) => decode(&mut reader)?,
            (Envelope::Typed { decode, .. }, Some(kind)) => decode(kind, &mut reader)?,
            (Envelope::Typed { .. }, None) => return Err(DecodeError::MissingType),
            (_, Some(kind)) => return Err(DecodeError::UnknownType(kind)),
        };
        reader.finish()?;
        Ok(message)
    }
}

impl<M> Clone for Layout<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Layout<M> {}

impl<M> Clone for Envelope<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Envelope<M> {}

impl<M> fmt::Debug for Layout<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layout<{}>", std::any::type_name::<M>())
    }
}
