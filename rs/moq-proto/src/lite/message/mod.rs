//! What peers say in moq-lite, with every version's fields. How a version spells a message is its [`Layout`](super::Layout).
//!
//! A field that a version has no place for is left out when written, and has its default when read.

mod announce;
mod fetch;
mod group;
mod session;
mod setup;
mod subscribe;
mod track;

pub use announce::{Announce, AnnounceInit, AnnounceOk, AnnounceRequest};
pub use fetch::Fetch;
pub use group::{Datagram, GroupHeader};
pub use session::{Goaway, Probe, SessionInfo};
pub use setup::{ProbeLevel, Role, Setup};
pub use subscribe::{Subscribe, SubscribeDrop, SubscribeOk, SubscribeOptions, SubscribeReply, SubscribeUpdate};
pub use track::{TrackInfo, TrackRequest};
