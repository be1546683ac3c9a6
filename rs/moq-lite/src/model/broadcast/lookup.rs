//! Looking for a track, and waiting for it together with all who look for the same.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use moq_proto::{CloseCode, Path, close};

use super::{REQUESTS_MAX, Shared, State, check_name, is_failed};
use crate::model::{
    question::{Answer, Asked, Questions, Waiting},
    track,
};

/// Why a track could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such track (code {code})")]
pub struct LookupError {
    pub code: CloseCode,
}

/// A track on its way. Made by [`Consumer::track`](super::Consumer::track).
#[derive(Debug)]
pub struct Lookup(Inner);

#[derive(Debug)]
enum Inner {
    Known(Answer<track::Consumer>),
    Waiting(Waiting<State>),
}

impl Asked for State {
    type Key = track::Key;
    type Answer = track::Consumer;

    fn questions(&mut self) -> &mut Questions<track::Key, track::Consumer> {
        &mut self.questions
    }
}

impl Lookup {
    pub(super) fn new(shared: &Shared, below: &Path, name: &str) -> Self {
        let mut state = shared.state.lock();
        if let Some(code) = state.closed {
            return Self(Inner::Known(Err(code)));
        }
        if check_name(name).is_err() {
            return Self(Inner::Known(Err(close::stream::NOT_FOUND)));
        }
        let key = track::Key::new(below.clone(), name);
        // A track that failed is asked for anew.
        if let Some(track) = state.tracks.get(&key).filter(|track| !is_failed(track)) {
            return Self(Inner::Known(Ok(track.clone())));
        }
        let question = match state.questions.get(&key) {
            Some(question) => question,
            None if state.questions.len() >= REQUESTS_MAX || state.check_room().is_err() => {
                return Self(Inner::Known(Err(close::stream::NO_CAPACITY)));
            }
            None => state.questions.ask(key),
        };
        Self(Inner::Waiting(Waiting::new(shared.state.clone(), question)))
    }
}

impl Future for Lookup {
    type Output = Result<track::Consumer, LookupError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.0 {
            Inner::Known(answer) => Poll::Ready(answer.clone()),
            Inner::Waiting(waiting) => waiting.poll(cx),
        };
        answer.map_err(|code| LookupError { code })
    }
}
