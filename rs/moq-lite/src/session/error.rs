//! Why a session or one of its conversations ended, and the one table from errors to the codes a peer sees.
//!
//! Spec: moq-lite-06, "Error Codes": sessions and streams have a table each.

use moq_proto::{CloseCode, DecodeError, VarInt, close};

use crate::transport::{ConnectionError, StreamError};

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The peer broke a rule whose breach the protocol punishes with the end of the session.
    #[error("protocol violation: {0}")]
    Violation(String),
    /// The peers speak no version in common.
    #[error("no version in common; the peer offers {offered}")]
    Version { offered: String },
    /// The peer kept us waiting for something every session starts with.
    #[error("the peer sent no {0} in time")]
    Timeout(&'static str),
    /// A fault of our own, kept to this session.
    #[error("internal error in {0}")]
    Internal(&'static str),
}

impl Error {
    /// The code the session is closed with.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::Connection(_) => close::session::NO_ERROR,
            Self::Violation(_) => close::session::PROTOCOL_VIOLATION,
            Self::Version { .. } => close::session::VERSION_NEGOTIATION_FAILED,
            Self::Timeout(_) => close::session::CONTROL_MESSAGE_TIMEOUT,
            Self::Internal(_) => close::session::INTERNAL_ERROR,
        }
    }
}

/// Why one conversation ended; the session goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("message of {size} bytes, at most {max} accepted")]
    MessageTooLarge { size: u64, max: usize },
    #[error("the stream ended inside a message")]
    Truncated,
    #[error("bytes after the request")]
    Trailing,
    #[error("the peer kept the conversation waiting")]
    Timeout,
    #[error("nothing is published at this path")]
    Unroutable,
    #[error("unknown stream type {0:#x}")]
    UnknownStream(u64),
    #[error("a group at or past the end that the publisher declared")]
    PastEnd,
    #[error("the subscription ended without saying where the track ends")]
    NoEnd,
    #[error("subscribe id {0} is in use")]
    IdInUse(VarInt),
    #[error("more than {0} requests at a time")]
    TooMany(usize),
    /// What happened here ends the session.
    #[error(transparent)]
    Fatal(#[from] Error),
    /// What the request was about ended with this code.
    #[error("ended with code {0}")]
    Ended(CloseCode),
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        Self::Stream(error.into())
    }
}

impl Failure {
    /// A breach that ends the session.
    pub(super) fn violation(what: impl Into<String>) -> Self {
        Self::Fatal(Error::Violation(what.into()))
    }

    /// The code its stream is reset or stopped with.
    pub(super) fn stream_code(&self) -> CloseCode {
        match self {
            Self::Stream(_) | Self::UnknownStream(_) => close::stream::CANCELLED,
            Self::Fatal(_) => close::stream::SESSION_CLOSED,
            Self::Decode(_) | Self::MessageTooLarge { .. } | Self::Truncated | Self::Trailing | Self::IdInUse(_) => {
                close::stream::MALFORMED_TRACK
            }
            Self::PastEnd | Self::NoEnd => close::stream::MALFORMED_TRACK,
            Self::Timeout => close::stream::CONTROL_TIMEOUT,
            Self::Unroutable => close::stream::UNROUTABLE,
            Self::TooMany(_) => close::stream::NO_CAPACITY,
            Self::Ended(code) => *code,
        }
    }
}
