//! A session: one peer's life on a connection, in both directions.
//!
//! `inbound` puts what the peer publishes into an origin; `outbound` gives the peer what an origin has. The model does the
//! keeping, `lite/` the talking, `fanout` the moving of media. A session is one future: dropping it ends all it does.
//! It knows no socket, and stays on the thread it was started on.

mod bounds;
mod clock;
mod error;
pub mod fanout;
mod fetched;
mod handshake;
mod held;
mod inbound;
mod leaving;
mod lite;
mod order;
mod outbound;
mod ready;
mod report;
mod selection;
mod served;
mod shared;
mod stream;
mod tasks;
mod viewer;

use std::{fmt, future::poll_fn, time::Duration};

use moq_proto::{CloseCode, HopId, VarInt, Version, lite::message::Setup};

pub use self::{
    error::Error,
    leaving::{AskedToLeave, GoAway},
};
use self::{handshake::Legacy, leaving::Told, shared::Shared, tasks::Tasks};
use crate::{
    model::{cache::Budget, origin},
    stats::Stats,
    transport::{Connection, ConnectionError, ConnectionStats},
};

/// Longest wait for what every session starts with: the negotiation, and the peer's SETUP where an answer depends on it.
pub const SETUP_TIMEOUT: Duration = Duration::from_secs(10);

/// An identity for somebody who was given none. Below 2^53, for peers written in JavaScript.
pub fn random_hop() -> HopId {
    HopId::from(VarInt::saturating(rand::random_range(1..VarInt::JS_MAX.get())))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// What a peer may ask of one session. Each refusal resets the stream that asked.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Subscriptions at a time.
    pub subscribes: usize,
    /// Announce streams at a time.
    pub announces: usize,
    /// Other requests (TRACK, FETCH, PROBE) at a time.
    pub requests: usize,
    /// Broadcasts the peer may have announced on one stream. More of them end the session.
    pub names: usize,
    /// Group streams the peer may open at a time, once it is asked for media.
    pub streams: u32,
    /// Bytes the peer may send ahead of us, once it is asked for media.
    pub window: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { subscribes: 1024, announces: 64, requests: 128, names: 1024, streams: 1024, window: 16 << 20 }
    }
}

/// What a session does once the peer is known.
pub struct Roles<C: Connection> {
    /// Our own hop id. Below 2^53, for peers written in JavaScript.
    pub hop: HopId,
    /// Where the peer's broadcasts go. `None`: the peer may not publish.
    pub inbound: Option<origin::Producer>,
    /// What the peer may have. `None`: the peer may not subscribe.
    pub outbound: Option<origin::Consumer>,
    /// The shard's fanout. `None`: the session runs one of its own.
    pub fanout: Option<fanout::Handle<C>>,
    /// What pays for the groups that the peer publishes.
    pub budget: Budget,
    pub limits: Limits,
    pub stats: Stats,
}

impl<C: Connection> Roles<C> {
    /// Roles with nothing to give and nothing to take.
    pub fn new(hop: HopId) -> Self {
        let (limits, stats, budget) = (Limits::default(), Stats::default(), Budget::default());
        Self { hop, inbound: None, outbound: None, fanout: None, budget, limits, stats }
    }
}

/// A session whose version is settled. [`run`](Self::run) is its life.
pub struct Session<C: Connection> {
    connection: C,
    side: Side,
    version: Version,
    legacy: Option<Legacy<C>>,
    /// What we say in SETUP beside our identity: the request target on bindings without a URL.
    path: Option<String>,
    /// The peer's SETUP, where it was read before the roles are known.
    setup: Option<Setup>,
    /// Where the peer is asked to go, once it is.
    leave: Told,
    /// Where the peer asks us to go, once it does.
    asked: Told,
}

impl<C: Connection> fmt::Debug for Session<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("connection", &self.connection).field("version", &self.version).finish_non_exhaustive()
    }
}

impl<C: Connection> Session<C> {
    /// Settles the version with a client that dialled us. `versions`: what we speak, in order of preference.
    ///
    /// # Errors
    /// [`Error::Version`] when there is none in common, [`Error::Timeout`] after [`SETUP_TIMEOUT`]; the connection is
    /// closed with the matching code.
    pub async fn accept(connection: C, versions: &[Version]) -> Result<Self, Error> {
        let settled = handshake::accept(connection.clone(), versions);
        Self::settle(connection, Side::Server, settled).await
    }

    /// Settles the version with a server we dialled.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub async fn connect(connection: C, versions: &[Version]) -> Result<Self, Error> {
        let settled = handshake::connect(connection.clone(), versions);
        Self::settle(connection, Side::Client, settled).await
    }

    async fn settle(
        connection: C,
        side: Side,
        settled: impl Future<Output = Result<(Version, Option<Legacy<C>>), Error>>,
    ) -> Result<Self, Error> {
        let settled = tokio::time::timeout(SETUP_TIMEOUT, settled).await;
        match settled.unwrap_or(Err(Error::Timeout("version"))) {
            Ok((version, legacy)) => {
                let (leave, asked) = (Told::new(None), Told::new(None));
                Ok(Self { connection, side, version, legacy, path: None, setup: None, leave, asked })
            }
            Err(error) => {
                connection.close(error.close_code().get(), &error.to_string());
                Err(error)
            }
        }
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// Tells the server which path and query to serve, on bindings that carry no URL. moq-lite-05 and later.
    pub fn set_request_target(&mut self, path: String) {
        self.path = Some(path);
    }

    /// The path and query the client asks for, on bindings that carry no URL. `None`: it named none, or its version cannot.
    ///
    /// # Errors
    /// [`Error::Timeout`] when moq-lite-05 or later sends no SETUP in time; [`Error::Violation`] when it is undecodable.
    pub async fn request_target(&mut self) -> Result<Option<String>, Error> {
        let Some(layout) = &self.version.dialect().setup else { return Ok(None) };
        if self.setup.is_none() {
            let setup = handshake::first_setup(&mut self.connection, layout);
            let setup = tokio::time::timeout(SETUP_TIMEOUT, setup).await;
            self.setup = Some(setup.map_err(|_| Error::Timeout("SETUP"))??);
        }
        Ok(self.setup.as_ref().and_then(|setup| setup.path.clone()))
    }

    /// Ends the session from outside, whatever it is doing.
    pub fn closer(&self) -> Closer<C> {
        Closer { connection: self.connection.clone(), leave: self.leave.clone() }
    }

    /// Hears when the peer asks us to leave.
    pub fn asked_to_leave(&self) -> AskedToLeave {
        AskedToLeave::of(&self.asked)
    }

    /// Runs the session until either side ends it. Dropping the future closes the connection with "cancelled".
    ///
    /// # Errors
    /// How it ended; a close with code 0 by either side is [`Ok`].
    pub async fn run(self, roles: Roles<C>) -> Result<(), Error> {
        let connection = self.connection.clone();
        let guard = CloseOnDrop(self.connection.clone());
        let shared = Shared::new(&self, roles);
        let mut tasks = Tasks::new(shared.spawner.clone());
        shared.start(self);

        let mut watched = connection.clone();
        let ended = tokio::select! {
            biased;
            error = poll_fn(|cx| watched.poll_closed(cx)) => Err(error.into()),
            result = tasks.run() => result,
        };
        if matches!(ended, Err(Error::Connection(_))) {
            tasks.drain().await;
        }
        let error = match ended {
            Ok(()) => None,
            Err(Error::Connection(ConnectionError::Closed { code: 0, .. })) => None,
            Err(error) => Some(error),
        };
        let (code, reason) = match &error {
            None => (0, String::new()),
            Some(error) => (error.close_code().get(), error.to_string()),
        };
        connection.close(code, &reason);
        drop(guard);
        error.map_or(Ok(()), Err)
    }
}

/// Ends a session from outside.
#[derive(Clone, Debug)]
pub struct Closer<C: Connection> {
    connection: C,
    leave: Told,
}

impl<C: Connection> Closer<C> {
    /// Asks the peer to leave, for `uri` or, if that is empty, to where it came from. The session goes on until either side
    /// ends it. Peers before moq-lite-04 cannot be asked.
    pub fn go_away(&self, uri: impl Into<String>) {
        self.leave.send_replace(Some(GoAway::new(uri.into())));
    }

    /// What the connection has carried and how well, also after its end.
    pub fn stats(&self) -> ConnectionStats {
        self.connection.stats()
    }

    /// Closes the session for the peer and for us. The first close wins.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.connection.close(code.get(), reason);
    }
}

/// Closes the connection of a session whose future is dropped.
struct CloseOnDrop<C: Connection>(C);

impl<C: Connection> Drop for CloseOnDrop<C> {
    fn drop(&mut self) {
        // After a regular end this comes second and changes nothing.
        self.0.close(0, "cancelled");
    }
}
