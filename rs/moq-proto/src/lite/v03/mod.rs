//! The layouts born in moq-lite-03. Spec: moq-lite-03, "Messages".

mod announce;
mod probe;
mod reply;
mod subscribe;
mod subscribe_drop;

pub(super) use announce::ANNOUNCE;
pub(super) use probe::PROBE;
pub(super) use reply::REPLY;
pub(super) use subscribe::{NO_LIMIT, SUBSCRIBE, SUBSCRIBE_UPDATE};
pub(super) use subscribe_drop::{read as read_drop, write as write_drop};
