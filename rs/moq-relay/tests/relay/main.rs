//! The relay as its operator and its clients see it: the binary itself, started anew by every test.

mod auth;
mod authority;
mod failover;
mod fetch;
mod http;
mod https;
mod jwks;
mod mtls;
mod names;
#[allow(dead_code, reason = "`table` uses the rest")]
mod peer;
mod penalty;
mod process;
mod remote;
mod rights;
mod rotation;
mod secrets;
mod server;
mod session;
mod shutdown;
mod start;
mod targets;
