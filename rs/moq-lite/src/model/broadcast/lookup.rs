//! Looking for a track by name, and waiting for it together with all who look for the same.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use moq_proto::{CloseCode, close};

use super::{REQUESTS_MAX, Shared, Slot, State, TrackError, check_name};
use crate::model::{
    track,
    watch::{Waiter, Watch},
};

type Answer = Result<track::Consumer, CloseCode>;

/// A track that is asked for, by however many.
pub(super) struct Ask {
    pub(super) name: Arc<str>,
    answer: Arc<Watch<Option<Answer>>>,
    /// Lookups that wait for the answer. Changed under the lock of the broadcast.
    waiting: AtomicUsize,
}

impl Ask {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.into(), answer: Arc::new(Watch::new(None)), waiting: AtomicUsize::new(0) })
    }

    pub(super) fn answer(&self, answer: Answer) {
        self.answer.lock().get_or_insert(answer);
    }
}

/// A track on its way. Made by [`Consumer::track`](super::Consumer::track).
pub struct Lookup(Inner);

enum Inner {
    Known(Answer),
    Waiting { shared: Weak<Shared>, ask: Arc<Ask>, waiter: Waiter<Option<Answer>> },
}

impl Lookup {
    pub(super) fn new(shared: &Arc<Shared>, name: &str) -> Self {
        let mut state = shared.state.lock();
        let ask = match find(&state, name) {
            Some(Found::Answer(answer)) => return Self(Inner::Known(answer)),
            Some(Found::Ask(ask)) => ask,
            None => {
                let asked = state.asked;
                if asked >= REQUESTS_MAX || state.check_room().is_err() {
                    return Self(Inner::Known(Err(close::stream::NO_CAPACITY)));
                }
                let ask = Ask::new(name);
                state.tracks.insert(ask.name.clone(), Slot::Asked(ask.clone()));
                state.queue.push_back(ask.clone());
                state.asked += 1;
                ask
            }
        };
        ask.waiting.fetch_add(1, Ordering::Relaxed);
        let waiter = Waiter::new(ask.answer.clone());
        Self(Inner::Waiting { shared: Arc::downgrade(shared), ask, waiter })
    }
}

enum Found {
    Answer(Answer),
    Ask(Arc<Ask>),
}

fn find(state: &State, name: &str) -> Option<Found> {
    if let Some(code) = state.closed {
        return Some(Found::Answer(Err(code)));
    }
    if check_name(name).is_err() {
        return Some(Found::Answer(Err(close::stream::NOT_FOUND)));
    }
    match state.tracks.get(name)? {
        Slot::Asked(ask) => Some(Found::Ask(ask.clone())),
        // A track that failed is asked for anew.
        Slot::Made(track) if matches!(track.ended(), Some(Err(_))) => None,
        Slot::Made(track) => Some(Found::Answer(Ok(track.clone()))),
    }
}

impl Future for Lookup {
    type Output = Result<track::Consumer, TrackError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.0 {
            Inner::Known(answer) => Poll::Ready(answer.clone()),
            Inner::Waiting { waiter, .. } => waiter.poll(cx, |answer| (**answer).clone().map_or(Poll::Pending, Poll::Ready)),
        };
        answer.map_err(|code| TrackError { code })
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        let Inner::Waiting { shared, ask, .. } = &self.0 else { return };
        let Some(shared) = shared.upgrade() else { return };
        let mut state = shared.state.lock();
        // Nobody else waits, and the publisher has not seen it.
        if ask.waiting.fetch_sub(1, Ordering::Relaxed) == 1 && state.queue.iter().any(|queued| Arc::ptr_eq(queued, ask)) {
            state.take_ask(&ask.name);
        }
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = match &self.0 {
            Inner::Known(_) => false,
            Inner::Waiting { .. } => true,
        };
        f.debug_struct("Lookup").field("waiting", &waiting).finish()
    }
}
