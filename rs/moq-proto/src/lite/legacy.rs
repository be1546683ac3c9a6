//! The SETUP exchange that settles moq-lite-01 or 02, on the client's first bidirectional stream.
//!
//! `type (i), length (16), body`. Parameters are moq-transport's; only a path means something here, from clients whose
//! transport has no URL. Spec: moq-lite-02, "SETUP"; moq-transport-14, "CLIENT_SETUP and SERVER_SETUP"; for clients that write
//! parameters in the older way, moq-transport-10, "Parameters".

use bytes::Bytes;

use super::stream::{LEGACY_SETUP, LEGACY_SETUP_REPLY};
use crate::{DecodeError, Reader, VarInt, Writer};

/// Most versions read or written; clients offer three.
const VERSIONS_MAX: usize = 64;

/// Most parameters read; clients send up to six.
const PARAMETERS_MAX: usize = 64;

/// Longest path read or written, in bytes: what HTTP servers take for one.
const PATH_MAX: usize = 8192;

/// The parameter that holds the path.
const PATH: VarInt = VarInt::from_u32(1);

/// CLIENT_SETUP: the versions a client speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientSetup {
    /// In order of preference; at most 64 are written.
    pub versions: Vec<VarInt>,
    /// Path and query of the request. Not written when longer than 8192 bytes, which nobody reads.
    pub path: Option<String>,
}

impl ClientSetup {
    /// The whole message, from its type on.
    pub fn to_wire(&self) -> Bytes {
        let mut body = Writer::new();
        let versions = self.versions.get(..VERSIONS_MAX).unwrap_or(&self.versions);
        body.length(versions.len());
        for version in versions {
            body.varint(*version);
        }
        match self.path.as_deref().filter(|path| path.len() <= PATH_MAX) {
            Some(path) => body.length(1).varint(PATH).string(path),
            None => body.length(0),
        };
        wire(LEGACY_SETUP, &body.into_bytes())
    }

    /// Reads the body: what stands after type and length.
    ///
    /// Parameters that make no sense as moq-transport-14 writes them may be written in the older way: `@kixelated/moq` 0.9 takes
    /// the message from the one draft and its parameters from the other.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let count = reader.count("versions", VERSIONS_MAX)?;
        let versions = (0..count).map(|_| reader.varint()).collect::<Result<_, _>>()?;
        let path = path(reader.clone(), EvenKeys::Plain).or_else(|error| path(reader, EvenKeys::Sized).map_err(|_| error))?;
        Ok(Self { versions, path })
    }
}

/// SERVER_SETUP: the version the server chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerSetup {
    pub version: VarInt,
}

impl ServerSetup {
    /// The whole message, from its type on.
    pub fn to_wire(&self) -> Bytes {
        let mut body = Writer::new();
        body.varint(self.version).length(0);
        wire(LEGACY_SETUP_REPLY, &body.into_bytes())
    }

    /// Reads the body: what stands after type and length.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let version = reader.varint()?;
        path(reader, EvenKeys::Plain)?;
        Ok(Self { version })
    }
}

/// The body fits a length of 16 bits: 64 versions of 8 bytes and a path of 8 KiB at most.
fn wire(kind: VarInt, body: &[u8]) -> Bytes {
    let mut wire = Writer::new();
    wire.varint(kind).u16(u16::try_from(body.len()).unwrap_or(u16::MAX)).bytes(body);
    wire.into_bytes()
}

/// What follows a parameter's key when that is even. An odd one is followed by a length and so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EvenKeys {
    /// A number, since moq-transport-11.
    Plain,
    /// A length and so many bytes, as for odd ones: until moq-transport-10.
    Sized,
}

/// Reads all parameters, after which nothing may follow, and keeps the path.
fn path(mut reader: Reader<'_>, even: EvenKeys) -> Result<Option<String>, DecodeError> {
    let mut path = None;
    for _ in 0..reader.count("parameters", PARAMETERS_MAX)? {
        let key = reader.varint()?;
        if key.get() % 2 == 0 && even == EvenKeys::Plain {
            reader.varint()?;
            continue;
        }
        let size = reader.varint()?.get();
        let value = reader.bytes(size)?;
        if key != PATH {
            continue;
        }
        if value.len() > PATH_MAX {
            return Err(DecodeError::TooLong { what: "path", size, max: PATH_MAX });
        }
        let text = std::str::from_utf8(value).map_err(|_| DecodeError::Utf8)?;
        if path.replace(text.to_owned()).is_some() {
            return Err(DecodeError::Repeated { what: "parameter", id: key.get() });
        }
    }
    reader.finish()?;
    Ok(path)
}

#[cfg(test)]
mod tests;
