//! What tests of sessions need: a transport in memory and two sessions over it.

pub mod memory;
pub mod pair;
