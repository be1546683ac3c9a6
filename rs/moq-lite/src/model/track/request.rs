//! A track that somebody asked for and that its broadcast does not have yet.

use std::{fmt, sync::Arc, time::Instant};

use moq_proto::{CloseCode, close};

use super::{Consumer, Info, Producer};
use crate::model::cache::Account;

/// Where the answer goes.
type Answer = Box<dyn FnOnce(Result<Consumer, CloseCode>) + Send>;

/// Asks for a track. Dropping it unanswered rejects it with NOT_FOUND.
pub struct Request {
    name: Arc<str>,
    account: Account,
    answer: Option<Answer>,
}

impl Request {
    pub(crate) fn new(
        name: Arc<str>,
        account: Account,
        answer: impl FnOnce(Result<Consumer, CloseCode>) + Send + 'static,
    ) -> Self {
        Self { name, account, answer: Some(Box::new(answer)) }
    }

    /// The name of the track asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the track, for everybody who asked. Its clock starts at `now`.
    pub fn accept(mut self, info: Info, now: Instant) -> Producer {
        let producer = Producer::new(self.name.clone(), info, &self.account);
        producer.tell(now);
        if let Some(answer) = self.answer.take() {
            answer(Ok(producer.consume()));
        }
        producer
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
            answer(Err(close::stream::NOT_FOUND));
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("name", &self.name).finish_non_exhaustive()
    }
}
