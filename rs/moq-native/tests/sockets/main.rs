//! What the crate does on real sockets, all of them on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by failing")]

mod certificates;
mod client;
mod framing;
mod handmade;
mod http3;
mod pair;
mod race;
mod server;
mod silence;
mod stranger;
mod transports;
mod vectors;
