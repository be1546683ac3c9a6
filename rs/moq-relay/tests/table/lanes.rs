//! The rows of the table: who publishes and who watches in which version, and what each version cannot do.

use std::{fmt, future::Future, rc::Rc};

use moq_proto::{
    Path,
    Version::{self, Lite01, Lite02, Lite03, Lite04, Lite05, Lite06},
};

use crate::{
    peer::{Over, Peer, story},
    process::{OPEN, Relay, wide},
};

/// Every version with itself, and those that meet in the field: browsers of two generations, the oldest and the newest.
const LANES: [(Version, Version); 11] = [
    (Lite01, Lite01),
    (Lite02, Lite02),
    (Lite03, Lite03),
    (Lite04, Lite04),
    (Lite05, Lite05),
    (Lite06, Lite06),
    (Lite04, Lite05),
    (Lite05, Lite04),
    (Lite01, Lite06),
    (Lite06, Lite01),
    (Lite06, Lite05),
];

/// What some versions cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skill {
    /// Say through whom an announcement came.
    NameHops,
    /// Say that a broadcast is reached another way now.
    Reroute,
    /// Say which groups are wanted, and how old they may be.
    Bound,
    /// Change what was asked for, in a running subscription.
    Update,
    /// Ask for one group, whenever it was.
    Fetch,
    /// Send a group in a datagram.
    Datagram,
    /// Ask the peer to leave.
    GoAway,
}

use Skill::{Bound, Datagram, Fetch, GoAway, NameHops, Reroute, Update};

/// Every version, with what it cannot do.
const CANNOT: [(Version, &[Skill]); 6] = [
    (Lite01, &[NameHops, Reroute, Bound, Update, Fetch, Datagram, GoAway]),
    (Lite02, &[NameHops, Reroute, Bound, Update, Fetch, Datagram, GoAway]),
    (Lite03, &[NameHops, Reroute, Fetch, Datagram, GoAway]),
    (Lite04, &[Reroute, Fetch, Datagram]),
    (Lite05, &[]),
    (Lite06, &[]),
];

pub(crate) fn can(version: Version, skill: Skill) -> bool {
    CANNOT.iter().any(|(row, cannot)| *row == version && !cannot.contains(&skill))
}

/// One telling of a story.
#[derive(Clone, Copy, Debug)]
struct Lane {
    publisher: (Over, Version),
    viewer: (Over, Version),
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |version: Version| version.name().trim_start_matches("moq-lite-");
        write!(f, "{}-to-{}", number(self.publisher.1), number(self.viewer.1))
    }
}

/// Where one lane's story is told: a relay that it shares with the others, and a corner of it that is its own.
pub(crate) struct Stage {
    relay: Rc<Relay>,
    lane: Lane,
}

impl Stage {
    pub(crate) async fn publisher(&self) -> Peer {
        self.join(self.lane.publisher).await
    }

    pub(crate) async fn viewer(&self) -> Peer {
        self.join(self.lane.viewer).await
    }

    async fn join(&self, (over, version): (Over, Version)) -> Peer {
        let peer = Peer::join(&self.relay, over, version, "/").await;
        assert_eq!(peer.version, version);
        peer
    }

    /// The path of a broadcast that no other lane has.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.lane)
    }

    /// Below which all its broadcasts are.
    pub(crate) fn corner(&self) -> Path {
        self.lane.to_string().parse().unwrap()
    }

    pub(crate) fn publisher_can(&self, skill: Skill) -> bool {
        can(self.lane.publisher.1, skill)
    }

    pub(crate) fn viewer_can(&self, skill: Skill) -> bool {
        can(self.lane.viewer.1, skill)
    }

    pub(crate) fn both_can(&self, skill: Skill) -> bool {
        self.publisher_can(skill) && self.viewer_can(skill)
    }
}

/// Tells a story in every lane over one transport. Where versions differ, so do transports: the viewer comes over the next one.
pub(crate) fn tell<F: Future<Output = ()> + 'static>(over: Over, scenario: impl Fn(Stage) -> F) {
    let relay = Rc::new(Relay::start(&wide(OPEN)));
    story(async {
        let next = Over::ALL.iter().cycle().skip_while(|one| **one != over).nth(1).copied().unwrap();
        let telling: Vec<_> = LANES
            .iter()
            .map(|&(publisher, viewer)| {
                let other = if publisher == viewer { over } else { next };
                let lane = Lane { publisher: (over, publisher), viewer: (other, viewer) };
                (lane, tokio::task::spawn_local(scenario(Stage { relay: relay.clone(), lane })))
            })
            .collect();
        let mut failed = String::new();
        for (lane, told) in telling {
            if let Err(error) = told.await {
                let panic = error.into_panic();
                let why = panic.downcast_ref::<String>().map_or_else(|| panic.downcast_ref().copied(), |why| Some(why.as_str()));
                failed += &format!("{lane}: {}\n", why.unwrap_or("it panicked"));
            }
        }
        assert!(failed.is_empty(), "{over:?}\n{failed}");
    });
}
