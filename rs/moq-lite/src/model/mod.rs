//! Broadcasts, tracks, groups and frames: pure state, with the time handed in.
//!
//! Each room imports only those above it in this list. Nothing here knows a version or a socket; of the wire it knows one
//! noun, [`Framing`](moq_proto::Framing).

mod lock;
mod watch;

mod question;

pub mod bell;
pub mod cache;
mod clock;
pub mod log;

pub mod demand;
pub mod expiry;
pub mod subgroup;

mod image;

pub mod group;

pub mod track;

pub mod broadcast;

pub mod route;

pub mod origin;
