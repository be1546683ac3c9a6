//! Violations: what a peer does that HTTP/3 does not allow, or that is more than is taken from it, and the code it is told.
//!
//! What they say is for logs and for the peer alike, so none of it is the peer's own words.
//!
//! Spec: RFC 9114, section 8.1; RFC 9204, section 6.

use quinn::VarInt;

use super::qpack::DecodeError;

/// Why a connection over HTTP/3 is refused or ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    #[error("connection lost: {0}")]
    Lost(#[from] quinn::ConnectionError),
    #[error("control stream closed")]
    ControlClosed,
    #[error("control stream begins with something else than SETTINGS")]
    NoSettings,
    #[error("SETTINGS cannot be read")]
    Settings,
    #[error("no datagrams in SETTINGS, and WebTransport needs them")]
    NoDatagrams,
    #[error("frame where it has no place")]
    FrameUnexpected,
    #[error("frame cut short")]
    FrameCut,
    #[error("frame too large")]
    FrameTooLarge,
    #[error("too much that has no meaning here")]
    TooMuchIgnored,
    #[error("stream ended before its request")]
    NoRequest,
    #[error(transparent)]
    Fields(#[from] DecodeError),
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    #[error("no request for WebTransport")]
    NotWebTransport,
}

impl Violation {
    /// The number of HTTP/3 or QPACK for it.
    pub(super) fn code(&self) -> VarInt {
        VarInt::from_u32(match self {
            Self::Lost(_) => 0x102,         // H3_INTERNAL_ERROR; nobody hears it
            Self::ControlClosed => 0x104,   // H3_CLOSED_CRITICAL_STREAM
            Self::FrameUnexpected => 0x105, // H3_FRAME_UNEXPECTED
            Self::FrameCut => 0x106,        // H3_FRAME_ERROR
            Self::FrameTooLarge | Self::TooMuchIgnored | Self::Fields(DecodeError::TooLarge) => 0x107, // H3_EXCESSIVE_LOAD
            Self::Settings | Self::NoDatagrams => 0x109, // H3_SETTINGS_ERROR
            Self::NoSettings => 0x10a,      // H3_MISSING_SETTINGS
            Self::NotWebTransport => 0x10b, // H3_REQUEST_REJECTED
            Self::NoRequest => 0x10d,       // H3_REQUEST_INCOMPLETE
            Self::Malformed(_) => 0x10e,    // H3_MESSAGE_ERROR
            Self::Fields(_) => 0x200,       // QPACK_DECOMPRESSION_FAILED
        })
    }
}
