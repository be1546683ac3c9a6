//! Times as people write them: `1h`, `2027-01-01T00:00:00Z`, or seconds since 1970.

use std::{
    str::FromStr,
    time::{Duration, SystemTime},
};

use moq_token::Utc;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The last second that RFC 3339 can write, and that a token can say.
const LAST: u64 = 253_402_300_799;

/// A time, perhaps counted from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At(SystemTime),
    In(Duration),
}

/// Why text is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WhenError {
    #[error("not a time: `1h`, `7d`, `2027-01-01T00:00:00Z`, or seconds since 1970")]
    Unreadable,
    #[error("understood as seconds since 1970 it lies after the year 9999; are these milliseconds?")]
    TooLate,
    #[error("it lies before 1970")]
    TooEarly,
}

impl FromStr for When {
    type Err = WhenError;

    fn from_str(text: &str) -> Result<Self, WhenError> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            let seconds = text.parse().ok().filter(|seconds| *seconds <= LAST).ok_or(WhenError::TooLate)?;
            return Ok(Self::At(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)));
        }
        if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
            return if time < OffsetDateTime::UNIX_EPOCH { Err(WhenError::TooEarly) } else { Ok(Self::At(time.into())) };
        }
        humantime::parse_duration(text).map(Self::In).map_err(|_| WhenError::Unreadable)
    }
}

impl When {
    /// The time it is, in whole seconds. `None`: after the year 9999.
    pub(crate) fn from(self, now: SystemTime) -> Option<SystemTime> {
        let time = match self {
            Self::At(time) => time,
            Self::In(duration) => now.checked_add(duration)?,
        };
        let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        (seconds <= LAST).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }
}

/// `time`, and how far it is from `now`.
pub(crate) fn describe(time: SystemTime, now: SystemTime) -> String {
    let whole = |distance: Duration| humantime::format_duration(Duration::from_secs(distance.as_secs()));
    let distance = match (time.duration_since(now), now.duration_since(time)) {
        (Ok(ahead), _) => format!("in {}", whole(ahead)),
        (Err(_), Ok(past)) => format!("{} ago", whole(past)),
        (Err(_), Err(_)) => "now".to_owned(),
    };
    format!("{} ({distance})", Utc(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_time_has_three_spellings() {
        let now = at(1_800_000_000);
        for (text, seconds) in [
            ("1735689600", 1_735_689_600),
            ("0", 0),
            ("253402300799", LAST),
            ("2025-01-01T00:00:00Z", 1_735_689_600),
            ("2025-01-01T01:30:00.9+01:30", 1_735_689_600),
            ("1h", 1_800_003_600),
            ("1h 30m", 1_800_005_400),
            ("7days", 1_800_604_800),
        ] {
            assert_eq!(text.parse::<When>().unwrap().from(now), Some(at(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_says_why() {
        for (text, error) in [
            ("", WhenError::Unreadable),
            ("tomorrow", WhenError::Unreadable),
            ("-1", WhenError::Unreadable),
            ("1.5", WhenError::Unreadable),
            ("2025-01-01", WhenError::Unreadable),
            ("1735689600000", WhenError::TooLate),
            ("99999999999999999999999", WhenError::TooLate),
            ("1969-12-31T23:59:59Z", WhenError::TooEarly),
        ] {
            assert_eq!(text.parse::<When>(), Err(error), "{text}");
        }
        assert_eq!("9000years".parse::<When>().unwrap().from(at(1_800_000_000)), None);
    }

    #[test]
    fn a_time_is_described_by_its_distance() {
        assert_eq!(describe(at(3600), at(0)), "1970-01-01T01:00:00Z (in 1h)");
        assert_eq!(describe(at(0), at(90)), "1970-01-01T00:00:00Z (1m 30s ago)");
    }
}
