//! Peer: a session with a relay, and the origin that it shares with a command.

use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use moq_lite::{
    model::{
        broadcast,
        cache::{Budget, Policy},
        origin::{self, Horizon, Origin, Publication},
        route::Route,
        track,
    },
    session::{self, Closer, Roles, Session, random_hop},
    transport::{Connection as _, ConnectionError},
};
use moq_native::AnyConnection;
use moq_proto::{CloseCode, Path, Version, close};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    connect::Connect,
    failure::{Failure, is_missing},
};

/// Bytes of groups kept, here, for all that is published or watched: minutes of video.
const CAPACITY: u64 = 256 << 20;

/// Broadcasts that are listed at most. A relay in a mesh has that many.
const NAMES_MAX: usize = 1_000_000;

/// How long nothing must be heard before everything that is on air has been: announcements follow each other at once.
const QUIET: Duration = Duration::from_millis(500);

/// What the relay gets to read what has just arrived there, before the connection that it came over is closed.
const FAREWELL: Duration = Duration::from_millis(250);

/// What a command does there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role<'a> {
    /// Publishes. Groups are kept so long behind the newest.
    Publish { keep: Duration },
    /// Hears of what is announced below this path.
    Watch(&'a Path),
}

/// One end of a session with a relay.
pub(crate) struct Peer {
    pub(crate) version: Version,
    connection: AnyConnection,
    closer: Closer<AnyConnection>,
    origin: Origin,
    budget: Budget,
    session: JoinSet<Result<(), session::Error>>,
    /// How long it took to get here.
    took: Duration,
    /// Whether a token was shown.
    shown: bool,
}

impl Peer {
    /// Connects and starts the session.
    ///
    /// # Errors
    /// When the options make no sense; when there is no relay, or it refuses.
    pub(crate) async fn connect(options: &Connect, role: Role<'_>) -> anyhow::Result<Self> {
        let token = options.token()?;
        let shown = token.is_some() || options.url.has_token();
        let url = options.url.url(token.as_ref());
        let versions = options.versions();

        let began = Instant::now();
        let connected = options.client()?.connect(&url).await;
        let connection = connected.map_err(|error| Failure::connect(error, shown, options.url.needs_udp()))?;
        let mut session = Session::connect(connection.clone(), &versions).await.map_err(|error| over(&Err(error), shown))?;
        if options.url.is_raw_quic() {
            let version = session.version();
            ensure!(
                version >= Version::Lite05 || options.url.is_plain() && !shown,
                "over raw QUIC, {version} cannot say which path is meant; use https://, or --protocol moq-lite-05"
            );
            session.set_request_target(moq_native::request_target(&url).to_owned());
        }

        let (version, closer, hop) = (session.version(), session.closer(), random_hop());
        let origin = Origin::new(hop);
        let keep = if let Role::Publish { keep } = role { keep } else { Policy::default().max_age };
        let policy = Policy { capacity: CAPACITY, per_broadcast: CAPACITY, max_age: keep, ..Policy::default() };
        let budget = Budget::with_policy(policy);
        let (mut roles, root, horizon) = (Roles::new(hop), Path::root(), Horizon::new());
        roles.budget = budget.clone();
        roles.limits.names = NAMES_MAX;
        match role {
            Role::Publish { .. } => roles.outbound = Some(origin.consumer(root.clone(), vec![root], horizon)),
            Role::Watch(below) => {
                let inbound = origin.producer(root, vec![below.clone()], horizon);
                roles.inbound = Some(inbound.with_limit(NAMES_MAX));
            }
        }
        let mut running = JoinSet::new();
        running.spawn_local(session.run(roles));
        Ok(Self { version, connection, closer, origin, budget, session: running, took: began.elapsed(), shown })
    }

    /// A broadcast of this program, to be announced once its tracks are there.
    pub(crate) fn broadcast(&self) -> broadcast::Producer {
        broadcast::Producer::new(self.budget.account())
    }

    /// Announces a broadcast, until what is returned is dropped.
    pub(crate) fn announce(&self, path: &Path, broadcast: &broadcast::Producer) -> anyhow::Result<Publication> {
        let here = self.origin.producer(Path::root(), vec![Path::root()], Horizon::new());
        Ok(here.publish(path, Route::local(), broadcast.consume())?)
    }

    /// What has been heard of.
    pub(crate) fn view(&self) -> origin::Consumer {
        self.origin.consumer(Path::root(), vec![Path::root()], Horizon::new())
    }

    /// How long nothing is heard once everything that is on air has been. Half of it is the way there and back at least: it
    /// took more than one of those to connect.
    pub(crate) fn quiet(&self) -> Duration {
        QUIET.max(2 * self.took)
    }

    /// The track of a broadcast, waited for so long at most.
    ///
    /// # Errors
    /// When there is none, or the session is over.
    pub(crate) async fn find(&mut self, path: &Path, name: &str, wait: Duration) -> anyhow::Result<track::Consumer> {
        let view = self.view();
        let patience = wait.max(self.quiet());
        let found = self.unless_over(timeout(patience, view.consume_wait(path))).await?;
        let broadcast = found.map_err(|_| Failure::NoBroadcast(path.clone()))?;
        match self.unless_over(broadcast.track(name)).await? {
            Ok(track) => Ok(track),
            Err(error) => Err(self.ended(path, name, error.code).await),
        }
    }

    /// What `happens`, unless the session ends before.
    pub(crate) async fn unless_over<T>(&mut self, happens: impl Future<Output = T>) -> anyhow::Result<T> {
        tokio::select! {
            biased;
            happened = happens => Ok(happened),
            error = self.over() => Err(error),
        }
    }

    /// Waits for the end of the session, which nobody here asked for, and says why it ended.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing.
    pub(crate) async fn over(&mut self) -> anyhow::Error {
        match self.session.join_next().await {
            Some(Ok(ended)) => over(&ended, self.shown),
            Some(Err(panicked)) => panicked.into(),
            None => anyhow!("the session is over"),
        }
    }

    /// Why the session ended if it has, or else `error`: what belonged to a session ends with it.
    pub(crate) async fn blame(&mut self, error: anyhow::Error) -> anyhow::Error {
        tokio::select! {
            biased;
            ended = self.over() => ended,
            // A session that has ended is found out within a turn of the runtime.
            () = tokio::task::yield_now() => error,
        }
    }

    /// Why a track ended before its time.
    pub(crate) async fn ended(&mut self, path: &Path, name: &str, code: CloseCode) -> anyhow::Error {
        if is_missing(code) {
            return Failure::NoTrack { broadcast: path.clone(), track: name.to_owned() }.into();
        }
        self.blame(anyhow!("the track ended before its time (code {code})")).await
    }

    /// Ends the session once the relay has read what was sent.
    pub(crate) async fn farewell(self) {
        let round_trip = self.connection.stats().rtt.unwrap_or_default();
        sleep(FAREWELL + 2 * round_trip).await;
        self.leave().await;
    }

    /// Ends the session.
    pub(crate) async fn leave(mut self) {
        self.closer.close(close::session::NO_ERROR, "bye");
        while self.session.join_next().await.is_some() {}
    }
}

/// Why a session is over that nobody here ended.
fn over(ended: &Result<(), session::Error>, shown: bool) -> anyhow::Error {
    match ended {
        Ok(()) => anyhow!("the relay ended the session"),
        Err(session::Error::Connection(ConnectionError::Closed { code, reason }))
            if *code == close::session::UNAUTHORIZED.get() =>
        {
            Failure::Refused { reason: reason.clone(), shown }.into()
        }
        Err(error) => anyhow!("the session is over: {error}"),
    }
}
