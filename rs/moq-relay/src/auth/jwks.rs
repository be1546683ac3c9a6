//! Keys that are fetched: sets of them that stand at an address, such as an identity provider's.
//!
//! Fetched again and again, as often as the server says and the configuration allows, and at once when a token names a key
//! that nobody knows, which a new key is at first. What was fetched last stays while a server is down or answers with
//! something else. What becomes of keys that come and go is `watch`'s.
//! Spec: RFC 7517, section 5; RFC 9111, section 5.2.2.1 for `max-age`.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::future::join_all;
use http::StatusCode;
use moq_native::tls::Trust;
use moq_token::{KeyId, KeySet, SET_BYTES_MAX, SetError};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use tracing::{info, warn};

use super::http::{Client, HttpError};
use crate::{config::FetchConfig, endpoint::Endpoint};

/// How long a key that nobody knows is not asked for again.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);

/// Keys that nobody knows, remembered at a time.
const UNKNOWN_MAX: usize = 1000;

/// Pause after the first failure. Doubles with each, up to the least time between two questions.
const RETRY: Duration = Duration::from_secs(1);

/// Why a set was not taken.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the server answers {0}")]
    Status(StatusCode),
    #[error("the answer is no text")]
    NotText,
    #[error(transparent)]
    Set(#[from] SetError),
}

/// The sets at all addresses.
pub(crate) struct Fetched {
    sources: Vec<Source>,
    config: FetchConfig,
}

struct Source {
    client: Client,
    /// The last that were good. Empty until there are any.
    keys: KeySet,
    due: Instant,
    /// In a row.
    failures: u32,
}

impl Fetched {
    /// Nothing is fetched yet.
    ///
    /// # Errors
    /// When a server over HTTPS could not be believed.
    pub(crate) fn new(endpoints: Vec<Endpoint>, trust: &Trust, config: FetchConfig) -> anyhow::Result<Self> {
        let source = |endpoint| {
            // The bound of a set in a file: a large provider's has 20 KiB, and ours may hold 100 keys.
            let client = Client::new(endpoint, trust, config.timeout, SET_BYTES_MAX)?;
            Ok(Source { client, keys: KeySet::default(), due: Instant::now(), failures: 0 })
        };
        Ok(Self { sources: endpoints.into_iter().map(source).collect::<anyhow::Result<_>>()?, config })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The keys of each address.
    pub(super) fn keys(&self) -> impl Iterator<Item = &KeySet> {
        self.sources.iter().map(|source| &source.keys)
    }

    /// Waits until something is due, or wanted; then fetches that. Returns whether any keys have changed.
    pub(super) async fn update(&mut self, wanted: &Wanted) -> bool {
        let due = self.sources.iter().map(|source| source.due).min();
        let is_wanted = tokio::select! {
            () = wanted.ring.notified() => true,
            () = async { match due { Some(due) => sleep_until(due).await, None => std::future::pending().await } } => false,
        };
        let now = Instant::now();
        let due = self.sources.iter_mut().filter(|source| is_wanted || source.due <= now);
        let changed = join_all(due.map(|source| source.fetch(&self.config, wanted))).await;
        changed.contains(&true)
    }
}

impl Source {
    /// Returns whether its keys have changed.
    async fn fetch(&mut self, config: &FetchConfig, wanted: &Wanted) -> bool {
        let fetched = self.ask().await;
        let now = Instant::now();
        match fetched {
            Ok((keys, max_age)) => {
                wanted.fetched.fetch_add(1, Relaxed);
                if std::mem::take(&mut self.failures) > 0 {
                    wanted.stale.fetch_sub(1, Relaxed);
                    info!(from = %self.client.endpoint(), keys = keys.len(), "keys are fetched again");
                }
                self.due = now + max_age.unwrap_or(config.refresh).clamp(config.refresh_min, config.refresh);
                let is_changed = *keys.to_json() != *self.keys.to_json();
                self.keys = keys;
                is_changed
            }
            Err(error) => {
                wanted.failed.fetch_add(1, Relaxed);
                if self.failures == 0 {
                    wanted.stale.fetch_add(1, Relaxed);
                    warn!(from = %self.client.endpoint(), %error, "no keys fetched; what was good before stays");
                }
                self.due = now + RETRY.saturating_mul(1 << self.failures.min(10)).min(config.refresh_min);
                self.failures += 1;
                false
            }
        }
    }

    async fn ask(&self) -> Result<(KeySet, Option<Duration>), FetchError> {
        let answer = self.client.get(self.client.endpoint().url()).await?;
        if answer.status != StatusCode::OK {
            return Err(FetchError::Status(answer.status));
        }
        let text = std::str::from_utf8(&answer.body).map_err(|_| FetchError::NotText)?;
        let set = KeySet::from_text(text)?;
        if set.iter().any(|key| key.is_private() && !key.is_shared_secret()) {
            warn!(from = %self.client.endpoint(), "private keys are served there; a relay needs only the public halves");
        }
        Ok((set.verifying(), answer.max_age()))
    }
}

/// What those who judge tokens want of those who fetch, and how that goes.
#[derive(Debug)]
pub(crate) struct Wanted {
    config: FetchConfig,
    state: Mutex<State>,
    ring: Notify,
    /// How often what was wanted has been fetched.
    done: watch::Sender<u64>,
    fetched: AtomicU64,
    failed: AtomicU64,
    /// Addresses that failed the last time.
    stale: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// When keys were last fetched because one was wanted.
    last: Option<Instant>,
    is_fetching: bool,
    /// Keys that were not there, and until when they are believed not to be.
    unknown: HashMap<KeyId, Instant>,
}

impl Wanted {
    pub(crate) fn new(config: FetchConfig) -> Self {
        let (fetched, failed, stale) = Default::default();
        Self { config, state: Mutex::default(), ring: Notify::new(), done: watch::Sender::new(0), fetched, failed, stale }
    }

    /// Waits until all keys have been fetched again because `key` is missing. `false`: they are not, because they were of late,
    /// or were and it was not there.
    pub(super) async fn wait(&self, key: &KeyId) -> bool {
        let mut done = self.done.subscribe();
        if !self.is_worth_it(key, Instant::now()) {
            return false;
        }
        // As long as a server may take, and a little for what becomes of its answer.
        timeout(self.config.timeout * 2, done.changed()).await.is_ok_and(|changed| changed.is_ok())
    }

    fn is_worth_it(&self, key: &KeyId, now: Instant) -> bool {
        let mut state = self.state();
        if state.unknown.get(key).is_some_and(|until| now < *until) {
            return false;
        }
        if state.is_fetching {
            return true;
        }
        if state.last.is_some_and(|last| now.duration_since(last) < self.config.refresh_min) {
            return false;
        }
        (state.last, state.is_fetching) = (Some(now), true);
        self.ring.notify_one();
        true
    }

    /// `key` was not among what was fetched.
    pub(super) fn missed(&self, key: KeyId) {
        let now = Instant::now();
        let mut state = self.state();
        if state.unknown.len() >= UNKNOWN_MAX {
            state.unknown.retain(|_, until| now < *until);
        }
        // Whoever makes up that many ids is held by the least time between two questions alone.
        if state.unknown.len() < UNKNOWN_MAX {
            state.unknown.insert(key, now + UNKNOWN_FOR);
        }
    }

    /// What was fetched is in use now.
    pub(super) fn done(&self) {
        self.state().is_fetching = false;
        self.done.send_modify(|count| *count += 1);
    }

    /// Every counter with its name and what it counts.
    pub(super) fn counts(&self) -> [(&'static str, &'static str, u64); 3] {
        [
            ("moq_relay_keys_fetched_total", "ok", self.fetched.load(Relaxed)),
            ("moq_relay_keys_fetched_total", "failed", self.failed.load(Relaxed)),
            ("moq_relay_keys_stale", "addresses", self.stale.load(Relaxed)),
        ]
    }

    /// A panic elsewhere breaks nothing: at worst nobody fetches what was wanted, until it is due.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        let second = Duration::from_secs(1);
        Wanted::new(FetchConfig { refresh: 300 * second, refresh_min: 30 * second, timeout: 5 * second })
    }

    fn id(text: &str) -> KeyId {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_miss_a_key_are_one_question() {
        let wanted = wanted();

        let waiting = join_all((0..100).map(|_| wanted.wait(&NEW)));
        let fetch = async {
            wanted.ring.notified().await;
            wanted.done();
        };
        static NEW: std::sync::LazyLock<KeyId> = std::sync::LazyLock::new(|| id("new"));
        let (waited, ()) = tokio::join!(waiting, fetch);

        assert!(waited.into_iter().all(|is_fetched| is_fetched));
        assert!(timeout(Duration::from_secs(3600), wanted.ring.notified()).await.is_err(), "asked once");
    }

    #[tokio::test(start_paused = true)]
    async fn made_up_keys_are_asked_for_once_in_a_while() {
        let wanted = wanted();
        let mut questions = 0;
        for second in 0..300 {
            if wanted.is_worth_it(&id(&format!("made-up-{second}")), Instant::now()) {
                questions += 1;
                wanted.done();
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }

        assert_eq!(questions, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_was_not_there_is_not_asked_for_again_for_a_minute() {
        let wanted = wanted();
        let asks = || {
            let is_asked = wanted.is_worth_it(&id("old"), Instant::now());
            wanted.done();
            is_asked
        };
        assert!(asks());
        wanted.missed(id("old"));

        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!asks() && wanted.is_worth_it(&id("new"), Instant::now()));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(asks());
        for number in 0..2 * UNKNOWN_MAX {
            wanted.missed(id(&number.to_string()));
        }
        assert_eq!(wanted.state().unknown.len(), UNKNOWN_MAX);
    }
}
