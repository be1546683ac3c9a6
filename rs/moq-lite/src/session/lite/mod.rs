//! The conversations of moq-lite: one file each, with what asks and what answers.

pub(super) mod announce;
pub(super) mod fetch;
pub(super) mod goaway;
pub(super) mod probe;
pub(super) mod subscribe;
pub(super) mod track;
