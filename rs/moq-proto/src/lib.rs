//! The nouns of Media over QUIC, and their bytes.
//!
//! What peers say to each other ([`lite::message`]), how each version spells it ([`lite::Dialect`]), and the nouns that both
//! the messages and the state behind them need. No async, no clock, no I/O: bytes in, values out, and back.

// Whatever a peer sends, reading it cannot panic; a test that cannot go on may.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(feature = "arbitrary")]
pub mod arbitrary;
mod buf;
mod canonical;
pub mod close;
mod framing;
mod hop;
pub mod lite;
mod path;
mod time;
mod varint;
mod version;

pub use buf::{DecodeError, Prefix, PrefixError, Reader, Writer};
pub use canonical::canonical;
pub use close::CloseCode;
pub use framing::{FrameHead, Framing};
pub use hop::{Cost, HopChain, HopError, HopId};
pub use path::{Path, PathError};
pub use time::{Timescale, TimescaleError, Timestamp, TimestampError};
pub use varint::{VarInt, VarIntError};
pub use version::{Version, VersionError};
