//! The relay as its operator and its clients see it: the binary itself, started anew by every test.

mod auth;
mod authority;
mod failover;
mod fetch;
mod http;
mod https;
mod mtls;
mod names;
#[allow(dead_code, reason = "`table` uses the rest")]
mod peer;
mod process;
mod rights;
mod rotation;
mod session;
mod shutdown;
mod start;
mod targets;
