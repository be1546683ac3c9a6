//! The wall clock on tracks: timestamps count microseconds since 1970, so that a viewer whose clock agrees sees the delay.

use std::time::{Duration, Instant, SystemTime};

use moq_proto::{Timescale, Timestamp};

/// Largest difference between two clocks that still count the same time. Beyond it, somebody counts something else.
const SKEW_MAX: Duration = Duration::from_secs(3600);

/// Microseconds.
const SCALE: u64 = 1_000_000;

/// The wall clock as it was at the start, and from then on a clock that never jumps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wall {
    began: Instant,
    /// Since 1970.
    then: Duration,
}

impl Wall {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), then: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default() }
    }

    /// What timestamps count.
    pub(crate) fn scale() -> Timescale {
        Timescale::try_from(SCALE).unwrap_or_default()
    }

    /// Time since 1970.
    pub(crate) fn since_1970(&self) -> Duration {
        self.then + self.began.elapsed()
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_duration(self.since_1970(), Self::scale())
    }

    /// How long ago a frame was made. `None`: its timestamp counts something else than the wall clock.
    pub(crate) fn delay(&self, timestamp: Timestamp, scale: Timescale) -> Option<Duration> {
        let (now, made) = (self.since_1970(), timestamp.to_duration(scale));
        let delay = now.saturating_sub(made);
        (now.abs_diff(made) <= SKEW_MAX).then_some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wall_clock_tells_the_delay() {
        let wall = Wall { began: Instant::now(), then: Duration::from_secs(1_800_000_000) };
        let at = |seconds: u64| Timestamp::try_from(seconds * 1000).unwrap();

        let delay = wall.delay(at(1_799_999_998), Timescale::MILLIS).unwrap();
        assert!(delay >= Duration::from_secs(2) && delay < Duration::from_secs(60), "{delay:?}");
        assert_eq!(wall.delay(at(1_800_000_100), Timescale::MILLIS), Some(Duration::ZERO), "their clock is ahead");
        assert_eq!(wall.delay(at(12), Timescale::MILLIS), None);
    }
}
