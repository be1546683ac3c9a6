//! Heirs: taking over the tracks of another source of the same broadcast, with their readers, their cache, and the groups
//! that were [set aside](track::Producer::set_aside).
//!
//! Whether two sources have the same content is the origin's to say, and whether a track goes on is its new holder's.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use super::{Consumer, Producer, Shared, TRACKS_MAX, is_failed};
use crate::model::{
    lock::Lock,
    track,
    watch::{Waiter, Watch},
};

/// What is handed over and was not taken yet.
#[derive(Debug, Default)]
pub(super) struct Inheritance {
    heirs: usize,
    tracks: VecDeque<track::Producer>,
}

/// Takes tracks over, for as long as it lives. While a broadcast has none, nothing can be handed over to it.
pub struct Heir {
    watch: Arc<Watch<Inheritance>>,
    waiter: Lock<Waiter<Inheritance>>,
    resigned: bool,
}

impl Producer {
    /// Says that tracks of other sources may be handed over to this one.
    pub fn heir(&self) -> Heir {
        let watch = self.shared.inheritance.clone();
        watch.lock().heirs += 1;
        Heir { waiter: Lock::new(Waiter::new(watch.clone())), watch, resigned: false }
    }
}

impl Heir {
    /// The next track to be fed from here on.
    ///
    /// # Cancel safety
    /// Dropping the call loses no track.
    pub async fn next(&self) -> track::Producer {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next). One task at a time can wait by one heir.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<track::Producer> {
        self.waiter.lock().poll(cx, |inheritance| {
            if inheritance.tracks.is_empty() {
                return Poll::Pending;
            }
            inheritance.tracks.pop_front().map_or(Poll::Pending, Poll::Ready)
        })
    }

    /// Takes over no more tracks; returns those that were handed over and not taken, which are to be dropped otherwise.
    pub fn resign(&mut self) -> Vec<track::Producer> {
        if std::mem::replace(&mut self.resigned, true) {
            return Vec::new();
        }
        let mut inheritance = self.watch.lock();
        inheritance.heirs -= 1;
        inheritance.tracks.drain(..).collect()
    }
}

impl Drop for Heir {
    fn drop(&mut self) {
        drop(self.resign());
    }
}

impl fmt::Debug for Heir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heir").finish_non_exhaustive()
    }
}

impl Consumer {
    /// Hands a track of the same content over to this broadcast's publisher, who feeds it from then on. Whoever looks for a
    /// track of its name, as far below the path as this one is, finds it, unless there is one.
    ///
    /// # Errors
    /// Gives the track back when nobody here takes tracks over, or none so far down, when the broadcast has ended, or
    /// [`TRACKS_MAX`] wait already.
    pub fn hand_over(&self, track: track::Producer) -> Result<(), track::Producer> {
        let (consumer, ended) = (track.consume(), self.ended().is_some());
        if !track.below().is_root() && !self.serves_below() {
            return Err(track);
        }
        {
            let mut inheritance = self.shared.inheritance.lock();
            if ended || inheritance.heirs == 0 || inheritance.tracks.len() >= TRACKS_MAX {
                return Err(track);
            }
            inheritance.tracks.push_back(track);
        }
        self.shared.file(consumer);
        Ok(())
    }
}

impl Shared {
    /// Lets a track be found, if there is room and none that has not failed.
    fn file(&self, track: track::Consumer) {
        let mut state = self.state.lock();
        let found = state.tracks.get(track.key());
        if state.closed.is_some() || found.is_some_and(|track| !is_failed(track)) {
            return;
        }
        let question = state.questions.close(track.key());
        if question.is_none() && state.check_room().is_err() {
            return;
        }
        state.tracks.insert(track.key().clone(), track.clone());
        drop(state);
        if let Some(question) = question {
            question.answer(Ok(track));
        }
    }
}
