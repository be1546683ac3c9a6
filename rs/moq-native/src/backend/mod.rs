//! What carries a session: one room per transport library, each behind [`moq_lite::transport`].

pub mod qmux;
pub mod quic;
mod waiting;

use moq_lite::transport::ConnectionError;

/// Longest reason that a close carries, in bytes. Browsers refuse a longer one (WebTransport over HTTP/3, section 6).
const REASON_BYTES_MAX: usize = 1024;

/// Cuts a reason to what a close may carry, at a character boundary.
fn shorten(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

/// A close that one side chose, as the session is told of it.
fn closed(code: u64, reason: &str) -> ConnectionError {
    ConnectionError::Closed { code: u32::try_from(code).unwrap_or(u32::MAX), reason: shorten(reason).to_owned() }
}
