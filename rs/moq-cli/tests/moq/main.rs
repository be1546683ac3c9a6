//! The program itself, against the relay itself: what people type, what they see, and what scripts can rely on.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod clock;
mod docs;
mod ends;
mod front;
mod import;
mod list;
mod lost;
mod moved;
mod pages;
mod program;
mod relay;
mod stream;
mod told;
mod way;
