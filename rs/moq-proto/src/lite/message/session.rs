//! What peers tell each other about the session itself. Spec: moq-lite-06, "PROBE" and "GOAWAY"; moq-lite-02, "SESSION_INFO".

use crate::VarInt;

/// PROBE: what the sender measures of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// Bits a second; 0 is unknown.
    pub bitrate: VarInt,
    /// Round trip in milliseconds; 0 is unknown, which is all that moq-lite-03 says.
    pub rtt: VarInt,
}

/// GOAWAY: asks the peer to leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Goaway {
    /// Where to go, at most [`Goaway::URI_MAX`] bytes. Empty: where it came.
    pub uri: String,
}

impl Goaway {
    /// Longest URI that receivers accept, in bytes, as moq-lite has it.
    pub const URI_MAX: usize = 8192;
}

/// SESSION_INFO: what the sender measures of the connection; moq-lite-01 and 02.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionInfo {
    /// Bits a second; 0 is unknown.
    pub bitrate: VarInt,
}
