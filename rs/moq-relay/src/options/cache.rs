//! `[cache]`: how much of what passes through is kept for those who come late.

use std::{fmt, str::FromStr, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

use super::value;

/// `[cache]` as the operator wrote it.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[command(next_help_heading = "[cache]")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CacheOptions {
    /// Memory for groups: bytes, a size such as `512MiB`, or a share of the machine's memory such as `50%`.
    /// Default: `25%`, at most `1GiB`.
    #[arg(id = "cache.capacity", long = "cache-capacity", env = "MOQ_CACHE_CAPACITY", value_name = "SIZE")]
    pub capacity: Option<Capacity>,
    /// How much of it one broadcast may take: bytes, a size, or a share of the capacity. Default: `25%`.
    #[arg(id = "cache.per_broadcast", long = "cache-per-broadcast", env = "MOQ_CACHE_PER_BROADCAST", value_name = "SIZE")]
    pub per_broadcast: Option<Capacity>,
    /// Groups are kept at least this long behind the live edge, whatever their track asks for. Default: `0s`.
    #[arg(
        id = "cache.min_age",
        long = "cache-min-age",
        env = "MOQ_CACHE_MIN_AGE",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    #[serde(deserialize_with = "value::duration")]
    pub min_age: Option<Duration>,
    /// Groups are kept at most this long behind the live edge, by the times of their frames, whatever their track asks for.
    /// Default: `30s`.
    #[arg(
        id = "cache.max_age",
        long = "cache-max-age",
        visible_alias = "cache-duration",
        env = "MOQ_CACHE_MAX_AGE",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    #[serde(deserialize_with = "value::duration")]
    pub max_age: Option<Duration>,
    /// A track keeps its groups this long after its last reader has left. Default: `30s`.
    #[arg(
        id = "cache.linger",
        long = "cache-linger",
        env = "MOQ_CACHE_LINGER",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    #[serde(deserialize_with = "value::duration")]
    pub linger: Option<Duration>,
}

impl CacheOptions {
    /// Lays `self` over `file`: whatever is set here wins.
    pub(crate) fn over(self, file: Self) -> Self {
        Self {
            capacity: self.capacity.or(file.capacity),
            per_broadcast: self.per_broadcast.or(file.per_broadcast),
            min_age: self.min_age.or(file.min_age),
            max_age: self.max_age.or(file.max_age),
            linger: self.linger.or(file.linger),
        }
    }
}

/// How large the cache may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capacity {
    Bytes(u64),
    /// Of the whole that the key is about, 1 to 100.
    Percent(u8),
}

/// Text that is no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a size; write bytes, a size such as \"512MiB\" or \"2GB\", or a share of memory such as \"50%\"")]
pub(crate) struct CapacityError;

/// The units a size may have, in bytes.
const UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

impl FromStr for Capacity {
    type Err = CapacityError;

    fn from_str(text: &str) -> Result<Self, CapacityError> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let (number, unit) = (number.parse::<u64>().map_err(|_| CapacityError)?, unit.trim().to_ascii_lowercase());
        if unit == "%" {
            return u8::try_from(number).ok().filter(|share| (1..=100).contains(share)).map(Self::Percent).ok_or(CapacityError);
        }
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(CapacityError)?;
        number.checked_mul(*factor).map(Self::Bytes).ok_or(CapacityError)
    }
}

impl<'de> Deserialize<'de> for Capacity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesOrText)
    }
}

struct BytesOrText;

impl Visitor<'_> for BytesOrText {
    type Value = Capacity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes, a size such as \"512MiB\", or a share of memory such as \"50%\"")
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<Capacity, E> {
        u64::try_from(bytes).map(Capacity::Bytes).map_err(|_| E::custom(format_args!("`{bytes}`: a size is never negative")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Capacity, E> {
        text.parse().map_err(|error| E::custom(format_args!("`{text}`: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_or_is_bytes_or_a_share() {
        let rows = [
            ("0", Capacity::Bytes(0)),
            ("1024", Capacity::Bytes(1024)),
            ("512MiB", Capacity::Bytes(512 << 20)),
            ("8 GiB", Capacity::Bytes(8 << 30)),
            ("2gb", Capacity::Bytes(2_000_000_000)),
            ("75%", Capacity::Percent(75)),
        ];
        for (text, capacity) in rows {
            assert_eq!(text.parse(), Ok(capacity), "{text}");
        }
        for text in ["", "%", "0%", "101%", "-1", "1.5GiB", "12 parsecs", "99999999999GiB"] {
            assert_eq!(text.parse::<Capacity>(), Err(CapacityError), "{text}");
        }
    }
}
