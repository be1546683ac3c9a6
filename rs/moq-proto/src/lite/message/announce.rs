//! The Announce conversation: which broadcasts there are. Spec: moq-lite-06, "Announce"; moq-lite-02 for ANNOUNCE_INIT.

use crate::{Cost, HopChain, HopId, Path, VarInt};

/// ANNOUNCE_REQUEST: asks for all routes under a prefix, now and in future.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnounceRequest {
    pub prefix: Path,
    /// The asker, whose own routes are left out; moq-lite-04 and 05.
    pub exclude: HopId,
    /// Whether names with a leading dot are wanted too; no version here has a place for it.
    pub hidden: bool,
}

/// ANNOUNCE_INIT: all that is there at first; moq-lite-01 and 02.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnnounceInit {
    pub suffixes: Vec<Path>,
}

/// ANNOUNCE_OK: opens the answer; moq-lite-05 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceOk {
    /// The answerer: the last hop of every chain that follows, where it is implied.
    pub hop: HopId,
    /// Announcements that follow at once.
    pub active: VarInt,
}

/// One change to the set of routes.
///
/// Suffixes are relative to the requested prefix. Up to moq-lite-05 a suffix identifies a route; from 06 on the order of its
/// start does, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Announce {
    /// ANNOUNCE, up to 05. 01 and 02 carry no hops, 03 their number alone (read as that many unknown ones). On 05 it replaces
    /// the hops of a suffix that is active already.
    Active { suffix: Path, hops: HopChain },
    /// ANNOUNCE with the status that some moq-lite-05 peers send for a replaced route. Never sent.
    Restart { suffix: Path, hops: HopChain },
    /// ANNOUNCE of a route that is gone, up to 05.
    Ended { suffix: Path },
    /// ANNOUNCE_START, from 06 on.
    Start { suffix: Path, hops: HopChain, cost: Cost },
    /// ANNOUNCE_UPDATE, from 06 on: new hops and cost of a live route.
    Update { id: VarInt, hops: HopChain, cost: Cost },
    /// ANNOUNCE_END, from 06 on.
    End { id: VarInt },
    /// A type that this version does not know; its body was skipped and it takes no id. Never sent.
    Unknown { kind: VarInt },
}
