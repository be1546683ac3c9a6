//! TLS of the relay: what its listeners show and whom they believe, kept as new as the files, and generated certificates
//! before they end.
//!
//! Nothing here closes a connection: what changes counts for handshakes that begin afterwards. Whose rights end with a change
//! is `auth`'s to say.

mod counts;
mod generated;
mod pins;
mod store;
mod watch;

pub(crate) use self::{counts::Counts, pins::Pins, store::Store, watch::run as watch};
