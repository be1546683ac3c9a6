//! The Fetch conversation: one group, from its past. Spec: moq-lite-06, "FETCH".

use crate::{Path, VarInt};

/// FETCH: asks for one group; its frames are the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    pub broadcast: Path,
    /// Not a path: kept as it is.
    pub track: String,
    /// Larger is more important.
    pub priority: u8,
    pub group: VarInt,
    /// First frame wanted; from moq-lite-06 on.
    pub frame_start: VarInt,
    /// Last frame wanted, not below `frame_start`; from moq-lite-06 on. `None`: the group's last.
    pub frame_end: Option<VarInt>,
}
