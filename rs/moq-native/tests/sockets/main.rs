//! What the crate does on real sockets, all of them on loopback.

mod pair;
mod transports;
