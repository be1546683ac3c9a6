//! A track that somebody asked for and that its broadcast does not have yet.

use std::{fmt, time::Instant};

use moq_proto::{CloseCode, Path, close};

use super::{Consumer, Info, Key, Producer};
use crate::model::cache::Account;

/// Where the answer goes.
type Answer = Box<dyn FnOnce(Result<Consumer, CloseCode>) + Send>;

/// Asks for a track. Dropping it unanswered rejects it, with NOT_FOUND unless [another code](Self::reject_if_dropped) is set.
pub struct Request {
    key: Key,
    account: Account,
    answer: Option<Answer>,
    dropped: CloseCode,
}

impl Request {
    pub(crate) fn new(key: Key, account: Account, answer: impl FnOnce(Result<Consumer, CloseCode>) + Send + 'static) -> Self {
        Self { key, account, answer: Some(Box::new(answer)), dropped: close::stream::NOT_FOUND }
    }

    /// The name of the track asked for.
    pub fn name(&self) -> &str {
        &self.key.name
    }

    /// How far below its own path the broadcast is asked for it. The root: not at all, as it always is where the broadcast
    /// was not made [for what lies below](crate::model::broadcast::Producer::for_prefix).
    pub fn below(&self) -> &Path {
        &self.key.below
    }

    /// Makes the track, for everybody who asked. Its clock starts at `now`.
    pub fn accept(mut self, info: Info, now: Instant) -> Producer {
        let producer = Producer::found_by(self.key.clone(), info, &self.account);
        producer.tell(now);
        if let Some(answer) = self.answer.take() {
            answer(Ok(producer.consume()));
        }
        producer
    }

    /// Says what those who asked hear if it is dropped unanswered, as it is when its source is lost.
    pub fn reject_if_dropped(&mut self, code: CloseCode) {
        self.dropped = code;
    }

    /// Tells everybody who asked that there is no such track, and why.
    pub fn reject(mut self, code: CloseCode) {
        if let Some(answer) = self.answer.take() {
            answer(Err(code));
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            answer(Err(self.dropped));
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("name", &self.key).finish_non_exhaustive()
    }
}
