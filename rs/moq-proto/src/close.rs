//! `CloseCode`: the number a session or a stream ends with.
//!
//! Two independent tables: [`session`] and [`stream`]. Codes that arrive are for the log, since older peers use one table of
//! their own for both; only those sent are chosen from here. Which error becomes which code is the session's matter, and how
//! a transport carries it, the backend's. Spec: moq-lite-06, "Error Codes".

use std::fmt;

/// The number a session or a stream ends with. Applications' own start at 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u32);

impl CloseCode {
    pub const fn new(code: u32) -> Self {
        Self(code)
    }

    pub const fn get(self) -> u32 {
        self.0
    }
}

impl From<u32> for CloseCode {
    fn from(code: u32) -> Self {
        Self(code)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Why a session was closed.
pub mod session {
    use super::CloseCode;

    pub const NO_ERROR: CloseCode = CloseCode(0x0);
    pub const INTERNAL_ERROR: CloseCode = CloseCode(0x1);
    pub const UNAUTHORIZED: CloseCode = CloseCode(0x2);
    pub const PROTOCOL_VIOLATION: CloseCode = CloseCode(0x3);
    pub const KEY_VALUE_FORMATTING_ERROR: CloseCode = CloseCode(0x6);
    pub const GOAWAY_TIMEOUT: CloseCode = CloseCode(0x10);
    pub const CONTROL_MESSAGE_TIMEOUT: CloseCode = CloseCode(0x11);
    pub const VERSION_NEGOTIATION_FAILED: CloseCode = CloseCode(0x15);
}

/// Why a stream was reset or stopped, or groups were dropped.
pub mod stream {
    use super::CloseCode;

    pub const INTERNAL_ERROR: CloseCode = CloseCode(0x0);
    /// Nobody wants it any more.
    pub const CANCELLED: CloseCode = CloseCode(0x1);
    pub const DELIVERY_TIMEOUT: CloseCode = CloseCode(0x2);
    /// The session that it came from is gone.
    pub const SESSION_CLOSED: CloseCode = CloseCode(0x3);
    pub const GOING_AWAY: CloseCode = CloseCode(0x4);
    /// The reader fell further behind than data is kept.
    pub const TOO_FAR_BEHIND: CloseCode = CloseCode(0x5);
    pub const MALFORMED_TRACK: CloseCode = CloseCode(0x12);
    pub const NO_CAPACITY: CloseCode = CloseCode(0x30);
    pub const CONTROL_TIMEOUT: CloseCode = CloseCode(0x31);
    pub const GROUP_TOO_LARGE: CloseCode = CloseCode(0x32);
    /// No such broadcast, track or group.
    pub const NOT_FOUND: CloseCode = CloseCode(0x33);
    /// Expired, or superseded by something newer.
    pub const OLD: CloseCode = CloseCode(0x34);
    /// Let go of under memory pressure.
    pub const EVICTED: CloseCode = CloseCode(0x35);
    /// No route leads to the path.
    pub const UNROUTABLE: CloseCode = CloseCode(0x36);
    pub const WRONG_SIZE: CloseCode = CloseCode(0x37);
    pub const FRAME_TOO_LARGE: CloseCode = CloseCode(0x38);
    pub const TIMESTAMP_MISMATCH: CloseCode = CloseCode(0x39);
}
