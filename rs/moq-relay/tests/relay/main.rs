//! The relay as its operator and its clients see it: the binary itself, started anew by every test.

mod http;
mod process;
mod shutdown;
mod start;
