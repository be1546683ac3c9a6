//! Face: how the time is spelled on a track.
//!
//! The first frame of a group is what all its ticks have in common, each frame after it the rest of one tick:
//! `2026-07-14 12:34:` and then `05`, `06`, `07`. Whoever comes late reads both. The time is UTC.

use std::time::Duration;

use clap::ValueEnum;
use time::OffsetDateTime;

/// How long a group of ticks lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lap {
    /// A group for each minute.
    Minute,
    /// A group for each second.
    Second,
}

impl Lap {
    /// Which lap it is; counted from 1970. `time`: since then.
    pub(crate) fn number(self, time: Duration) -> u64 {
        match self {
            Self::Minute => time.as_secs() / 60,
            Self::Second => time.as_secs(),
        }
    }

    /// What all ticks of the lap have in common, and the rest of this one. `fine`: down to milliseconds.
    pub(crate) fn spell(self, time: Duration, fine: bool) -> (String, String) {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let utc = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = (utc.year(), u8::from(utc.month()), utc.day());
        let (hour, minute, second) = utc.to_hms();
        let minute = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:");
        let second = format!("{second:02}");
        let rest = if fine { format!(".{:03}", time.subsec_millis()) } else { String::new() };
        match self {
            Self::Minute => (minute, second + &rest),
            Self::Second => (minute + &second, rest),
        }
    }
}

/// The tick after `time`, on a clock that ticks at whole multiples of `interval`.
pub(crate) fn next_tick(time: Duration, interval: Duration) -> Duration {
    let interval = interval.as_nanos().max(1);
    let next = (time.as_nanos() / interval + 1) * interval;
    Duration::new((next / 1_000_000_000) as u64, (next % 1_000_000_000) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::new(1_784_032_445, 250_900_000);

    #[test]
    fn a_tick_is_what_its_group_has_in_common_and_the_rest() {
        for (lap, fine, base, rest) in [
            (Lap::Minute, false, "2026-07-14 12:34:", "05"),
            (Lap::Minute, true, "2026-07-14 12:34:", "05.250"),
            (Lap::Second, true, "2026-07-14 12:34:05", ".250"),
            (Lap::Second, false, "2026-07-14 12:34:05", ""),
        ] {
            assert_eq!(lap.spell(TIME, fine), (base.to_owned(), rest.to_owned()));
        }
    }

    #[test]
    fn a_clock_ticks_at_whole_multiples() {
        let millis = Duration::from_millis;
        for (time, interval, next) in [
            (millis(1500), millis(1000), millis(2000)),
            (millis(2000), millis(1000), millis(3000)),
            (millis(1999), millis(250), millis(2000)),
            (millis(61_000), millis(60_000), millis(120_000)),
        ] {
            assert_eq!(next_tick(time, interval), next, "{time:?} {interval:?}");
        }
    }
}
