//! Fetching: one group that is asked for by its sequence, whenever it was.
//!
//! What the track keeps is given at once, even while it still arrives. For what it does not keep, its source is asked, once
//! for all who want it and for the whole group, which is then kept beside the live ones. Spec: moq-lite-05, "FETCH".

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use moq_proto::{CloseCode, close};

use super::{Shared, TrackError};
use crate::model::{
    bell::Ringer,
    group::{self, Group},
    lock::Lock,
    question::{Answer, Asked, Question, Questions, Waiting},
    watch::{Waiter, Watch},
};

/// Most groups of a track that are asked for at a time.
pub const FETCHES_MAX: usize = 128;

/// How long those that are asked for wait for another fetcher: as long as groups wait to be continued.
const WAIT: Duration = Duration::from_secs(3);

/// Which groups are asked for, and whether anybody can get them.
#[derive(Default)]
pub(super) struct Fetches {
    questions: Questions<u64, group::Consumer>,
    fetchers: usize,
    /// When the last fetcher left, counted from the track's beginning, and nobody has given up on another.
    left: Option<Duration>,
}

impl Asked for Fetches {
    type Key = u64;
    type Answer = group::Consumer;

    fn questions(&mut self) -> &mut Questions<u64, group::Consumer> {
        &mut self.questions
    }
}

impl Fetches {
    pub(super) fn is_empty(&self) -> bool {
        self.questions.len() == 0
    }

    /// Takes note of the time.
    pub(super) fn tend(watch: &Watch<Self>, elapsed: Duration) {
        let mut fetches = watch.lock();
        if fetches.left.is_none_or(|left| elapsed.saturating_sub(left) < WAIT) {
            return;
        }
        fetches.left = None;
        drop(fetches);
        Self::refuse(watch, close::stream::CANCELLED);
    }

    /// Nobody can get them any more.
    pub(super) fn refuse(watch: &Watch<Self>, code: CloseCode) {
        let questions = watch.lock().questions.close_all();
        questions.iter().for_each(|question| question.answer(Err(code)));
    }
}

/// Why a group could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such group (code {code})")]
pub struct FetchError {
    pub code: CloseCode,
}

/// A group on its way. Made by [`Consumer::fetch`](super::Consumer::fetch).
#[derive(Debug)]
pub struct Fetch(Inner);

#[derive(Debug)]
enum Inner {
    Known(Answer<group::Consumer>),
    Waiting(Waiting<Fetches>),
}

impl Fetch {
    pub(super) fn new(shared: &Shared, sequence: u64, priority: u8) -> Self {
        if let Some(answer) = shared.kept(sequence) {
            return Self(Inner::Known(answer));
        }
        let mut fetches = shared.fetches.lock();
        let question = match fetches.questions.get(&sequence) {
            Some(question) => question,
            None if fetches.fetchers == 0 && fetches.left.is_none() => return Self(Inner::Known(Err(close::stream::NOT_FOUND))),
            None if fetches.questions.len() >= FETCHES_MAX => return Self(Inner::Known(Err(close::stream::NO_CAPACITY))),
            None => fetches.questions.ask(sequence),
        };
        question.raise(priority);
        Self(Inner::Waiting(Waiting::new(shared.fetches.clone(), question)))
    }
}

impl Future for Fetch {
    type Output = Result<group::Consumer, FetchError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.0 {
            Inner::Known(answer) => Poll::Ready(answer.clone()),
            Inner::Waiting(waiting) => waiting.poll(cx),
        };
        answer.map_err(|code| FetchError { code })
    }
}

/// Gets groups that the track does not keep. While there is none, such groups are not found. Those asked for when the last is
/// dropped, or soon after, wait for another: about three seconds, then they are refused with CANCELLED.
pub struct Fetcher {
    shared: Arc<Shared>,
    waiter: Lock<Waiter<Fetches>>,
}

impl Fetcher {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let mut fetches = shared.fetches.lock();
        fetches.fetchers += 1;
        fetches.left = None;
        drop(fetches);
        let waiter = Lock::new(Waiter::new(shared.fetches.clone()));
        Self { shared, waiter }
    }

    /// The next group that somebody asks for.
    ///
    /// # Cancel safety
    /// Dropping the call loses no request.
    pub async fn next(&self) -> Wanted {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next). One task at a time can wait by one fetcher.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Wanted> {
        self.waiter.lock().poll(cx, |fetches| {
            if !fetches.questions.is_waiting() {
                return Poll::Pending;
            }
            let question = fetches.questions.take();
            let wanted = question.map(|question| Wanted::new(self.shared.clone(), question));
            wanted.map_or(Poll::Pending, Poll::Ready)
        })
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        let mut fetches = self.shared.fetches.lock();
        fetches.fetchers -= 1;
        if fetches.fetchers == 0 {
            fetches.left = Some(self.shared.feed.clock.elapsed());
        }
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("track", &self.shared.key).finish_non_exhaustive()
    }
}

/// A group that is wanted. Dropping it unanswered refuses it with NOT_FOUND, unless it is [passed on](Self::pass_on_if_dropped).
pub struct Wanted {
    shared: Arc<Shared>,
    /// `None` once answered.
    question: Option<Arc<Question<u64, group::Consumer>>>,
    sequence: u64,
    /// What was begun for it.
    group: Option<Arc<Group>>,
    passed_on: bool,
}

impl Wanted {
    fn new(shared: Arc<Shared>, question: Arc<Question<u64, group::Consumer>>) -> Self {
        Self { shared, sequence: *question.key(), question: Some(question), group: None, passed_on: false }
    }

    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The highest priority of those who have asked for it so far.
    pub fn priority(&self) -> u8 {
        self.question.as_ref().map_or(0, |question| question.priority())
    }

    /// Waits until nobody wants it any more: nobody waits for it or, once it is [begun](Self::accept), reads it. What was
    /// begun and has not ended is then let go of, so that whoever asks later is not given it.
    ///
    /// # Cancel safety
    /// Dropping the call changes nothing.
    pub async fn unwanted(&self) {
        if let Some(question) = &self.question {
            question.unwanted().await;
        }
        let Some(group) = &self.group else { return };
        let ringer = Ringer::new();
        let _bell = self.shared.attach(&ringer, 0);
        let mut rung = Vec::new();
        loop {
            ringer.take_rung(&mut rung);
            if self.shared.let_go(group) {
                return;
            }
            poll_fn(|cx| ringer.poll_rung(cx)).await;
        }
    }

    /// Lets somebody else get the group if this is dropped unanswered, as it is when its source is lost: the next who
    /// [asks](Fetcher::next), by this fetcher or by another.
    pub fn pass_on_if_dropped(&mut self) {
        self.passed_on = true;
    }

    /// Waits until the group arrives by itself, or is known never to; those who want it are told.
    ///
    /// # Cancel safety
    /// Dropping the call changes nothing.
    pub async fn arrived(&mut self) {
        let ringer = Ringer::new();
        let _bell = self.shared.attach(&ringer, 0);
        let mut rung = Vec::new();
        loop {
            ringer.take_rung(&mut rung);
            if let Some(answer) = self.shared.kept(self.sequence) {
                return self.answer(answer);
            }
            poll_fn(|cx| ringer.poll_rung(cx)).await;
        }
    }

    /// Begins to write the group, for everybody who wants it: all of it, from its first frame on.
    ///
    /// # Errors
    /// When it has arrived by itself meanwhile, which those who want it then get; when the cache has no room.
    pub fn accept(&mut self) -> Result<group::Producer, TrackError> {
        let sequence = self.sequence();
        match self.shared.create_fetched(sequence) {
            Ok(group) => {
                self.group = Some(group.clone());
                let producer = group::Producer::new(group);
                self.answer(Ok(producer.consume()));
                Ok(producer)
            }
            Err(error) => {
                self.answer(self.shared.kept(sequence).unwrap_or(Err(close::stream::NO_CAPACITY)));
                Err(error)
            }
        }
    }

    /// Tells everybody who wants it that it cannot be had, and why.
    pub fn reject(mut self, code: CloseCode) {
        self.answer(Err(code));
    }

    fn answer(&mut self, answer: Answer<group::Consumer>) {
        let Some(question) = self.question.take() else { return };
        self.shared.fetches.lock().questions.close_this(&question);
        question.answer(answer);
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        match self.question.take_if(|_| self.passed_on) {
            Some(question) => self.shared.fetches.lock().questions.put_back(question),
            None => self.answer(Err(close::stream::NOT_FOUND)),
        }
    }
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted").field("sequence", &self.sequence()).finish_non_exhaustive()
    }
}
