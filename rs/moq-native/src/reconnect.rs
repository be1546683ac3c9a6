//! Reconnect: one session after the other over one lasting origin.
//!
//! What an application publishes stays in its origin and is announced to each new peer; what it watches goes on there, if the
//! publisher announces itself under the same name, because the origin [keeps](Origin::keep_orphans) such tracks meanwhile.
//! How a connection is made, and what may be done over it, is up to the caller; so is chance.
//!
//! A session that is lost is tried for again with [capped waits, part of them chance](Backoff), for as long as the caller's
//! patience lasts. A server that [asks its client to leave](moq_lite::session::GoAway) is followed at once, to where it
//! [says](Place::next), and left only when the next session is open.
//!
//! A viewer that outlives its relay:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use moq_lite::{
//!     model::{demand::Ask, origin::{Horizon, Origin}},
//!     session::{Roles, random_hop},
//! };
//! use moq_native::{Client, ClientConfig, reconnect::{self, Backoff, Place, Reconnect}};
//! use moq_proto::{Path, Version};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(ClientConfig::default())?;
//! let place = Place::from(url::Url::parse("https://relay.example.com/room")?);
//! let dial = async |place: &Place| reconnect::dial(&client, place, Version::ALL).await;
//!
//! let hop = random_hop();
//! let origin = Origin::new(hop);
//! let roles = || {
//!     let mut roles = Roles::new(hop);
//!     roles.inbound = Some(origin.producer(Path::root(), vec![Path::root()], Horizon::new()));
//!     roles
//! };
//! let watch = async {
//!     let view = origin.consumer(Path::root(), vec![Path::root()], Horizon::new());
//!     let track = view.consume_wait(&"alice".parse()?).await.track("chat").await?;
//!     let mut groups = track.subscribe(Ask::default());
//!     while let Some(mut group) = groups.next().await {
//!         // Waits, rather than fails, while there is no session.
//!         while let Ok(Some(frame)) = group.next_frame().await {
//!             println!("{}", String::from_utf8_lossy(&frame.payload));
//!         }
//!     }
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! };
//!
//! let session = dial(&place).await?;
//! let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5), rand::random);
//! let reconnect = Reconnect { origin: origin.clone(), place, backoff, patience: Duration::from_secs(60) };
//! tokio::select! {
//!     lost = reconnect.run(session, dial, roles, |state| println!("{state:?}")) => Err(lost.into()),
//!     watched = watch => watched,
//! }
//! # }
//! ```

use std::{fmt, time::Duration};

use http::StatusCode;
use moq_lite::{
    model::origin::Origin,
    session::{self, Roles, Session},
    transport::{Connection, ConnectionError},
};
use moq_proto::close;
use tokio::time::{Instant, interval};

use self::sessions::Sessions;
pub use self::{
    dial::{DialError, dial},
    place::{Place, PlaceError},
};
use crate::ConnectError;

mod dial;
mod place;
mod sessions;

/// How often tracks without a source are told the time.
const TEND_INTERVAL: Duration = Duration::from_secs(1);

/// The waits between tries: each twice as long as the one before it, up to a longest, less a part that is left to chance, so
/// that not all who lost a relay come back at once.
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    /// From 0 up to 1.
    chance: Box<dyn FnMut() -> f64>,
}

impl Backoff {
    /// `chance`: numbers from 0 up to 1, which a test may choose.
    pub fn new(first: Duration, longest: Duration, chance: impl FnMut() -> f64 + 'static) -> Self {
        Self { first, longest, next: first, chance: Box::new(chance) }
    }

    /// How long to wait before the next try: between half of its time and all of it.
    pub fn wait(&mut self) -> Duration {
        let whole = self.next.min(self.longest);
        self.next = whole.saturating_mul(2).min(self.longest);
        whole.saturating_sub(whole.mul_f64(0.5 * (self.chance)().clamp(0.0, 1.0)))
    }

    /// Begins anew, after what has worked.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff").field("next", &self.next).field("longest", &self.longest).finish_non_exhaustive()
    }
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It may be better a moment later.
    Again,
    /// It will be the same however often it is tried.
    Never,
}

impl From<&ConnectError> for Retry {
    /// Whoever was refused, or asks for what makes no sense, is so again; whoever asked too often or too slowly may do better.
    fn from(error: &ConnectError) -> Self {
        match error {
            ConnectError::Refused(StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => Self::Again,
            ConnectError::Refused(status) if status.is_client_error() => Self::Never,
            ConnectError::Scheme(_) | ConnectError::Host | ConnectError::Port | ConnectError::Path => Self::Never,
            _ => Self::Again,
        }
    }
}

impl From<&session::Error> for Retry {
    fn from(error: &session::Error) -> Self {
        match error {
            session::Error::Connection(ConnectionError::Closed { code, .. }) if *code == close::session::UNAUTHORIZED.get() => {
                Self::Never
            }
            session::Error::Version { .. } => Self::Never,
            _ => Self::Again,
        }
    }
}

/// Why there are no more sessions.
#[derive(Debug, thiserror::Error)]
pub enum Lost<E> {
    /// The last one ended, and another would end alike or is not wanted. `None`: the peer ended it without a complaint.
    #[error("the session is over: {}", .0.as_ref().map_or_else(|| "the peer ended it".to_owned(), ToString::to_string))]
    Session(Option<session::Error>),
    #[error(transparent)]
    Dial(E),
}

/// What happens between sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State<'a> {
    /// There is none, and another is tried for. `lost`: how the last one ended; `None`: the peer ended it without a complaint.
    Reconnecting { lost: Option<&'a session::Error> },
    /// There is one, here; also one that takes the place of another, without a gap between them.
    Connected { place: &'a Place },
}

/// What a client does when its session ends, or its server asks it to leave.
#[derive(Debug)]
pub struct Reconnect {
    /// Where what is published and watched outlives its sessions.
    pub origin: Origin,
    /// Where the sessions are to be. Servers may say otherwise, each for the next one; where that fails, it is here again.
    pub place: Place,
    pub backoff: Backoff,
    /// How long another session is tried for, and tracks wait. Zero: not at all; [`Duration::MAX`]: for ever.
    pub patience: Duration,
}

impl Reconnect {
    /// Runs `session`, and after it those that `dial` makes; returns once there are no more, which ends all tracks that wait for
    /// their publisher. `roles`: what each may do. There are two at a time at most, while one takes the place of the other.
    ///
    /// # Cancel safety
    /// Dropping the call closes the sessions there are.
    pub async fn run<C: Connection, E>(
        self,
        session: Session<C>,
        dial: impl AsyncFnMut(&Place) -> Result<Session<C>, E>,
        roles: impl FnMut() -> Roles<C>,
        told: impl FnMut(State<'_>),
    ) -> Lost<E>
    where
        E: fmt::Display,
        for<'a> &'a E: Into<Retry>,
    {
        let origin = self.origin.clone();
        origin.keep_orphans(self.patience);
        let tend = async {
            let mut ticks = interval(TEND_INTERVAL);
            loop {
                origin.tend(ticks.tick().await.into());
            }
        };
        let sessions = Sessions { home: self.place, backoff: self.backoff, patience: self.patience, dial, roles, told };
        let lost = tokio::select! {
            biased;
            lost = sessions.run(session) => lost,
            lost = tend => lost,
        };
        // Nobody comes back to them.
        origin.keep_orphans(Duration::ZERO);
        origin.tend(Instant::now().into());
        lost
    }
}

#[cfg(test)]
mod tests;
