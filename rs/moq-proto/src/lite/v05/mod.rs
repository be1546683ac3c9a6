//! The layouts born in moq-lite-05. Spec: moq-lite-05, "Messages".

mod announce;
mod announce_ok;
mod datagram;
mod fetch;
mod reply;
mod setup;
mod track;
mod track_info;

pub(super) use announce::ANNOUNCE;
pub(super) use announce_ok::ANNOUNCE_OK;
pub(super) use datagram::DATAGRAM;
pub(super) use fetch::FETCH;
pub(super) use reply::REPLY;
pub(super) use setup::SETUP;
pub(super) use track::TRACK;
pub(super) use track_info::TRACK_INFO;
