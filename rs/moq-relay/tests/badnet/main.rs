//! Playback over bad networks: the relay's own binary, real clients, and a middle-box that loses, delays and moves their packets.
//!
//! Every row is a live video of its own, with either its viewer or its publisher behind the bad network. Playback goes on: the
//! newest group comes within a bound, no byte is wrong, no frame comes twice, no session is lost, and the network has been bad.
//! `MOQ_BADNET_SECONDS` makes the rows longer than what every run of the tests can afford; `just badnet` prints the figures.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

mod comeback;
#[path = "../relay/peer.rs"]
#[allow(dead_code, reason = "the stories here need less of it")]
mod peer;
#[path = "../relay/process.rs"]
#[allow(dead_code, reason = "the stories here need less of it")]
mod process;
mod row;
mod seen;
mod video;

use std::time::Duration;

use crate::row::{Trouble, plays_on};

const MILLI: Duration = Duration::from_millis(1);

#[test]
fn a_good_network_shows_what_the_measuring_costs() {
    plays_on(&Trouble { stall: 1_500 * MILLI, ..Trouble::named("good") });
}

#[test]
fn two_percent_loss_and_twenty_milliseconds() {
    plays_on(&Trouble { profile: "loss=2%,delay=20ms", stall: 1_500 * MILLI, ..Trouble::named("loss") });
}

#[test]
fn bursts_of_loss() {
    plays_on(&Trouble { profile: "burst=5%x6,delay=20ms", stall: 2_000 * MILLI, ..Trouble::named("bursts") });
}

#[test]
fn everything_at_once_and_jitter_reordering_doubles_and_damage_too() {
    let profile = "loss=1%,delay=20ms,jitter=5ms,reorder=2%,duplicate=1%,corrupt=1%,rate=10M";
    plays_on(&Trouble { profile, stall: 2_000 * MILLI, ..Trouble::named("mixed") });
}

#[test]
fn a_line_that_takes_less_than_the_video() {
    plays_on(&Trouble { profile: "rate=1M,queue=200ms,delay=20ms", stall: 2_500 * MILLI, ..Trouble::named("narrow") });
}

#[test]
fn a_port_that_changes_every_two_seconds() {
    // A viewer sends acknowledgements and nothing else, and one has to be under way as its port changes, or the relay hears of the
    // new one with the next keep-alive only. Packets are under way for longer than a busy machine takes to the next frame.
    let rebind = Some(2_000 * MILLI);
    plays_on(&Trouble { profile: "delay=60ms", rebind, stall: 1_500 * MILLI, ..Trouble::named("rebinding") });
}

#[test]
fn two_seconds_of_nothing() {
    // A sender finds out within a quarter of a second that packets pass again.
    let blackhole = Some(2_000 * MILLI);
    plays_on(&Trouble { profile: "delay=20ms", blackhole, stall: 3_000 * MILLI, ..Trouble::named("blackhole") });
}
