//! The Track conversation: what a track is like, before anything of it is sent. Spec: moq-lite-05, "TRACK" and "TRACK_INFO".

use crate::{Path, Timescale, VarInt};

/// TRACK: asks what a track is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackRequest {
    pub broadcast: Path,
    /// Not a path: kept as it is.
    pub track: String,
}

/// TRACK_INFO: what a track is like, for all its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    /// The publisher's own; larger is more important.
    pub priority: u8,
    /// Retired; moq-lite-05 alone.
    pub ordered: bool,
    /// How long groups are worth keeping, in milliseconds of media time. JavaScript peers read 53 bits.
    pub max_age: VarInt,
    pub timescale: Timescale,
}
