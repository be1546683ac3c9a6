//! Asking a server who may come in (`auth.url`), and again whether they still may.
//!
//! One queue from every entrance to one task that asks: a bound on what is asked at once, a deadline on each answer, and a
//! breaker that spares a server that is down and those who would wait for it. What is asked and how an answer reads is the
//! contract's: `post` or `get`.

mod breaker;
mod get;
mod post;

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use futures::stream::{FuturesUnordered, StreamExt as _};
use http::StatusCode;
use moq_native::tls::Trust;
use moq_proto::Path;
use moq_token::{Grant, KeySet, Refused as BadToken, Verified, Verifier};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tracing::warn;

use self::breaker::Breaker;
use super::{
    Wish,
    http::{Answer, Client, HttpError},
};
use crate::{
    config::RemoteConfig,
    options::{Contract, Prefix},
    secret::Secret,
};

/// Largest answer, in bytes. A grant of a hundred paths has a tenth of it.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Questions that wait for one of those under way to end. More cannot be answered in time by any server that takes 100 ms.
const QUEUE_MAX: usize = 1024;

/// Who wants to come in, and how. Holds its token, and is never shown.
pub(super) struct Inquiry {
    /// 32 hexadecimal digits of its own, the same as long as the session lasts.
    pub(super) id: String,
    pub(super) path: Path,
    /// What followed the path, as it was written.
    pub(super) query: Option<Secret>,
    /// The one token that was shown.
    pub(super) token: Option<Secret>,
    /// The same, if it came in a header.
    pub(super) header: Option<Secret>,
    /// What carries the session, in a word.
    pub(super) carrier: &'static str,
    pub(super) peer: SocketAddr,
    pub(super) wish: Wish,
}

/// Why the server is asked, or told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Occasion {
    Connect,
    Revalidate,
    /// The session is over; nobody waits for the answer.
    End {
        reason: &'static str,
        lasted: Duration,
        bytes: Bytes,
    },
}

/// What somebody who was let in has had of the relay and given it, as far as it is counted: all that its connection carried, or
/// the body of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub(super) struct Bytes {
    pub(super) sent: u64,
    pub(super) received: u64,
}

/// What the server gives.
#[derive(Debug)]
pub(super) struct Given {
    /// Rooted where the session is to be.
    pub(super) grant: Grant,
    /// When to ask again. `None`: never.
    pub(super) again: Option<Duration>,
    /// The token that was verified with a key from the server, and the key.
    pub(super) verified: Option<(Verified, KeySet)>,
    /// Whom the server calls them, by which they are known again.
    pub(super) subject: Option<String>,
    /// Whether it is a relay of the cluster.
    pub(super) is_relay: bool,
}

/// Why the server gives nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum NotGiven {
    #[error("the server of auth.url answers {0}")]
    Denied(StatusCode),
    #[error("the server of auth.url gives what cannot be used: {0}")]
    Unusable(String),
    #[error("the server of auth.url knows nothing that is public here")]
    NoToken,
    #[error(transparent)]
    Token(#[from] BadToken),
    #[error("the token allows nothing at this path")]
    Elsewhere,
    #[error("asking the server of auth.url: {0}")]
    Unreachable(#[from] HttpError),
    #[error("the server of auth.url answers {0}")]
    Failing(StatusCode),
    #[error("the server of auth.url has failed too often and is left alone for a while")]
    Broken,
    #[error("too many questions wait for the server of auth.url")]
    Busy,
    #[error("the server of auth.url was not asked within {0:?}")]
    Late(Duration),
}

impl NotGiven {
    /// Whether the server, or the relay, was in no state to answer, rather than answered.
    pub(super) fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Failing(_) | Self::Broken | Self::Busy | Self::Late(_))
    }
}

/// Asks, from any thread.
pub(crate) struct Remote {
    config: RemoteConfig,
    queue: mpsc::Sender<Errand>,
    breaker: Breaker,
    node: String,
    answered: AtomicU64,
    outages: AtomicU64,
    busy: AtomicU64,
    untold: AtomicU64,
}

/// One question on its way.
struct Errand {
    question: Question,
    /// `None`: nobody waits for the answer.
    answer: Option<oneshot::Sender<Result<Answer, HttpError>>>,
}

enum Question {
    Get(Box<url::Url>),
    Post(Vec<u8>),
}

/// Takes the questions to the server. Lives where the relay has time.
pub(crate) struct Messenger {
    client: Client,
    queue: mpsc::Receiver<Errand>,
    at_once: usize,
}

impl Remote {
    /// # Errors
    /// When a server over HTTPS could not be believed.
    pub(crate) fn new(config: RemoteConfig, trust: &Trust, node: String) -> anyhow::Result<(Self, Messenger)> {
        let client = Client::new(config.endpoint.clone(), trust, config.timeout, ANSWER_BYTES_MAX)?;
        let (queue, taken) = mpsc::channel(QUEUE_MAX);
        let messenger = Messenger { client, queue: taken, at_once: config.concurrency };
        let (answered, outages, busy, untold) = Default::default();
        let remote = Self { config, queue, breaker: Breaker::default(), node, answered, outages, busy, untold };
        Ok((remote, messenger))
    }

    /// How long those inside stay while nobody answers for them.
    pub(super) fn grace(&self) -> Duration {
        self.config.grace
    }

    /// Asks what whoever is behind `inquiry` may do. `verifier`: whose policy and revocations count beside the answer.
    ///
    /// # Errors
    /// Why nothing.
    ///
    /// # Cancel safety
    /// Dropping the call withdraws the question.
    pub(super) async fn ask(
        &self,
        inquiry: &Inquiry,
        occasion: Occasion,
        verifier: &Verifier,
        now: SystemTime,
    ) -> Result<Given, NotGiven> {
        let probe = self.breaker.pass(Instant::now().into_std()).ok_or(NotGiven::Broken)?;
        let question = match self.config.contract {
            Contract::Post => Question::Post(post::question(inquiry, &occasion, &self.node)),
            Contract::Get => Question::Get(Box::new(get::question(inquiry, self.config.endpoint.url()))),
        };
        let given = self.answer(question).await.and_then(|answer| match self.config.contract {
            Contract::Post => post::read(&answer, inquiry, now),
            Contract::Get => get::read(&answer, inquiry, verifier, now, self.config.refresh),
        });
        let is_outage = given.as_ref().is_err_and(NotGiven::is_outage);
        let counter = if is_outage { &self.outages } else { &self.answered };
        counter.fetch_add(1, Relaxed);
        if probe.done(!is_outage, Instant::now().into_std()) {
            warn!(server = %self.config.endpoint, "the server of auth.url fails; it is left alone for a while");
        }
        given
    }

    async fn answer(&self, question: Question) -> Result<Answer, NotGiven> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Errand { question, answer: Some(answer) }).map_err(|_| {
            self.busy.fetch_add(1, Relaxed);
            NotGiven::Busy
        })?;
        // The wait in the queue counts.
        let late = NotGiven::Late(self.config.timeout);
        let answer = timeout(self.config.timeout, answered).await.ok().and_then(Result::ok).ok_or(late)??;
        match answer.status {
            status if status.is_success() => Ok(answer),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Err(NotGiven::Failing(answer.status))
            }
            status if status.is_client_error() => Err(NotGiven::Denied(status)),
            status => Err(NotGiven::Failing(status)),
        }
    }

    /// Tells the server that a session is over, if it wants to know and there is room.
    pub(super) fn end(&self, inquiry: &Inquiry, reason: &'static str, lasted: Duration, bytes: Bytes) {
        if self.config.contract != Contract::Post {
            return;
        }
        let question = Question::Post(post::question(inquiry, &Occasion::End { reason, lasted, bytes }, &self.node));
        if self.queue.try_send(Errand { question, answer: None }).is_err() {
            self.untold.fetch_add(1, Relaxed);
        }
    }

    /// Every counter with its name and what it counts.
    pub(super) fn counts(&self) -> [(&'static str, &'static str, u64); 5] {
        let asked = "moq_relay_auth_asked_total";
        [
            (asked, "answered", self.answered.load(Relaxed)),
            (asked, "outage", self.outages.load(Relaxed)),
            (asked, "busy", self.busy.load(Relaxed)),
            (asked, "end-untold", self.untold.load(Relaxed)),
            ("moq_relay_auth_breaker_opened_total", "", self.breaker.opened()),
        ]
    }
}

impl Messenger {
    /// Takes questions to the server, as many at once as it may, for as long as there may be any.
    pub(super) async fn run(mut self) {
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(()) = under_way.next() => {}
                errand = self.queue.recv(), if under_way.len() < self.at_once => match errand {
                    Some(errand) => under_way.push(carry(&self.client, errand)),
                    None => return,
                },
            }
        }
    }
}

async fn carry(client: &Client, Errand { question, answer }: Errand) {
    let asking = async {
        match question {
            Question::Get(url) => client.get(&url).await,
            Question::Post(json) => client.post(json).await,
        }
    };
    let Some(mut answer) = answer else {
        // What is told is not asked: whether it was heard changes nothing here.
        let _ = asking.await;
        return;
    };
    tokio::select! {
        () = answer.closed() => {}
        answered = asking => {
            // Whoever asked may just have left.
            let _ = answer.send(answered);
        }
    }
}

/// What the relay calls itself to the server: the name of its machine.
pub(crate) fn node() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "moq-relay".into() } else { name.into() }
}

/// Prefixes as a server writes them.
fn prefixes(written: &[String]) -> Result<Vec<Path>, NotGiven> {
    let path = |written: &String| {
        let prefix: Prefix = written.parse().map_err(|error| NotGiven::Unusable(format!("{written:?}: {error}")))?;
        Ok(prefix.0)
    };
    written.iter().map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::testing::{at, verifier},
        endpoint::Endpoint,
    };

    #[tokio::test]
    async fn more_questions_than_may_wait_are_refused_and_counted() {
        let config = RemoteConfig {
            endpoint: Endpoint::parse("http://127.0.0.1:1/").unwrap(),
            contract: Contract::Post,
            timeout: Duration::from_secs(5),
            concurrency: 64,
            grace: Duration::ZERO,
            refresh: Duration::ZERO,
        };
        // Nobody takes the questions away.
        let (remote, _messenger) = Remote::new(config, &Trust::System, "node".into()).unwrap();
        let inquiry = Inquiry {
            id: "0".repeat(32),
            path: Path::root(),
            query: None,
            token: None,
            header: None,
            carrier: "quic",
            peer: ([192, 0, 2, 7], 1).into(),
            wish: Wish::Either,
        };
        let count = |what| remote.counts().into_iter().find(|(_, of, _)| *of == what).map(|(_, _, count)| count);
        for _ in 0..QUEUE_MAX {
            remote.end(&inquiry, "closed", Duration::ZERO, Bytes::default());
        }
        assert_eq!((count("end-untold"), count("busy")), (Some(0), Some(0)), "there was room");

        remote.end(&inquiry, "closed", Duration::ZERO, Bytes::default());
        let refused = remote.ask(&inquiry, Occasion::Connect, &verifier(&[]), at(0)).await;

        assert!(matches!(refused, Err(NotGiven::Busy)), "{refused:?}");
        assert_eq!((count("end-untold"), count("busy")), (Some(1), Some(1)));
    }
}
