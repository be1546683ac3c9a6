//! The columns of the table: what happens between a publisher, the relay and a viewer.

pub(crate) mod announce;
pub(crate) mod datagram;
pub(crate) mod fetch;
pub(crate) mod goaway;
pub(crate) mod late_join;
pub(crate) mod publisher_gone;
pub(crate) mod unsubscribe;
pub(crate) mod update;
