//! Media time: timestamps, and how many of their units make a second.
//!
//! Nothing here reads a clock. Spec: moq-lite-05, "Timescale" and "Timestamp".

use std::{num::NonZeroU64, time::Duration};

use crate::{VarInt, VarIntError};

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Units of media time in one second; a track has one for all its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timescale(NonZeroU64);

impl Timescale {
    /// A thousand units in a second: the scale of tracks whose publisher names none.
    pub const MILLIS: Self = match NonZeroU64::new(1000) {
        Some(units) => Self(units),
        None => unreachable!(),
    };

    /// Units in a second.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl Default for Timescale {
    fn default() -> Self {
        Self::MILLIS
    }
}

/// Why a number is not a timescale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimescaleError {
    #[error("a timescale cannot be zero")]
    Zero,
    #[error(transparent)]
    TooLarge(#[from] VarIntError),
}

impl TryFrom<u64> for Timescale {
    type Error = TimescaleError;

    fn try_from(units: u64) -> Result<Self, TimescaleError> {
        let units = VarInt::try_from(units)?.get();
        NonZeroU64::new(units).map(Self).ok_or(TimescaleError::Zero)
    }
}

impl From<Timescale> for VarInt {
    fn from(scale: Timescale) -> Self {
        Self::saturating(scale.get())
    }
}

/// A moment of media time, in units of its track's [`Timescale`]: 0 to 2^61 - 1, so that the difference of any two can be
/// spelled. JavaScript peers read it, and differences, exactly up to 2^53 - 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// A moment that lies outside what timestamps can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timestamp {0} exceeds 2^61 - 1")]
pub struct TimestampError(pub u64);

impl Timestamp {
    pub const ZERO: Self = Self(0);
    pub const MAX: Self = Self((1 << 61) - 1);

    pub const fn get(self) -> u64 {
        self.0
    }

    /// The moment `delta` units later. `None`: it would lie before zero or beyond [`Timestamp::MAX`].
    pub fn checked_add(self, delta: i64) -> Option<Self> {
        self.0.checked_add_signed(delta).and_then(|units| Self::try_from(units).ok())
    }

    /// Units from `earlier` to `self`; negative when `earlier` is the later one.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 as i64 - earlier.0 as i64
    }

    /// Time since zero, whole nanoseconds.
    pub fn to_duration(self, scale: Timescale) -> Duration {
        let rest = u128::from(self.0 % scale.0);
        let nanos = rest * NANOS_PER_SECOND / u128::from(scale.get());
        Duration::new(self.0 / scale.0, nanos as u32)
    }

    /// `since_zero` in whole units; at most [`Timestamp::MAX`].
    pub fn from_duration(since_zero: Duration, scale: Timescale) -> Self {
        let units = since_zero.as_nanos().checked_mul(scale.get().into()).map(|nanos| nanos / NANOS_PER_SECOND);
        units.and_then(|units| u64::try_from(units).ok()).map_or(Self::MAX, |units| Self(units.min(Self::MAX.0)))
    }
}

impl TryFrom<u64> for Timestamp {
    type Error = TimestampError;

    fn try_from(units: u64) -> Result<Self, TimestampError> {
        if units > Self::MAX.0 { Err(TimestampError(units)) } else { Ok(Self(units)) }
    }
}

impl From<Timestamp> for VarInt {
    fn from(timestamp: Timestamp) -> Self {
        Self::saturating(timestamp.0)
    }
}

#[cfg(test)]
mod tests;
