//! Chance that can be asked again: each draw is a function of a seed, a packet's number and what it decides.
//!
//! So one impairment switched on or off leaves the draws of all others as they were.
//! The mixing is that of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).

use crate::profile::Share;

/// What a draw decides.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Draw {
    Burst = 1,
    Loss,
    Jitter,
    Reorder,
    Duplicate,
    Corrupt,
    Bit,
}

/// The draws for one flow in one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// Any number, all as likely.
    pub(crate) fn number(self, packet: u64, draw: Draw) -> u64 {
        mix(mix(self.0.wrapping_add(draw as u64)) ^ packet)
    }

    /// From 0 to just below 1.
    pub(crate) fn unit(self, packet: u64, draw: Draw) -> f64 {
        // 53 bits are what an f64 holds exactly.
        (self.number(packet, draw) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn happens(self, share: Share, packet: u64, draw: Draw) -> bool {
        self.unit(packet, draw) < share.get()
    }
}

/// Spreads every bit of `value` over all of them.
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
