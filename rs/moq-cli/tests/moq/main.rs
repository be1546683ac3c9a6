//! The program itself, against the relay itself: what people type, what they see, and what scripts can rely on.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod program;
mod relay;

use std::time::Duration;

use crate::{
    program::{PATIENCE, Program},
    relay::{Over, Relay, file},
};

/// Starts to watch `room/alice`, from its first group on.
fn watch(relay: &Relay, over: Over, args: &[&str]) -> Program {
    relay.moq(over, "subscribe", &[&["--from", "0", "--wait", "1m", "room/alice", "track"], args].concat())
}

/// Publishes at `room/alice` all of what the test writes, once somebody watches.
fn publish(relay: &Relay, over: Over, args: &[&str]) -> Program {
    relay.moq(over, "publish", &[&["--wait", "room/alice", "track"], args].concat())
}

#[test]
fn bytes_go_in_and_come_out_in_every_spelling_over_every_transport() {
    let relay = Relay::start();
    let lines = b"one\n\n\xff\0three\r\n".repeat(500);
    let frames: Vec<u8> = (0..200u8)
        .flat_map(|n| [vec![0, 0, u8::from(n > 100), n], vec![n; usize::from(n) + 256 * usize::from(n > 100)]].concat())
        .collect();
    let raw: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    for over in Over::ALL {
        for (spelling, input) in [("lines", &lines), ("length", &frames), ("raw", &raw)] {
            let viewer = watch(&relay, over, &["--frames", spelling]);
            let mut publisher = publish(&relay, over, &["--frames", spelling]);
            publisher.write(input);
            publisher.end().well();

            assert!(viewer.end().well().output == *input, "{over:?} {spelling}");
        }
    }
}
