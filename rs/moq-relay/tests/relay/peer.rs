//! A client of the relay: our own session over our own transports, with an origin of its own.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{future::Future, time::Duration};

use bytes::Bytes;
use moq_lite::{
    model::{
        broadcast,
        cache::Budget,
        demand::Ask,
        origin::{self, Change, Horizon, Origin},
        route::Route,
        track,
    },
    session::{AskedToLeave, Closer, Error, Roles, Session, random_hop},
};
use moq_native::{AnyConnection, Client, ClientConfig, ConnectError, tls::Trust};
use moq_proto::{HopId, Path, Version};
use tokio::{
    task::{JoinHandle, LocalSet},
    time::timeout,
};

use crate::process::{PATIENCE, Relay};

/// Bytes of groups that a peer keeps at most, of one broadcast a quarter: half a minute of what the tests send fastest.
const BUDGET: u64 = 512 << 20;

/// How a client reaches the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Over {
    WebTransport,
    Quic,
    WebSocket,
    /// WebSocket with TLS.
    Wss,
    Tcp,
    Unix,
}

impl Over {
    /// Every one there is, for a relay that is started [`wide`](crate::process::wide).
    pub(crate) const ALL: [Self; 6] = [Self::WebTransport, Self::Quic, Self::WebSocket, Self::Wss, Self::Tcp, Self::Unix];

    /// Whether the path comes with SETUP, and a refusal as the end of the session.
    pub(crate) fn is_raw(self) -> bool {
        matches!(self, Self::Quic | Self::Tcp | Self::Unix)
    }

    pub(crate) fn url(self, relay: &Relay, path: &str) -> url::Url {
        let url = match self {
            Self::WebTransport => format!("https://{}{path}", relay.udp),
            Self::Quic => format!("moqt://{}{path}", relay.udp),
            Self::WebSocket => format!("ws://{}{path}", relay.http()),
            Self::Wss => format!("wss://{}{path}", relay.https.unwrap()),
            Self::Tcp => format!("tcp://{}", relay.tcp.unwrap()),
            Self::Unix => format!("unix://{}", relay.unix()),
        };
        url.parse().unwrap()
    }
}

/// Runs a story with tasks that end with it; sessions stay on their thread.
pub(crate) fn story(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, story);
}

/// What must come soon, or the test has failed.
pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    timeout(PATIENCE, happens).await.unwrap_or_else(|_| panic!("never happened: {what}"))
}

/// Waits for what no event tells.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    soon(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// One end of a session with the relay.
pub(crate) struct Peer {
    pub(crate) version: Version,
    pub(crate) closer: Closer<AnyConnection>,
    /// Hears when the relay asks it to leave.
    pub(crate) asked: AskedToLeave,
    origin: Origin,
    budget: Budget,
    session: JoinHandle<Result<(), Error>>,
}

impl Peer {
    /// Connects to `path` at the relay.
    pub(crate) async fn join(relay: &Relay, over: Over, version: Version, path: &str) -> Self {
        Self::try_join(relay, over, &[version], path).await.unwrap()
    }

    pub(crate) async fn try_join(relay: &Relay, over: Over, versions: &[Version], path: &str) -> Result<Self, ConnectError> {
        let mut config = ClientConfig::default();
        config.trust = Trust::Fingerprints(vec![relay.get("/certificate.sha256").body.parse().unwrap()]);
        config.protocols = versions.iter().map(|version| version.alpn().to_owned()).collect();
        config.websocket_after = None;
        Self::open(config, &over.url(relay, path), path, versions).await
    }

    /// Connects to `url` as `config` says.
    pub(crate) async fn dial(config: ClientConfig, url: &url::Url, versions: &[Version]) -> Result<Self, ConnectError> {
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        Self::open(config, url, path, versions).await
    }

    /// `path`: what SETUP says where the transport does not; a URL writes it in its own way.
    async fn open(config: ClientConfig, url: &url::Url, path: &str, versions: &[Version]) -> Result<Self, ConnectError> {
        let connection = Client::new(config).unwrap().connect(url).await?;
        let mut session = Session::connect(connection, versions).await.unwrap();
        if ["moqt", "tcp", "unix"].contains(&url.scheme()) {
            session.set_request_target(path.to_owned());
        }
        Ok(Self::run(session))
    }

    /// Runs a session from either end, with an origin of its own.
    pub(crate) fn run(session: Session<AnyConnection>) -> Self {
        Self::run_as(session, random_hop())
    }

    /// The same under this name.
    pub(crate) fn run_as(session: Session<AnyConnection>, hop: HopId) -> Self {
        let (version, closer, asked) = (session.version(), session.closer(), session.asked_to_leave());
        let (origin, budget) = (Origin::new(hop), Budget::new(BUDGET));
        let (horizon, root) = (Horizon::new(), Path::root());
        let roles = Roles {
            inbound: Some(origin.producer(root.clone(), vec![root.clone()], horizon.clone())),
            outbound: Some(origin.consumer(root.clone(), vec![root], horizon)),
            budget: budget.clone(),
            ..Roles::new(hop)
        };
        let session = tokio::task::spawn_local(session.run(roles));
        Self { version, closer, asked, origin, budget, session }
    }

    /// Announces a broadcast with one track, `video`.
    pub(crate) fn publish(&self, path: &str) -> Published {
        self.publish_as(path, Route::local())
    }

    /// The same for one that came by this route.
    pub(crate) fn publish_as(&self, path: &str, route: Route) -> Published {
        self.publish_with(path, route, track::Info::default())
    }

    /// The same with a track like this.
    pub(crate) fn publish_with(&self, path: &str, route: Route, info: track::Info) -> Published {
        let broadcast = broadcast::Producer::new(self.budget.account());
        let video = broadcast.create_track("video", info).unwrap();
        let here = self.origin.producer(Path::root(), vec![Path::root()], Horizon::new());
        let publication = here.publish(&path.parse().unwrap(), route, broadcast.consume()).unwrap();
        Published { video, broadcast, _publication: publication }
    }

    /// Watches the track `video` of a broadcast, from its newest group on.
    pub(crate) async fn watch(&self, path: &str) -> track::Subscription {
        self.watch_as(path, Ask::default()).await
    }

    /// The same for another part of it.
    pub(crate) async fn watch_as(&self, path: &str, ask: Ask) -> track::Subscription {
        let view = self.view();
        let broadcast = soon(path, view.consume_wait(&path.parse().unwrap())).await;
        soon("the track", broadcast.track("video")).await.unwrap().subscribe(ask)
    }

    /// What this peer has heard of.
    pub(crate) fn view(&self) -> origin::Consumer {
        self.origin.consumer(Path::root(), vec![Path::root()], Horizon::new())
    }

    /// Waits until it hears of a broadcast, and returns its path; or, if that comes first, how the session ended.
    pub(crate) async fn hears(&mut self) -> Result<Path, Result<(), Error>> {
        let mut announced = self.view().announced(&Path::root(), true);
        let news = async {
            loop {
                match announced.next().await {
                    Some(Change::Start { path, .. }) => return path,
                    Some(_) => {}
                    None => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            path = news => Ok(path),
            ended = soon("news, or the end of the session", &mut self.session) => Err(ended.unwrap()),
        }
    }

    /// The ways it knows to a broadcast, best first.
    pub(crate) fn routes(&self, path: &Path) -> Vec<Route> {
        self.origin.routes(path)
    }

    /// Ends the session as a program does that forgets about it.
    pub(crate) fn vanish(self) {
        self.session.abort();
    }

    /// Whether the session has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.session.is_finished()
    }

    /// Waits for the end of the session.
    pub(crate) async fn ended(self) -> Result<(), Error> {
        soon("the end of the session", self.session).await.unwrap()
    }
}

/// A broadcast, on air for as long as this is kept.
pub(crate) struct Published {
    pub(crate) video: track::Producer,
    pub(crate) broadcast: broadcast::Producer,
    _publication: origin::Publication,
}

/// The frames of the next group.
pub(crate) async fn next(groups: &mut track::Subscription) -> Vec<Bytes> {
    let group = soon("a group", groups.next()).await.expect("a group");
    soon("its frames", group.frames()).await
}

/// Long enough for what must not happen to have happened.
pub(crate) const A_WHILE: Duration = Duration::from_millis(200);
