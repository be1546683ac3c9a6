//! The layouts of moq-lite-01. Spec: moq-lite-01, "Messages".

mod announce;
mod announce_init;
mod announce_request;
mod group;
mod session_info;
mod subscribe;
mod subscribe_ok;
mod subscribe_update;

pub(super) use announce::{ANNOUNCE, Fields as AnnounceFields, says as says_announce, write as write_announce};
pub(super) use announce_init::ANNOUNCE_INIT;
pub(super) use announce_request::ANNOUNCE_REQUEST;
pub(super) use group::GROUP;
pub(super) use session_info::SESSION_INFO;
pub(super) use subscribe::{SUBSCRIBE, read as read_subscribe, write as write_subscribe};
pub(super) use subscribe_ok::{REPLY, says as says_reply};
pub(super) use subscribe_update::SUBSCRIBE_UPDATE;
