//! The layouts born in moq-lite-06. Spec: moq-lite-06, "Messages".

mod announce;
mod fetch;
mod group;
mod subscribe;
mod track_info;

pub(super) use announce::ANNOUNCE;
pub(super) use fetch::FETCH;
pub(super) use group::GROUP;
pub(super) use subscribe::{SUBSCRIBE, SUBSCRIBE_UPDATE};
pub(super) use track_info::TRACK_INFO;
