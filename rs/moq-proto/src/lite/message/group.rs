//! What media travels in: group streams and datagrams. Spec: moq-lite-06, "GROUP" and "Datagrams".

use bytes::Bytes;

use crate::{Timestamp, VarInt};

/// GROUP: opens a group stream; frames follow until its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHeader {
    /// The subscription it answers.
    pub subscribe: VarInt,
    /// JavaScript peers read 53 bits.
    pub sequence: VarInt,
    /// Index of the first frame on this stream; from moq-lite-06 on.
    pub frame_start: VarInt,
}

/// One datagram: a whole group of a single frame; from moq-lite-05 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The subscription it answers.
    pub subscribe: VarInt,
    pub sequence: VarInt,
    pub timestamp: Timestamp,
    pub payload: Bytes,
}
