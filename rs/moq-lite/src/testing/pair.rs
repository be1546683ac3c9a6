//! Sessions over the transport in memory: two of them, or a relay with any number of peers.
//!
//! Sessions stay on their thread, so stories run inside [`story`].

use std::{cell::RefCell, future::Future, rc::Rc};

use moq_proto::{HopId, Path, Version};
use tokio::task::{JoinHandle, LocalSet};

use super::memory;
use crate::{
    model::{
        broadcast,
        cache::Budget,
        origin::{self, Horizon, Origin},
        route::Route,
        track,
    },
    session::{Closer, Error, Roles, Session, fanout, random_hop},
    stats::Stats,
};

/// Runs `story` once for every version, each on its own set of local tasks.
pub async fn each_version<F: Future<Output = ()>>(story: impl Fn(Version) -> F) {
    for &version in Version::ALL {
        self::story(story(version)).await;
    }
}

/// Runs `story` with tasks of its own, which end with it.
pub async fn story(story: impl Future<Output = ()>) {
    LocalSet::new().run_until(story).await;
}

/// How the transport is made for a version.
pub fn options(version: Version) -> memory::Options {
    memory::Options { protocol: Some(version.alpn().into()), ..memory::Options::default() }
}

/// A publisher and a viewer, with nobody between.
pub struct Pair {
    pub publisher: Peer,
    pub viewer: Peer,
}

impl Pair {
    pub async fn connect(version: Version) -> Self {
        let (there, here) = memory::connect(options(version));
        let (publisher, viewer) = tokio::join!(
            Peer::start(Side::Client, there, version, HopId::try_from(0xa11ce).expect("in range")),
            Peer::start(Side::Server, here, version, HopId::try_from(0xb0b).expect("in range")),
        );
        Self { publisher, viewer }
    }
}

/// An origin that any number of peers share.
pub struct Relay {
    pub origin: Origin,
    pub stats: Stats,
    hop: HopId,
    budget: Budget,
    fanout: fanout::Handle<memory::Connection>,
    tasks: RefCell<Vec<JoinHandle<()>>>,
}

impl Relay {
    pub fn new() -> Rc<Self> {
        Self::with_budget(Budget::new(1 << 30))
    }

    pub fn with_budget(budget: Budget) -> Rc<Self> {
        let hop = HopId::try_from(0x4e1a7).expect("in range");
        let stats = Stats::default();
        let (fanout, handle) = fanout::Fanout::new(stats.clone());
        let turns = tokio::task::spawn_local(fanout.run());
        Rc::new(Self { origin: Origin::new(hop), stats, hop, budget, fanout: handle, tasks: RefCell::new(vec![turns]) })
    }

    /// A new peer of the relay, over a connection of its own.
    pub async fn join(&self, version: Version) -> Peer {
        self.join_over(version, options(version)).await
    }

    /// As [`join`](Self::join), over a transport made to order.
    pub async fn join_over(&self, version: Version, options: memory::Options) -> Peer {
        self.join_as(version, options, random_hop()).await
    }

    /// As [`join_over`](Self::join_over), under a name of its own: peers of one name publish the same.
    pub async fn join_as(&self, version: Version, options: memory::Options, hop: HopId) -> Peer {
        let (there, here) = memory::connect(options);
        let (peer, _) = tokio::join!(Peer::start(Side::Client, there, version, hop), self.serve(here, version));
        peer
    }

    /// Serves whoever is at the other end, until what is returned ends it, or the peer does.
    pub async fn serve(&self, here: memory::Connection, version: Version) -> Closer<memory::Connection> {
        let session = Session::accept(here, &[version]).await.expect("a version in common");
        let horizon = Horizon::new();
        let root = Path::root();
        let roles = Roles {
            inbound: Some(self.origin.producer(root.clone(), vec![root.clone()], horizon.clone())),
            outbound: Some(self.origin.consumer(root.clone(), vec![root], horizon)),
            fanout: Some(self.fanout.clone()),
            budget: self.budget.clone(),
            stats: self.stats.clone(),
            ..Roles::new(self.hop)
        };
        let closer = session.closer();
        let task = tokio::task::spawn_local(async move {
            let _ = session.run(roles).await;
        });
        self.tasks.borrow_mut().push(task);
        closer
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.tasks.borrow().iter().for_each(JoinHandle::abort);
    }
}

enum Side {
    Client,
    Server,
}

/// One end of a session, with an origin of its own: what it publishes, and what it hears of.
pub struct Peer {
    pub version: Version,
    pub connection: memory::Connection,
    pub closer: Closer<memory::Connection>,
    pub origin: Origin,
    budget: Budget,
    ended: JoinHandle<Result<(), Error>>,
}

impl Peer {
    async fn start(side: Side, connection: memory::Connection, version: Version, hop: HopId) -> Self {
        let session = match side {
            Side::Client => Session::connect(connection.clone(), &[version]).await,
            Side::Server => Session::accept(connection.clone(), &[version]).await,
        };
        let session = session.expect("a version in common");
        assert_eq!(session.version(), version);
        let closer = session.closer();
        let origin = Origin::new(hop);
        let (horizon, root, budget) = (Horizon::new(), Path::root(), Budget::new(1 << 30));
        let roles = Roles {
            inbound: Some(origin.producer(root.clone(), vec![root.clone()], horizon.clone())),
            outbound: Some(origin.consumer(root.clone(), vec![root], horizon)),
            budget: budget.clone(),
            ..Roles::new(hop)
        };
        let ended = tokio::task::spawn_local(session.run(roles));
        Self { version, connection, closer, origin, budget, ended }
    }

    /// Announces a broadcast of this peer's own.
    pub fn publish(&self, path: &str) -> Published {
        self.announce(path, broadcast::Producer::new(self.budget.account()))
    }

    /// Announces one for everything below its path as well.
    pub fn publish_prefix(&self, path: &str) -> Published {
        self.announce(path, broadcast::Producer::for_prefix(self.budget.account()))
    }

    fn announce(&self, path: &str, producer: broadcast::Producer) -> Published {
        let path = Path::new(path).expect("a path");
        let here = self.origin.producer(Path::root(), vec![Path::root()], Horizon::new());
        let publication = here.publish(&path, Route::local(), producer.consume()).expect("allowed");
        Published { producer, _publication: publication }
    }

    /// Waits until the broadcast is announced to this peer.
    pub async fn consume(&self, path: &str) -> broadcast::Consumer {
        let path = Path::new(path).expect("a path");
        self.view().consume_wait(&path).await
    }

    /// What this peer has heard of.
    pub fn view(&self) -> origin::Consumer {
        self.origin.consumer(Path::root(), vec![Path::root()], Horizon::new())
    }

    /// Waits for the end of this peer's session.
    pub async fn ended(self) -> Result<(), Error> {
        self.ended.await.expect("no panic")
    }
}

/// A broadcast for as long as this is kept.
pub struct Published {
    producer: broadcast::Producer,
    _publication: origin::Publication,
}

impl Published {
    pub fn create_track(&self, name: &str) -> track::Producer {
        self.producer.create_track(name, track::Info::default()).expect("a new name")
    }

    pub fn broadcast(&self) -> &broadcast::Producer {
        &self.producer
    }
}
