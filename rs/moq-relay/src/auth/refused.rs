//! Refusals: why somebody was turned away, what the peer is told, and how often it happened.
//!
//! The operator learns the reason, as one word in the log and as the label of a counter. The peer learns no more than what to
//! do next: show a better token, ask for another path, or wait.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use http::StatusCode;
use moq_proto::{
    PathError,
    close::{CloseCode, session},
};
use moq_token::Refused as BadToken;

use super::remote::NotGiven;
use crate::quiet::Quiet;

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
    #[error("too many bad tokens came from this address")]
    Penalty,
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Unavailable(String),
}

impl From<NotGiven> for Refused {
    fn from(not_given: NotGiven) -> Self {
        match not_given {
            NotGiven::NoToken => Self::NoToken,
            NotGiven::Token(refused) => Self::Token(refused),
            NotGiven::Elsewhere => Self::Elsewhere,
            outage if outage.is_outage() => Self::Unavailable(outage.to_string()),
            denied => Self::Denied(denied.to_string()),
        }
    }
}

impl Refused {
    /// Whether it is of the kind that guessing brings about. What a key of ours has signed was not guessed, and a page that shows
    /// its token a minute too long is no attack.
    pub(super) fn is_failed_login(&self) -> bool {
        match self {
            Self::Token(refused) => !refused.is_signed(),
            Self::TwoTokens | Self::Denied(_) => true,
            Self::Path(_) | Self::NoToken | Self::Elsewhere | Self::Penalty | Self::Unavailable(_) => false,
        }
    }

    /// The reason as one word.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::TwoTokens => "two-tokens",
            Self::NoToken => "no-token",
            Self::Token(refused) => refused.code(),
            Self::Elsewhere => "elsewhere",
            Self::Penalty => "penalty",
            Self::Denied(_) => "denied",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// What HTTP calls it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Path(_) => StatusCode::BAD_REQUEST,
            Self::TwoTokens | Self::NoToken | Self::Token(_) | Self::Penalty | Self::Denied(_) => StatusCode::UNAUTHORIZED,
            Self::Elsewhere => StatusCode::FORBIDDEN,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What a session is closed with that had to be opened to hear of it.
    pub(crate) fn close_code(&self) -> CloseCode {
        match self {
            // Nothing is wrong with the peer, and it may come again.
            Self::Unavailable(_) => session::INTERNAL_ERROR,
            _ => session::UNAUTHORIZED,
        }
    }

    /// What the peer is told: the same for all that is wrong with a token.
    pub(crate) fn told(&self) -> &'static str {
        match self {
            Self::Path(_) => "unusable path",
            Self::TwoTokens | Self::NoToken | Self::Token(_) | Self::Penalty | Self::Denied(_) => "unauthorized",
            Self::Elsewhere => "forbidden",
            Self::Unavailable(_) => "try again later",
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
    #[error("the server of auth.url has taken rights back")]
    Withdrawn,
    #[error("the server of auth.url has not answered for too long")]
    Unanswered,
}

impl Ended {
    /// The reason as one word.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Token(refused) => refused.code(),
            Self::Certificate => "certificate-ended",
            Self::Untrusted => "certificate-untrusted",
            Self::Withdrawn => "withdrawn",
            Self::Unanswered => "unanswered",
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
            Self::Withdrawn => "unauthorized: rights were taken back",
            Self::Unanswered => "unauthorized: rights could not be confirmed",
        }
    }
}

/// The codes that are not of tokens.
const CODES: [&str; 11] = [
    "path",
    "two-tokens",
    "no-token",
    "elsewhere",
    "penalty",
    "denied",
    "unavailable",
    "certificate-ended",
    "certificate-untrusted",
    "withdrawn",
    "unanswered",
];

/// How often each reason was given. The numbers only ever grow.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    others: [Reason; CODES.len()],
    tokens: [Reason; BadToken::CODES.len()],
}

#[derive(Debug, Default)]
struct Reason {
    count: AtomicU64,
    quiet: Quiet,
}

impl Tally {
    /// Counts it, and asks for a line in the log. `None`: there were many of late. Otherwise how many went without since the last.
    pub(super) fn count(&self, code: &str, now: Instant) -> Option<u64> {
        let (_, reason) = self.reasons().find(|(name, _)| *name == code)?;
        reason.count.fetch_add(1, Relaxed);
        reason.quiet.line(now)
    }

    /// Every reason with its number, in a fixed order.
    pub(crate) fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.reasons().map(|(code, reason)| (code, reason.count.load(Relaxed)))
    }

    fn reasons(&self) -> impl Iterator<Item = (&'static str, &Reason)> {
        CODES.into_iter().zip(&self.others).chain(BadToken::CODES.into_iter().zip(&self.tokens))
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
            Refused::Penalty,
            Refused::Denied("401".into()),
            Refused::Unavailable("nobody answers".into()),
        ];
        let ends = [Ended::Certificate, Ended::Untrusted, Ended::Withdrawn, Ended::Unanswered];
        for code in reasons.iter().map(Refused::code).chain(ends.iter().map(Ended::code)) {
            assert_eq!(tally.count(code, Instant::now()), Some(0));
        }

        let counted: Vec<_> = tally.read().filter(|(_, count)| *count > 0).map(|(code, _)| code).collect();
        assert_eq!(counted, [&CODES[..], &["signature"]].concat());
    }

    #[test]
    fn all_bad_tokens_are_answered_alike() {
        let tokens = [BadToken::Signature, BadToken::UnknownKey, BadToken::Revoked("jti"), BadToken::Useless];
        for refused in tokens.map(Refused::from).into_iter().chain([Refused::Penalty, Refused::Denied("403".into())]) {
            assert_eq!((refused.status().as_u16(), refused.told()), (401, "unauthorized"), "{refused}");
        }
    }
}
