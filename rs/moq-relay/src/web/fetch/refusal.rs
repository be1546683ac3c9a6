//! Why nothing is fetched, how that is said over HTTP, and how often it was.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use moq_proto::{CloseCode, close};

use crate::auth::Refused;

/// Why there is no group to show.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The path is not one of a broadcast and a track.
    Path,
    /// A member of the query says what it cannot say; this is what it can.
    Query(&'static str),
    Unauthorized(Refused),
    /// The rights ended before the answer began.
    RightsEnded,
    /// There is no such broadcast, track, group or frame.
    NotFound,
    /// The publisher has not answered, or has published nothing, in time.
    Late,
    /// The publisher broke off.
    Failed,
    /// Too much is asked for at a time.
    Full,
}

impl Refusal {
    const CODES: [&'static str; 8] = ["path", "query", "unauthorized", "rights-ended", "not-found", "late", "failed", "full"];

    /// For what a publisher, or the model on its behalf, refused before there was any of it. Only what the relay itself says is
    /// told apart: one shipped publisher says NOT_FOUND where another says 0, and older ones what their own tables have.
    pub(super) fn from_code(code: CloseCode) -> Self {
        match code {
            close::stream::NO_CAPACITY => Self::Full,
            close::stream::CONTROL_TIMEOUT => Self::Late,
            _ => Self::NotFound,
        }
    }

    /// The reason in a word.
    pub(super) fn code(&self) -> &'static str {
        Self::CODES[self.index()]
    }

    fn index(&self) -> usize {
        match self {
            Self::Path => 0,
            Self::Query(_) => 1,
            Self::Unauthorized(_) => 2,
            Self::RightsEnded => 3,
            Self::NotFound => 4,
            Self::Late => 5,
            Self::Failed => 6,
            Self::Full => 7,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, told) = match &self {
            Self::Path => (StatusCode::BAD_REQUEST, "this is /fetch/<broadcast>/<track>, such as /fetch/room/alice/video"),
            Self::Query(told) => (StatusCode::BAD_REQUEST, *told),
            Self::Unauthorized(refused) => (refused.status(), refused.told()),
            Self::RightsEnded => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::NotFound => (StatusCode::NOT_FOUND, "no such broadcast, track or group; `wait=5s` waits for one"),
            Self::Late => (StatusCode::GATEWAY_TIMEOUT, "the publisher has nothing to show so far"),
            Self::Failed => (StatusCode::BAD_GATEWAY, "the publisher broke off"),
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, "too much is asked of this broadcast at a time"),
        };
        (status, format!("{told}\n")).into_response()
    }
}

/// How often each reason was given. The numbers only ever grow.
#[derive(Debug, Default)]
pub(crate) struct Tally([AtomicU64; Refusal::CODES.len()]);

impl Tally {
    pub(super) fn count(&self, refusal: &Refusal) {
        self.0[refusal.index()].fetch_add(1, Relaxed);
    }

    /// Every reason with its number, in a fixed order.
    pub(crate) fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refusal::CODES.into_iter().zip(&self.0).map(|(code, count)| (code, count.load(Relaxed)))
    }
}
