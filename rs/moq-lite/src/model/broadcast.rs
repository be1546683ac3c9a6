//! Broadcasts: tracks by name, made when somebody asks for them.
//!
//! Whoever asks for a track that is not there waits until its publisher makes or rejects it; equal requests are one. What
//! the publisher does not answer, it may still make later.
//!
//! An announced path claims what lies below it as well. A broadcast that is made [for that](Producer::for_prefix) is asked
//! for tracks further down too, and has them beside its own: what it may hold, it holds of all of them together. Which
//! broadcast is to be asked is the origin's to say. Spec: moq-lite-06, "Broadcast" and "Routing".

mod heir;
mod lookup;

use std::{
    collections::HashMap,
    fmt,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use moq_proto::{CloseCode, Path, close};

use self::heir::Inheritance;
pub use self::{
    heir::Heir,
    lookup::{Lookup, LookupError},
};
use super::{
    cache::Account,
    lock::Lock,
    question::{Answer, Question, Questions},
    track,
    watch::{Waiter, Watch},
};

/// Most tracks of a broadcast at a time, with those that are only asked for and those further down. A conference of a hundred
/// has five for each.
pub const TRACKS_MAX: usize = 1024;

/// Most tracks that are asked for, here and further down, and neither made nor rejected.
pub const REQUESTS_MAX: usize = 256;

/// Longest name of a track, in bytes. Names are paths of files at most.
pub const NAME_BYTES_MAX: usize = 4096;

/// Tells broadcasts apart; no two in a process are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u64);

impl Id {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Why a track could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    #[error("the broadcast has a track of this name already")]
    Duplicate,
    #[error("a broadcast of more than {max} tracks")]
    TooMany { max: usize },
    #[error("a track name of {length} bytes, at most {max} accepted")]
    NameTooLong { length: usize, max: usize },
    #[error("the broadcast has ended (code {code})")]
    Closed { code: CloseCode },
}

struct Shared {
    id: Id,
    account: Account,
    serves_below: bool,
    consumers: AtomicUsize,
    state: Arc<Watch<State>>,
    closed: Arc<Watch<Option<CloseCode>>>,
    inheritance: Arc<Watch<Inheritance>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast").field("id", &self.id).finish_non_exhaustive()
    }
}

struct State {
    tracks: HashMap<track::Key, track::Consumer>,
    /// The tracks that are asked for.
    questions: Questions<track::Key, track::Consumer>,
    closed: Option<CloseCode>,
}

/// Whether a track ended before its time: whoever asks for it again may get a new one.
fn is_failed(track: &track::Consumer) -> bool {
    matches!(track.ended(), Some(Err(_)))
}

impl State {
    /// Room for one more name; tracks that have failed make some.
    fn check_room(&mut self) -> Result<(), CreateError> {
        if self.names() >= TRACKS_MAX {
            self.tracks.retain(|_, track| !is_failed(track));
        }
        if self.names() >= TRACKS_MAX { Err(CreateError::TooMany { max: TRACKS_MAX }) } else { Ok(()) }
    }

    fn names(&self) -> usize {
        self.tracks.len() + self.questions.len()
    }
}

impl Shared {
    /// Answers a question with a track or a refusal, unless it was answered meanwhile.
    fn answer(&self, question: &Arc<Question<track::Key, track::Consumer>>, answer: Answer<track::Consumer>) {
        let mut state = self.state.lock();
        if !state.questions.close_this(question) {
            return;
        }
        if let Ok(track) = &answer {
            state.tracks.insert(question.key().clone(), track.clone());
        }
        drop(state);
        question.answer(answer);
    }

    fn close(&self, code: CloseCode, tracks_too: bool) {
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return;
        }
        state.closed = Some(code);
        let questions = state.questions.close_all();
        let tracks = std::mem::take(&mut state.tracks);
        drop(state);
        questions.iter().for_each(|question| question.answer(Err(code)));
        if tracks_too {
            tracks.values().for_each(|track| track.abort(code));
        }
        *self.closed.lock() = Some(code);
    }
}

/// Publishes a broadcast.
///
/// Dropping it says that no more tracks will be made: the broadcast is closed with CANCELLED, and its tracks go on as their
/// own producers do. [`abort`](Self::abort) ends them too.
#[derive(Debug)]
pub struct Producer {
    shared: Arc<Shared>,
    waiter: Lock<Waiter<State>>,
}

impl Producer {
    /// A broadcast without tracks, whose groups are kept at the expense of `account`.
    pub fn new(account: Account) -> Self {
        Self::make(account, false)
    }

    /// As [`new`](Self::new), for everything below its path as well: each [request](Self::requested) tells
    /// [how far below](track::Request::below) somebody looks for a track. What is only announced at its own path stays out of
    /// reach from there.
    pub fn for_prefix(account: Account) -> Self {
        Self::make(account, true)
    }

    fn make(account: Account, serves_below: bool) -> Self {
        let (tracks, questions) = (HashMap::new(), Questions::default());
        let state = Arc::new(Watch::new(State { tracks, questions, closed: None }));
        let waiter = Lock::new(Waiter::new(state.clone()));
        let (consumers, closed) = (AtomicUsize::new(0), Arc::new(Watch::new(None)));
        let inheritance = Arc::new(Watch::new(Inheritance::default()));
        let shared = Shared { id: Id::next(), account, serves_below, consumers, state, closed, inheritance };
        Self { shared: Arc::new(shared), waiter }
    }

    pub fn id(&self) -> Id {
        self.shared.id
    }

    pub fn consume(&self) -> Consumer {
        Consumer::new(self.shared.clone(), Path::root())
    }

    /// Makes a track, at the broadcast's own path, for those who asked for it already and those who will.
    ///
    /// # Errors
    /// When there is a track of this name that has not failed, there are [`TRACKS_MAX`], or the broadcast has ended.
    pub fn create_track(&self, name: &str, info: track::Info) -> Result<track::Producer, CreateError> {
        check_name(name)?;
        let key = track::Key::new(Path::root(), name);
        let mut state = self.shared.state.lock();
        if let Some(code) = state.closed {
            return Err(CreateError::Closed { code });
        }
        if state.tracks.get(&key).is_some_and(|track| !is_failed(track)) {
            return Err(CreateError::Duplicate);
        }
        let question = state.questions.close(&key);
        if question.is_none() {
            state.check_room()?;
        }
        let producer = track::Producer::found_by(key.clone(), info, &self.shared.account);
        state.tracks.insert(key, producer.consume());
        drop(state);
        if let Some(question) = question {
            question.answer(Ok(producer.consume()));
        }
        Ok(producer)
    }

    /// Ready with the next track that somebody asks for; `None` once nobody can ask any more. One task at a time can wait.
    pub fn poll_requested(&self, cx: &mut Context<'_>) -> Poll<Option<track::Request>> {
        self.waiter.lock().poll(cx, |state| {
            if state.closed.is_some() {
                return Poll::Ready(None);
            }
            if !state.questions.is_waiting() {
                let nobody_is_left = self.shared.consumers.load(Ordering::Acquire) == 0;
                return if nobody_is_left { Poll::Ready(None) } else { Poll::Pending };
            }
            let Some(question) = state.questions.take() else { return Poll::Pending };
            let (key, account) = (question.key().clone(), self.shared.account.clone());
            let shared = self.shared.clone();
            let request = track::Request::new(key, account, move |answer| shared.answer(&question, answer));
            Poll::Ready(Some(request))
        })
    }

    /// The next track that somebody asks for. `None` once nobody can ask any more: no consumer is left.
    ///
    /// # Cancel safety
    /// Dropping the call loses no request.
    pub async fn requested(&self) -> Option<track::Request> {
        poll_fn(|cx| self.poll_requested(cx)).await
    }

    /// Tells all tracks the time; to be called about once a second. Those that nobody has asked for as long as tracks linger
    /// are forgotten, and their producers [told so](track::Producer::unused).
    pub fn tend(&self, now: Instant) {
        let tracks: Vec<_> = self.shared.state.lock().tracks.values().cloned().collect();
        let unused: Vec<_> = tracks.into_iter().filter(|track| track.tend(now)).collect();
        if unused.is_empty() {
            return;
        }
        let mut state = self.shared.state.lock();
        for track in unused {
            let same = state.tracks.get(track.key()).is_some_and(|current| current.id() == track.id());
            // Somebody may have asked for it at this very moment.
            if same && track.is_unused() {
                state.tracks.remove(track.key());
            }
        }
    }

    /// Ends the broadcast and all its tracks.
    pub fn abort(self, code: CloseCode) {
        self.shared.close(code, true);
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.close(close::stream::CANCELLED, false);
    }
}

/// Sees a broadcast, or what it has at one path [below](Self::below) its own. Clones are the same.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    /// Where tracks are looked for.
    below: Path,
}

impl Consumer {
    fn new(shared: Arc<Shared>, below: Path) -> Self {
        shared.consumers.fetch_add(1, Ordering::AcqRel);
        Self { shared, below }
    }

    /// Whether tracks may be looked for below the broadcast's path.
    pub fn serves_below(&self) -> bool {
        self.shared.serves_below
    }

    /// The same broadcast, as it is seen from further down: [`track`](Self::track) looks there. `None`: its publisher serves
    /// nothing below its path, or that would be too long.
    pub fn below(&self, path: &Path) -> Option<Self> {
        let served = path.is_root() || self.serves_below();
        let below = served.then(|| self.below.join(path).ok()).flatten()?;
        Some(Self::new(self.shared.clone(), below))
    }

    pub fn id(&self) -> Id {
        self.shared.id
    }

    /// Looks for a track, asking the publisher for it when it is not there. The result is a future; it can be polled as well.
    ///
    /// # Errors
    /// With the code the publisher rejected the track with, or how the broadcast ended; with NO_CAPACITY when there are
    /// [`TRACKS_MAX`] tracks or [`REQUESTS_MAX`] requests, with NOT_FOUND for a name longer than [`NAME_BYTES_MAX`].
    ///
    /// # Cancel safety
    /// Dropping it withdraws the request, if nobody else waits for it and the publisher has not seen it.
    pub fn track(&self, name: &str) -> Lookup {
        Lookup::new(&self.shared, &self.below, name)
    }

    /// How the broadcast ended. `None`: it goes on.
    pub fn ended(&self) -> Option<CloseCode> {
        *self.shared.closed.lock()
    }

    /// Waits for the end of the broadcast and returns how it ended.
    pub async fn closed(&self) -> CloseCode {
        let mut waiter = Waiter::new(self.shared.closed.clone());
        waiter.wait(|closed| closed.map_or(Poll::Pending, Poll::Ready)).await
    }
}

impl Clone for Consumer {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone(), self.below.clone())
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if self.shared.consumers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.state.notify();
        }
    }
}

fn check_name(name: &str) -> Result<(), CreateError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(CreateError::NameTooLong { length: name.len(), max: NAME_BYTES_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
