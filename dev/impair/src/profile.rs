//! Profile: what one direction of the network does to packets.

use std::time::Duration;

/// How long a packet may wait for a line with a rate, unless it is said.
const QUEUE: Duration = Duration::from_millis(100);

/// A part of all packets, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Share(f64);

/// Bits per second, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Share {
    /// `None`: not from 0 to 1.
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }

    pub fn get(self) -> f64 {
        self.0
    }
}

impl Rate {
    /// `None`: nothing would pass.
    pub fn new(bits_per_second: u64) -> Option<Self> {
        (bits_per_second > 0).then_some(Self(bits_per_second))
    }

    /// How long so many bytes take.
    pub(crate) fn time(self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 * 8.0 / self.0 as f64)
    }
}

/// What one direction of the network does to packets. The default passes all of them on at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Packets that are lost, each by itself.
    pub loss: Share,
    /// Packets that are lost together, beside those lost by themselves.
    pub burst: Option<Burst>,
    /// How long each packet takes.
    pub delay: Duration,
    /// How much longer at most, evenly spread. Order is kept.
    pub jitter: Duration,
    /// Packets that others overtake.
    pub reorder: Option<Reorder>,
    /// Packets that come twice.
    pub duplicate: Share,
    /// Packets that come with one bit flipped.
    pub corrupt: Share,
    /// What the line takes. `None`: everything.
    pub rate: Option<Rate>,
    /// How long a packet may wait for a line with a rate; one that would wait longer is lost.
    pub queue: Duration,
    /// When nothing passes.
    pub blackholes: Vec<Window>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            loss: Share::default(),
            burst: None,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reorder: None,
            duplicate: Share::default(),
            corrupt: Share::default(),
            rate: None,
            queue: QUEUE,
            blackholes: Vec::new(),
        }
    }
}

/// Losses that come together: the model of Gilbert and Elliott with a bad state that passes nothing. It moves with each packet, and
/// ends after 200 ms at the latest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// Packets that meet the bad state, below 1.
    pub share: Share,
    /// Packets that it swallows on average before it ends, at least 1.
    pub length: f64,
}

impl Burst {
    /// How likely a packet is to find the bad state ended, and how likely to find it begun.
    pub(crate) fn transitions(self) -> (f64, f64) {
        let ends = 1.0 / self.length;
        (ends, ends * self.share.get() / (1.0 - self.share.get()))
    }
}

/// Packets that are held back, so that later ones overtake them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reorder {
    pub share: Share,
    pub by: Duration,
}

/// A time that may come again and again. In a profile it is counted from each client's first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: Duration,
    pub length: Duration,
    /// From one beginning to the next. `None`: once.
    pub every: Option<Duration>,
}

impl Window {
    /// The same for a clock that was at `now` when this one begins.
    pub(crate) fn after(self, now: Duration) -> Self {
        Self { from: self.from + now, ..self }
    }

    pub fn covers(&self, now: Duration) -> bool {
        let Some(since) = now.checked_sub(self.from) else { return false };
        let since = match self.every {
            Some(every) if !every.is_zero() => Duration::from_nanos((since.as_nanos() % every.as_nanos()) as u64),
            _ => since,
        };
        since < self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_covers_its_time_and_its_repetitions() {
        let once: Window = "10s+2s".parse().unwrap();
        let again: Window = "10s+2s/30s".parse().unwrap();
        for (at, in_once, in_again) in [
            (0, false, false),
            (9_999, false, false),
            (10_000, true, true),
            (11_999, true, true),
            (12_000, false, false),
            (41_000, false, true),
        ] {
            let now = Duration::from_millis(at);
            assert_eq!((once.covers(now), again.covers(now)), (in_once, in_again), "at {now:?}");
        }
    }
}
