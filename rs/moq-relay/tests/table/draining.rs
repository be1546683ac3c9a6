//! The relay is told to end: it asks whom it can to leave, serves everybody until they have, and closes whoever stays.

use std::time::{Duration, Instant};

use moq_lite::{session::Error, transport::ConnectionError};
use moq_proto::{Version, close};

use crate::{
    lanes::{Skill, can},
    media::{publish, receive},
    peer::{A_WHILE, Over, Peer, Published, soon, story},
    process::{OPEN, Relay, wide},
};

/// A publisher and a viewer of the same version, with a broadcast between them.
struct Lane {
    publisher: Peer,
    viewer: Peer,
    room: Published,
    groups: moq_lite::model::track::Subscription,
}

impl Lane {
    async fn open(relay: &Relay, over: Over, version: Version) -> Self {
        let publisher = Peer::join(relay, over, version, "/").await;
        let viewer = Peer::join(relay, over, version, "/").await;
        let room = publisher.publish(version.name());
        let groups = viewer.watch(version.name()).await;
        let mut lane = Self { publisher, viewer, room, groups };
        lane.sends().await;
        lane
    }

    /// A group goes through, whole.
    async fn sends(&mut self) {
        let sequence = publish(&self.room.video, 1);
        receive(&mut self.groups, 1, sequence).await;
    }
}

/// A relay that gives its peers this long, and a lane of each version, over this.
async fn begin(over: Over, patience: &str) -> (Relay, Vec<Lane>) {
    let relay = Relay::patient(&format!("{}[log]\nlevel = \"debug\"\n", wide(OPEN)), patience);
    let mut lanes = Vec::new();
    for version in Version::ALL {
        lanes.push(Lane::open(&relay, over, *version).await);
    }
    (relay, lanes)
}

/// All are served until they leave, and the relay ends when they have.
fn leave(over: Over) {
    story(async {
        let (mut relay, mut lanes) = begin(over, "1m").await;
        let began = Instant::now();
        relay.signal("TERM");
        for peer in lanes.iter_mut().flat_map(|lane| [&mut lane.publisher, &mut lane.viewer]) {
            if can(peer.version, Skill::GoAway) {
                assert_eq!(soon("GOAWAY", peer.asked.wait()).await.uri(), "", "{over:?} {}", peer.version);
            }
        }
        for lane in &mut lanes {
            let version = lane.viewer.version;
            if !can(version, Skill::GoAway) {
                let asked = tokio::time::timeout(A_WHILE / 4, lane.viewer.asked.wait()).await;
                assert!(asked.is_err(), "{over:?} {version} knows no GOAWAY");
            }
            for _ in 0..3 {
                lane.sends().await;
            }
            // What is asked for now is served too.
            let another = lane.publisher.publish(&format!("{version}/another"));
            let mut groups = lane.viewer.watch(&format!("{version}/another")).await;
            let sequence = publish(&another.video, 2);
            receive(&mut groups, 2, sequence).await;
        }
        for lane in lanes {
            for peer in [lane.viewer, lane.publisher] {
                assert!(!peer.is_over(), "{over:?} {}", peer.version);
                peer.closer.close(close::session::NO_ERROR, "moved");
                peer.ended().await.unwrap();
            }
        }
        assert_eq!(relay.wait().code(), Some(0), "{}", relay.log());
        assert!(began.elapsed() < Duration::from_secs(30), "{over:?}: {:?}", began.elapsed());
        let log = relay.log();
        assert!(log.contains(": drained lasted=") && log.contains(" sessions=12 forced=0"), "{log}");
        assert!(log.contains("\"moq_relay_drain_forced_total\" value=0"), "{log}");
    });
}

/// Whoever stays is closed in the end.
fn stay(over: Over) {
    story(async {
        let (mut relay, lanes) = begin(over, "700ms").await;
        let began = Instant::now();
        relay.signal("TERM");
        for lane in lanes {
            for peer in [lane.viewer, lane.publisher] {
                let version = peer.version;
                let reason = "goaway timeout".to_owned();
                let closed = ConnectionError::Closed { code: close::session::GOAWAY_TIMEOUT.get(), reason };
                assert_eq!(peer.ended().await, Err(Error::Connection(closed)), "{over:?} {version}");
            }
        }
        assert!(began.elapsed() >= Duration::from_millis(700), "{over:?}: {:?}", began.elapsed());
        assert_eq!(relay.wait().code(), Some(0), "{}", relay.log());
        let log = relay.log();
        assert!(
            log.contains("drained, and closed sessions that had not left") && log.contains(" sessions=12 forced=12"),
            "{log}"
        );
        assert!(log.contains("\"moq_relay_drain_forced_total\" value=12"), "{log}");
    });
}

/// A test for each transport.
macro_rules! over {
    ($($name:ident $over:ident)*) => {$(
        mod $name {
            use crate::peer::Over;

            #[test]
            fn all_are_served_until_they_leave() {
                super::leave(Over::$over);
            }

            #[test]
            fn whoever_stays_is_closed_in_the_end() {
                super::stay(Over::$over);
            }
        }
    )*};
}

over! { over_webtransport WebTransport over_quic Quic over_websocket WebSocket over_wss Wss over_tcp Tcp over_unix Unix }
