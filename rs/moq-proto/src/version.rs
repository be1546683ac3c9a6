//! `Version`: which protocol a session speaks, by what names it is agreed on, and in what order they are preferred.
//!
//! Spec: moq-lite-06, "Version Negotiation"; moq-lite-02, "SETUP".

use std::{fmt, str::FromStr};

use crate::{Framing, lite};

/// A version of the protocol. Later ones are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    Lite01,
    Lite02,
    Lite03,
    Lite04,
    Lite05,
    Lite06,
}

/// The token of versions that a SETUP exchange tells apart.
const LEGACY_ALPN: &str = "moql";

impl Version {
    /// Newest first: the order of preference.
    pub const ALL: &[Self] = &[Self::Lite06, Self::Lite05, Self::Lite04, Self::Lite03, Self::Lite02, Self::Lite01];

    /// The tokens to offer, in order of preference.
    pub const ALPNS: &[&str] = &["moq-lite-06", "moq-lite-05", "moq-lite-04", "moq-lite-03", LEGACY_ALPN];

    /// Its own name, such as `moq-lite-06`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lite01 => "moq-lite-01",
            Self::Lite02 => "moq-lite-02",
            Self::Lite03 => "moq-lite-03",
            Self::Lite04 => "moq-lite-04",
            Self::Lite05 => "moq-lite-05",
            Self::Lite06 => "moq-lite-06",
        }
    }

    /// The token that stands for it as QUIC ALPN, as WebTransport protocol and behind a WebSocket framing.
    ///
    /// 01 and 02 share `moql`, which leaves the choice to a SETUP exchange.
    pub const fn alpn(self) -> &'static str {
        match self {
            Self::Lite01 | Self::Lite02 => LEGACY_ALPN,
            _ => self.name(),
        }
    }

    /// The version that a token settles. `None`: unknown, or `moql`, which settles none.
    pub fn from_alpn(token: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|version| version.alpn() == token && !version.has_legacy_setup())
    }

    /// Its number in the SETUP exchange of 01 and 02. Later versions have one too, but are agreed on by token alone.
    pub const fn setup_code(self) -> u32 {
        match self {
            Self::Lite01 => 0xff0d_ad01,
            Self::Lite02 => 0xff0d_ad02,
            Self::Lite03 => 0xff0d_ad03,
            Self::Lite04 => 0xff0d_ad04,
            Self::Lite05 => 0xff0d_ad05,
            Self::Lite06 => 0xff0d_ad06,
        }
    }

    /// The version that a number in a SETUP exchange settles. `None`: none of those agreed on that way.
    pub fn from_setup_code(code: u64) -> Option<Self> {
        Self::ALL.iter().copied().find(|version| u64::from(version.setup_code()) == code && version.has_legacy_setup())
    }

    /// Whether it is agreed on by a SETUP exchange on the client's first stream.
    pub const fn has_legacy_setup(self) -> bool {
        matches!(self, Self::Lite01 | Self::Lite02)
    }

    /// What it says, and how it spells it.
    pub const fn dialect(self) -> &'static lite::Dialect {
        lite::dialect(self)
    }

    /// What stands before each of its frames.
    pub const fn framing(self) -> Framing {
        self.dialect().framing
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no version has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown version `{0}`")]
pub struct VersionError(pub String);

impl FromStr for Version {
    type Err = VersionError;

    /// Reads a [`name`](Version::name).
    fn from_str(name: &str) -> Result<Self, VersionError> {
        Self::ALL.iter().copied().find(|version| version.name() == name).ok_or_else(|| VersionError(name.into()))
    }
}

#[cfg(test)]
mod tests;
