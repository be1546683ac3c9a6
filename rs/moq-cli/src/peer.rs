//! Peer: a session with a relay, those that follow when it is lost, and the origin that they share with a command.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use moq_lite::{
    model::{
        broadcast,
        cache::{Budget, Policy},
        origin::{self, Horizon, Origin, Publication},
        route::Route,
        track,
    },
    session::{Closer, Roles, random_hop},
};
use moq_native::{
    AnyConnection,
    reconnect::{Backoff, Place, Reconnect, State},
};
use moq_proto::{CloseCode, HopId, Path, Version, close};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    connect::Connect,
    dial::Dial,
    failure::{Failure, is_missing},
    link::{self, Link},
};

/// Bytes of groups kept, here, for all that is published or watched: minutes of video.
const CAPACITY: u64 = 256 << 20;

/// Broadcasts that are listed at most. A relay in a mesh has that many.
const NAMES_MAX: usize = 1_000_000;

/// How long nothing must be heard before everything that is on air has been: announcements follow each other at once.
const QUIET: Duration = Duration::from_millis(500);

/// What the relay gets to read what has just arrived there, before the connection that it came over is closed.
const FAREWELL: Duration = Duration::from_millis(250);

/// The wait before a lost session is followed by the first try for another, about: a relay that restarts takes that long.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The longest wait between two tries. A relay that comes back is found within it.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What a command does there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role<'a> {
    /// Publishes. Groups are kept so long behind the newest.
    Publish { keep: Duration },
    /// Hears of what is announced below this path.
    Watch(&'a Path),
}

/// One end of a session with a relay, and of those that come after it.
pub(crate) struct Peer {
    /// Of the first session.
    pub(crate) place: Place,
    /// Of the first session.
    pub(crate) version: Version,
    link: Link,
    /// Of the session there is, or was last.
    closer: Rc<RefCell<Closer<AnyConnection>>>,
    origin: Origin,
    budget: Budget,
    /// Ends with the last session.
    sessions: JoinSet<anyhow::Error>,
    /// How long it took to get here.
    took: Duration,
}

impl Peer {
    /// Connects and starts the session. Once it is lost, another is tried for as long as `patience`.
    ///
    /// # Errors
    /// When the options make no sense; when there is no relay, or it refuses.
    pub(crate) async fn connect(options: &Connect, role: Role<'_>, patience: Duration) -> anyhow::Result<Self> {
        let dial = Dial::new(options)?;
        let began = Instant::now();
        let place = dial.place.clone();
        let session = dial.session(&place).await.map_err(|error| dial.failure(error))?;
        let took = began.elapsed();

        let hop = random_hop();
        let origin = Origin::new(hop);
        let keep = if let Role::Publish { keep } = role { keep } else { Policy::default().max_age };
        let policy = Policy { capacity: CAPACITY, per_broadcast: CAPACITY, max_age: keep, ..Policy::default() };
        let budget = Budget::with_policy(policy);
        let watched = if let Role::Watch(below) = role { Some(below.clone()) } else { None };
        let roles = {
            let (origin, budget) = (origin.clone(), budget.clone());
            move || roles(&origin, hop, &budget, watched.as_ref())
        };

        let version = session.version();
        let (teller, link) = link::link(place.clone(), version);
        let closer = Rc::new(RefCell::new(session.closer()));
        let backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT, rand::random);
        let reconnect = Reconnect { origin: origin.clone(), place: place.clone(), backoff, patience };
        let mut sessions = JoinSet::new();
        let current = closer.clone();
        sessions.spawn_local(async move {
            let latest = Cell::new(version);
            let another = async |place: &Place| {
                let session = dial.session(place).await?;
                current.replace(session.closer());
                latest.set(session.version());
                Ok(session)
            };
            let mut is_first = true;
            let told = |state: State<'_>| match state {
                // It was there before anybody could be told.
                State::Connected { .. } if std::mem::take(&mut is_first) => {}
                State::Connected { place } => teller.connected(place.clone(), latest.get()),
                State::Reconnecting { lost } => {
                    teller.reconnecting(lost.map_or_else(|| "the relay ended the session".to_owned(), ToString::to_string));
                }
            };
            let lost = reconnect.run(session, another, roles, told).await;
            dial.over(lost)
        });
        Ok(Self { place, version, link, closer, origin, budget, sessions, took })
    }

    /// Whether there is a session.
    pub(crate) fn link(&self) -> Link {
        self.link.clone()
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
    /// When there is none, or there are no more sessions.
    pub(crate) async fn find(&mut self, path: &Path, name: &str, wait: Duration) -> anyhow::Result<track::Consumer> {
        let view = self.view();
        let mut patience = wait.max(self.quiet());
        loop {
            let lost = self.link.lost();
            let found = self.unless_over(timeout(patience, view.consume_wait(path))).await?;
            let Ok(broadcast) = found else {
                if self.link.is_connected() {
                    return Err(Failure::NoBroadcast(path.clone()).into());
                }
                // Nothing was to be heard meanwhile.
                let link = self.link();
                self.unless_over(link.connected()).await?;
                patience = self.quiet();
                continue;
            };
            let error = match self.unless_over(broadcast.track(name)).await? {
                Ok(track) => return Ok(track),
                Err(error) => self.ended(path, name, error.code).await,
            };
            if self.link.lost() == lost || error.is::<Failure>() {
                return Err(error);
            }
        }
    }

    /// What `happens`, unless the last session ends before.
    pub(crate) async fn unless_over<T>(&mut self, happens: impl Future<Output = T>) -> anyhow::Result<T> {
        tokio::select! {
            biased;
            happened = happens => Ok(happened),
            error = self.over() => Err(error),
        }
    }

    /// Waits until there are no more sessions, which nobody here asked for, and says why.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing.
    pub(crate) async fn over(&mut self) -> anyhow::Error {
        match self.sessions.join_next().await {
            Some(Ok(why)) => why,
            Some(Err(panicked)) => panicked.into(),
            None => anyhow!("the session is over"),
        }
    }

    /// Why there are no more sessions if that is so, or else `error`: what belonged to a session ends with it.
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
        let round_trip = self.closer.borrow().stats().rtt.unwrap_or_default();
        sleep(FAREWELL + 2 * round_trip).await;
        self.leave().await;
    }

    /// Ends the session, if there is one, and any wait for another.
    pub(crate) async fn leave(mut self) {
        // The first close is what the relay hears.
        self.closer.borrow().close(close::session::NO_ERROR, "bye");
        self.sessions.shutdown().await;
    }
}

/// What a session may do: tell what is published here or, where something is `watched`, hear of what is announced below it.
fn roles(origin: &Origin, hop: HopId, budget: &Budget, watched: Option<&Path>) -> Roles<AnyConnection> {
    let (mut roles, root, horizon) = (Roles::new(hop), Path::root(), Horizon::new());
    roles.budget = budget.clone();
    roles.limits.names = NAMES_MAX;
    match watched {
        None => roles.outbound = Some(origin.consumer(root.clone(), vec![root], horizon)),
        Some(below) => {
            let inbound = origin.producer(root, vec![below.clone()], horizon);
            roles.inbound = Some(inbound.with_limit(NAMES_MAX));
        }
    }
    roles
}
