//! The Subscribe conversation: groups of a track as they come. Spec: moq-lite-06, "Subscribe"; moq-lite-04 for SUBSCRIBE_OK.

use crate::{Path, VarInt};

/// SUBSCRIBE: asks for a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Chosen by the subscriber: 0, 1, 2 … in a session.
    pub id: VarInt,
    pub broadcast: Path,
    /// Not a path: kept as it is.
    pub track: String,
    pub options: SubscribeOptions,
}

/// SUBSCRIBE_UPDATE: replaces all that was asked for. moq-lite-01 and 02 carry the priority alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeUpdate(pub SubscribeOptions);

/// What a subscriber wants of a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Larger is more important.
    pub priority: u8,
    /// Retired; moq-lite-03 to 05. JavaScript peers serve old groups first when it is set.
    pub ordered: bool,
    /// How far, in milliseconds of media time, a group may lie behind the newest. `None`: no limit, which is all that 01 and
    /// 02 know, and which later versions write as 2^53 - 1.
    pub max_age: Option<VarInt>,
    /// moq-lite-03 to 05: the first group wanted; `None`: the newest. From 06 on: no group below it; 0 is the same as `None`.
    pub group_start: Option<VarInt>,
    /// Last group wanted. `None`: no end.
    pub group_end: Option<VarInt>,
    /// First frame wanted of the group that `group_start` names; from 06 on.
    pub frame_start: VarInt,
    /// Last frame wanted of the group `group_end`; from 06 on. Means nothing, and is left out, without one.
    pub frame_end: Option<VarInt>,
}

/// What a publisher answers on a Subscribe stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeReply {
    /// SUBSCRIBE_OK, up to moq-lite-04: accepted.
    Ok(SubscribeOk),
    /// SUBSCRIBE_START, from 05 on: the lowest group that will be delivered.
    Start { group: VarInt },
    /// SUBSCRIBE_END, from 05 on: no group at or above this will exist.
    End { group: VarInt },
    /// SUBSCRIBE_DROP, from 03 on.
    Drop(SubscribeDrop),
}

/// SUBSCRIBE_OK. moq-lite-01 carries the priority alone, 02 nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOk {
    pub priority: u8,
    pub ordered: bool,
    /// In milliseconds.
    pub max_age: VarInt,
    pub group_start: Option<VarInt>,
    pub group_end: Option<VarInt>,
}

/// SUBSCRIBE_DROP: groups `start..=end` will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeDrop {
    pub start: VarInt,
    pub end: VarInt,
    pub code: VarInt,
}
