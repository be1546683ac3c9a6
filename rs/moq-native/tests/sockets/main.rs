//! What the crate does on real sockets, all of them on loopback.

mod client;
mod http3;
mod pair;
mod server;
mod stranger;
mod transports;
