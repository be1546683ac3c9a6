//! How impairments are written: `2%`, `5%x6`, `2M`, `10s+2s/30s`, and a profile as `loss=2%,delay=20ms`.

use std::{fmt, str::FromStr, time::Duration};

use crate::profile::{Burst, Profile, Rate, Reorder, Share, Window};

/// Packets that a burst swallows on average, unless it is said.
const BURST_LENGTH: f64 = 8.0;

/// How long a packet that is overtaken waits, unless it is said.
const HELD_BACK: Duration = Duration::from_millis(10);

/// Why a text means nothing here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpellingError {
    #[error("{0:?} is no share; write 0% to 100%")]
    Share(String),
    #[error("{0:?} is no time; write 20ms or 2s")]
    Time(String),
    #[error("{0:?} is no rate; write bits per second as 800k, 2M or 1G")]
    Rate(String),
    #[error("{0:?} is no burst; write a share below 100% and the packets a burst swallows on average, at least 1: 5%x6")]
    Burst(String),
    #[error("{0:?} is no window; write when and for how long, and how often if more than once: 10s+2s or 10s+2s/30s")]
    Window(String),
    #[error("{0:?} is no impairment; write key=value, with {KEYS}")]
    Key(String),
}

/// What [`Profile`] knows.
const KEYS: &str = "loss, burst, delay, jitter, reorder, duplicate, corrupt, rate, queue or blackhole";

impl FromStr for Share {
    type Err = SpellingError;

    fn from_str(text: &str) -> Result<Self, SpellingError> {
        let share = text.strip_suffix('%').and_then(|percent| percent.parse::<f64>().ok());
        share.and_then(|percent| Self::new(percent / 100.0)).ok_or_else(|| SpellingError::Share(text.to_owned()))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.get() * 100.0)
    }
}

impl FromStr for Rate {
    type Err = SpellingError;

    fn from_str(text: &str) -> Result<Self, SpellingError> {
        let (digits, unit) = match text.char_indices().last() {
            Some((at, 'k')) => (&text[..at], 1_000),
            Some((at, 'M')) => (&text[..at], 1_000_000),
            Some((at, 'G')) => (&text[..at], 1_000_000_000),
            _ => (text, 1),
        };
        let rate = digits.parse::<u64>().ok().and_then(|rate| rate.checked_mul(unit));
        rate.and_then(Self::new).ok_or_else(|| SpellingError::Rate(text.to_owned()))
    }
}

impl FromStr for Burst {
    type Err = SpellingError;

    fn from_str(text: &str) -> Result<Self, SpellingError> {
        let wrong = || SpellingError::Burst(text.to_owned());
        let (share, length) = match text.split_once('x') {
            Some((share, length)) => (share, length.parse().map_err(|_| wrong())?),
            None => (text, BURST_LENGTH),
        };
        let share: Share = share.parse().map_err(|_| wrong())?;
        if share.get() >= 1.0 || !(1.0..=1e6).contains(&length) {
            return Err(wrong());
        }
        Ok(Self { share, length })
    }
}

impl FromStr for Reorder {
    type Err = SpellingError;

    fn from_str(text: &str) -> Result<Self, SpellingError> {
        let (share, by) = match text.split_once('x') {
            Some((share, by)) => (share, duration(by)?),
            None => (text, HELD_BACK),
        };
        Ok(Self { share: share.parse()?, by })
    }
}

impl FromStr for Window {
    type Err = SpellingError;

    fn from_str(text: &str) -> Result<Self, SpellingError> {
        let wrong = || SpellingError::Window(text.to_owned());
        let (from, rest) = text.split_once('+').ok_or_else(wrong)?;
        let (length, every) = match rest.split_once('/') {
            Some((length, every)) => (length, Some(duration(every)?)),
            None => (rest, None),
        };
        let window = Self { from: duration(from)?, length: duration(length)?, every };
        if every.is_some_and(|every| every <= window.length) {
            return Err(wrong());
        }
        Ok(window)
    }
}

impl FromStr for Profile {
    type Err = SpellingError;

    fn from_str(text: &str) -> Result<Self, SpellingError> {
        let mut profile = Self::default();
        profile.apply(text)?;
        Ok(profile)
    }
}

impl Profile {
    /// Lays what is written, as `loss=2%,delay=20ms`, over what there is. Blackholes add up.
    ///
    /// # Errors
    /// When a key or a value means nothing.
    pub fn apply(&mut self, text: &str) -> Result<(), SpellingError> {
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| SpellingError::Key(part.to_owned()))?;
            match key.trim() {
                "loss" => self.loss = value.parse()?,
                "burst" => self.burst = Some(value.parse()?),
                "delay" => self.delay = duration(value)?,
                "jitter" => self.jitter = duration(value)?,
                "reorder" => self.reorder = Some(value.parse()?),
                "duplicate" => self.duplicate = value.parse()?,
                "corrupt" => self.corrupt = value.parse()?,
                "rate" => self.rate = Some(value.parse()?),
                "queue" => self.queue = duration(value)?,
                "blackhole" => self.blackholes.push(value.parse()?),
                _ => return Err(SpellingError::Key(part.to_owned())),
            }
        }
        Ok(())
    }
}

fn duration(text: &str) -> Result<Duration, SpellingError> {
    humantime::parse_duration(text).map_err(|_| SpellingError::Time(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_profile_is_what_is_written() {
        let text = "loss=2%,burst=5%x6,delay=20ms,jitter=5ms,reorder=1%x30ms,duplicate=0.5%,corrupt=1%,rate=2M,queue=50ms,\
            blackhole=10s+2s/30s,blackhole=5s+1s";
        let profile: Profile = text.parse().unwrap();
        let share = |share| Share::new(share).unwrap();
        assert_eq!(
            profile,
            Profile {
                loss: share(0.02),
                burst: Some(Burst { share: share(0.05), length: 6.0 }),
                delay: Duration::from_millis(20),
                jitter: Duration::from_millis(5),
                reorder: Some(Reorder { share: share(0.01), by: Duration::from_millis(30) }),
                duplicate: share(0.005),
                corrupt: share(0.01),
                rate: Rate::new(2_000_000),
                queue: Duration::from_millis(50),
                blackholes: vec![
                    Window { from: 10 * SECOND, length: 2 * SECOND, every: Some(30 * SECOND) },
                    Window { from: 5 * SECOND, length: SECOND, every: None },
                ],
            }
        );
    }

    #[test]
    fn what_is_laid_over_replaces_only_itself() {
        let mut profile: Profile = "loss=2%,delay=20ms".parse().unwrap();
        profile.apply("loss=5%").unwrap();
        assert_eq!(profile, "loss=5%,delay=20ms".parse().unwrap());
    }

    #[test]
    fn nonsense_is_refused_with_the_way_out() {
        for (text, hint) in [
            ("loss=2", "0% to 100%"),
            ("loss=101%", "0% to 100%"),
            ("loss=NaN%", "0% to 100%"),
            ("burst=100%", "5%x6"),
            ("burst=5%x0", "5%x6"),
            ("burst=5%xinf", "5%x6"),
            ("delay=20", "20ms or 2s"),
            ("rate=0", "800k"),
            ("rate=20000000000G", "800k"),
            ("blackhole=2s", "10s+2s"),
            ("blackhole=1s+2s/2s", "10s+2s/30s"),
            ("speed=2", "loss, burst"),
            ("loss", "key=value"),
        ] {
            let error = text.parse::<Profile>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
