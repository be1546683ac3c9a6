//! Judge: what becomes of each packet of one flow in one direction.
//!
//! Pure: the same seed, packets and times give the same verdicts. Passing packets on is the middle-box's matter.

use std::time::Duration;

use crate::{
    chance::{Chance, Draw},
    profile::{Profile, Window},
};

/// Longest time that a burst lasts. It is something in the network that passes; counted in packets alone, a sender that has lost
/// everything and waits longer and longer before it tries again would meet the same one for seconds.
const BURST_MAX: Duration = Duration::from_millis(200);

/// What becomes of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Lost(Cause),
    Passed(Passage),
}

/// Why a packet is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Blackhole,
    Burst,
    Loss,
    /// It would have waited too long for the line.
    Overflow,
}

/// How a packet passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// When it comes out.
    pub due: Duration,
    /// Whether it waited for the packets before it to leave the line.
    pub is_queued: bool,
    /// Whether it comes twice.
    pub is_twice: bool,
    /// The bit that is flipped, counted from the first byte's highest.
    pub flipped: Option<usize>,
}

/// Decides on the packets of one flow in one direction.
#[derive(Clone, Debug)]
pub struct Judge {
    profile: Profile,
    chance: Chance,
    packets: u64,
    /// Since when packets meet a burst.
    burst: Option<Duration>,
    /// When the line has taken all packets so far.
    free_at: Duration,
    /// When the latest packet that nobody may overtake comes out.
    latest: Duration,
}

impl Judge {
    pub fn new(profile: Profile, seed: u64) -> Self {
        Self { profile, chance: Chance::new(seed), packets: 0, burst: None, free_at: Duration::ZERO, latest: Duration::ZERO }
    }

    /// Lets nothing pass in one more window.
    pub fn blackhole(&mut self, window: Window) {
        self.profile.blackholes.push(window);
    }

    /// Decides on the next packet: `bytes` of payload that arrive at `now`, which never goes back.
    pub fn judge(&mut self, now: Duration, bytes: usize) -> Verdict {
        let packet = self.packets;
        self.packets += 1;
        // The state moves with every packet, so that it does not depend on what else happens to them.
        self.step_burst(now, packet);
        if self.profile.blackholes.iter().any(|window| window.covers(now)) {
            return Verdict::Lost(Cause::Blackhole);
        }
        if self.burst.is_some() {
            return Verdict::Lost(Cause::Burst);
        }
        if self.chance.happens(self.profile.loss, packet, Draw::Loss) {
            return Verdict::Lost(Cause::Loss);
        }
        let Some(sent) = self.occupy(now, bytes) else { return Verdict::Lost(Cause::Overflow) };
        let bit = self.chance.number(packet, Draw::Bit) as usize;
        Verdict::Passed(Passage {
            due: self.due(sent, packet),
            is_queued: self.profile.rate.is_some_and(|rate| sent > now + rate.time(bytes)),
            is_twice: self.chance.happens(self.profile.duplicate, packet, Draw::Duplicate),
            flipped: (bytes > 0 && self.chance.happens(self.profile.corrupt, packet, Draw::Corrupt)).then(|| bit % (bytes * 8)),
        })
    }

    fn step_burst(&mut self, now: Duration, packet: u64) {
        let Some(burst) = self.profile.burst else { return };
        let (ends, begins) = burst.transitions();
        let draw = self.chance.unit(packet, Draw::Burst);
        self.burst = match self.burst {
            Some(since) if now.saturating_sub(since) >= BURST_MAX || draw < ends => None,
            None if draw < begins => Some(now),
            unchanged => unchanged,
        };
    }

    /// When the line has taken this packet. `None`: it would have to wait too long.
    fn occupy(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        let Some(rate) = self.profile.rate else { return Some(now) };
        let begins = self.free_at.max(now);
        if begins - now > self.profile.queue {
            return None;
        }
        self.free_at = begins + rate.time(bytes);
        Some(self.free_at)
    }

    fn due(&mut self, sent: Duration, packet: u64) -> Duration {
        let jitter = self.profile.jitter.mul_f64(self.chance.unit(packet, Draw::Jitter));
        let due = (sent + self.profile.delay + jitter).max(self.latest);
        self.latest = due;
        match self.profile.reorder {
            Some(reorder) if self.chance.happens(reorder.share, packet, Draw::Reorder) => due + reorder.by,
            _ => due,
        }
    }
}

#[cfg(test)]
mod tests;
