//! The layouts born in moq-lite-04. Spec: moq-lite-04, "Messages".

mod announce;
mod announce_request;
mod goaway;
mod hops;
mod probe;

pub(super) use announce::ANNOUNCE;
pub(super) use announce_request::ANNOUNCE_REQUEST;
pub(super) use goaway::GOAWAY;
pub(super) use hops::{read as read_hops, write as write_hops};
pub(super) use probe::PROBE;
