//! Refusals: why somebody was turned away, what the peer is told, and how often it happened.
//!
//! The operator learns the reason, as one word in the log and as the label of a counter. The peer learns no more than what to
//! do next: show a better token, ask for another path, or wait.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::StatusCode;
use moq_proto::PathError;
use moq_token::Refused as BadToken;

/// Why a request was turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Refused {
    #[error("unusable path: {0}")]
    Path(#[from] PathError),
    #[error("two different tokens were shown")]
    TwoTokens,
    #[error("no token was shown, and nothing is public at this path")]
    NoToken,
    #[error("the token is refused: {0}")]
    Token(#[from] BadToken),
    #[error("what was shown is good and allows nothing at this path")]
    Elsewhere,
}

impl Refused {
    /// The codes of a request; beside them there are those of tokens.
    const CODES: [&'static str; 4] = ["path", "two-tokens", "no-token", "elsewhere"];

    /// The reason as one word.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::TwoTokens => "two-tokens",
            Self::NoToken => "no-token",
            Self::Token(refused) => refused.code(),
            Self::Elsewhere => "elsewhere",
        }
    }

    /// What HTTP calls it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Path(_) => StatusCode::BAD_REQUEST,
            Self::TwoTokens | Self::NoToken | Self::Token(_) => StatusCode::UNAUTHORIZED,
            Self::Elsewhere => StatusCode::FORBIDDEN,
        }
    }

    /// What the peer is told: the same for all that is wrong with a token.
    pub(crate) fn told(&self) -> &'static str {
        match self {
            Self::Path(_) => "unusable path",
            Self::TwoTokens | Self::NoToken | Self::Token(_) => "unauthorized",
            Self::Elsewhere => "forbidden",
        }
    }
}

/// Why somebody's rights have ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Ended {
    #[error("the token is not good any more: {0}")]
    Token(#[from] BadToken),
    #[error("the certificate has ended")]
    Certificate,
    #[error("nobody vouches for the certificate any more")]
    Untrusted,
}

impl Ended {
    /// The codes that are not of tokens.
    const CODES: [&'static str; 2] = ["certificate-ended", "certificate-untrusted"];

    /// The reason as one word.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Token(refused) => refused.code(),
            Self::Certificate => "certificate-ended",
            Self::Untrusted => "certificate-untrusted",
        }
    }

    /// What the peer is told. It had been let in, so it may know why it is not any more.
    pub(crate) fn told(&self) -> &'static str {
        match self {
            Self::Token(BadToken::Expired(_)) => "unauthorized: the token has expired",
            Self::Token(BadToken::Revoked(_)) => "unauthorized: the token was revoked",
            Self::Token(BadToken::UnknownKey) => "unauthorized: the key of the token was removed",
            Self::Token(_) => "unauthorized: the token is not good any more",
            Self::Certificate => "unauthorized: the certificate has ended",
            Self::Untrusted => "unauthorized: nobody vouches for the certificate any more",
        }
    }
}

/// How often each reason was given. The numbers only ever grow.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    requests: [AtomicU64; Refused::CODES.len()],
    ends: [AtomicU64; Ended::CODES.len()],
    tokens: [AtomicU64; BadToken::CODES.len()],
}

impl Tally {
    pub(super) fn count(&self, code: &str) {
        if let Some((_, counter)) = self.counters().find(|(name, _)| *name == code) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Every reason with its number, in a fixed order.
    pub(crate) fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counters().map(|(code, counter)| (code, counter.load(Relaxed)))
    }

    fn counters(&self) -> impl Iterator<Item = (&'static str, &AtomicU64)> {
        let requests = Refused::CODES.into_iter().zip(&self.requests);
        let ends = Ended::CODES.into_iter().zip(&self.ends);
        requests.chain(ends).chain(BadToken::CODES.into_iter().zip(&self.tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_counter() {
        let tally = Tally::default();
        let reasons = [
            Refused::Path(PathError::Dots),
            Refused::TwoTokens,
            Refused::NoToken,
            Refused::Token(BadToken::Signature),
            Refused::Elsewhere,
        ];
        for refused in &reasons {
            tally.count(refused.code());
        }

        let counted: Vec<_> = tally.read().filter(|(_, count)| *count > 0).map(|(code, _)| code).collect();
        assert_eq!(counted, ["path", "two-tokens", "no-token", "elsewhere", "signature"]);
    }

    #[test]
    fn all_bad_tokens_are_answered_alike() {
        for refused in [BadToken::Signature, BadToken::UnknownKey, BadToken::Revoked("jti"), BadToken::Useless] {
            let refused = Refused::from(refused);
            assert_eq!((refused.status().as_u16(), refused.told()), (401, "unauthorized"), "{refused}");
        }
    }
}
