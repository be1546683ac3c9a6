//! What a stream is for: the integer it starts with. Spec: moq-lite-06, "Stream Types".

use crate::VarInt;

/// Bidirectional streams.
pub const ANNOUNCE: VarInt = VarInt::from_u32(1);
pub const SUBSCRIBE: VarInt = VarInt::from_u32(2);
pub const FETCH: VarInt = VarInt::from_u32(3);
pub const PROBE: VarInt = VarInt::from_u32(4);
pub const GOAWAY: VarInt = VarInt::from_u32(5);
pub const TRACK: VarInt = VarInt::from_u32(6);
/// The session stream of moq-lite-01 and 02; also the type of the client's SETUP on it.
pub const LEGACY_SETUP: VarInt = VarInt::from_u32(0x20);
/// The type of the server's SETUP on the session stream.
pub const LEGACY_SETUP_REPLY: VarInt = VarInt::from_u32(0x21);

/// Unidirectional streams.
pub const GROUP: VarInt = VarInt::from_u32(0);
pub const SETUP: VarInt = VarInt::from_u32(1);
