//! GOAWAY: what a session makes of a peer that is going away, and how it asks one to.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::future::poll_fn;

use bare::{Bare, Peer, Server, drain, everything, hop, path, read, reset, settle, soon, write};
use moq_lite::{
    session::{Roles, Session},
    testing::{
        memory::{self, SendStream},
        pair::{self, each_version, story},
    },
    transport::{Connection as _, SendStream as _},
};
use moq_proto::{
    Cost, HopChain, VarInt, Version,
    lite::{
        self,
        message::{Announce, Goaway, Setup},
    },
};

/// The versions that have GOAWAY.
const WITH: [Version; 3] = [Version::Lite04, Version::Lite05, Version::Lite06];

fn goaway(version: Version, uri: &str) -> Vec<u8> {
    let wire = version.dialect().goaway.as_ref().unwrap().to_wire(&Goaway { uri: uri.into() });
    [&[lite::stream::GOAWAY.get() as u8], &wire[..]].concat()
}

/// Says this on a stream of its own, and no more.
async fn say(bare: &mut Bare, bytes: &[u8]) {
    let (mut send, mut recv) = bare.open_bi(bytes).await;
    send.finish().unwrap();
    let _ = soon("the end of their half", drain(&mut recv)).await;
}

fn cost(server: &Server, broadcast: &str) -> Cost {
    server.origin.routes(&path(broadcast))[0].cost
}

/// A peer that has something on air.
async fn on_air(server: &Server, version: Version) -> (Peer, SendStream) {
    let mut peer = server.join_unnamed(version, pair::options(version)).await;
    peer.introduce_as(&Setup { cost: Some(VarInt::from_u32(5)), ..Setup::default() }).await;
    let (send, _recv) = peer.announce("cam").await;
    server.heard("cam").await;
    assert!(cost(server, "cam") < Cost::MAX, "{version}");
    (peer, send)
}

#[tokio::test(start_paused = true)]
async fn routes_of_a_peer_that_goes_away_are_the_last_resort_and_still_lead_to_it() {
    for version in WITH {
        story(async {
            let server = Server::new();
            let (mut peer, mut announcements) = on_air(&server, version).await;
            say(&mut peer.bare, &goaway(version, "https://elsewhere.example/")).await;
            settle().await;
            assert_eq!(cost(&server, "cam"), Cost::MAX, "{version}");

            // What it says of its routes from here on changes nothing about that.
            let hops = HopChain::try_from_iter([hop(1)]).unwrap();
            let layout = &version.dialect().announce;
            let more = match version {
                Version::Lite06 => {
                    let update = Announce::Update { id: VarInt::ZERO, hops: hops.clone(), cost: Cost::LIVE };
                    write(&mut announcements, &layout.to_wire(&update)).await;
                    Announce::Start { suffix: path("more"), hops, cost: Cost::LIVE }
                }
                _ => Announce::Active { suffix: path("more"), hops },
            };
            write(&mut announcements, &layout.to_wire(&more)).await;
            settle().await;
            assert_eq!([cost(&server, "cam"), cost(&server, "more")], [Cost::MAX; 2], "{version}");

            let mut viewer = server.join(version).await;
            let subscribing = viewer.subscribe_to("cam", 0, "video", everything());
            let (_watching, (id, _asked)) = tokio::join!(subscribing, peer.asked());
            peer.open_group(id, 0).await.finish().unwrap();
            assert_eq!(viewer.group().await.map(|group| group.sequence), Some(0), "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn going_away_twice_ends_the_session() {
    for version in WITH {
        story(async {
            let server = Server::new();
            let (mut peer, _announcements) = on_air(&server, version).await;
            say(&mut peer.bare, &goaway(version, "")).await;
            settle().await;
            assert!(!peer.bare.served.is_finished(), "{version}");
            let _second = peer.bare.open_bi(&goaway(version, "")).await;
            assert_eq!(peer.bare.closed().await.0, 3, "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_goaway_that_cannot_be_read_counts_for_nothing() {
    for version in WITH {
        story(async {
            let server = Server::new();
            let (mut peer, _announcements) = on_air(&server, version).await;
            let long = "x".repeat(Goaway::URI_MAX + 1);
            // A text longer than its message, one that is no text, one that is too long, and none at all.
            for bytes in [&[5, 3, 7, b'x', b'x'][..], &[5, 2, 1, 0xff], &goaway(version, &long), &[5, 9], &[5]] {
                say(&mut peer.bare, bytes).await;
            }
            settle().await;
            assert!(cost(&server, "cam") < Cost::MAX, "{version}");
            say(&mut peer.bare, &goaway(version, "")).await;
            settle().await;
            assert_eq!(cost(&server, "cam"), Cost::MAX, "{version}: the first that counts");
            assert!(!peer.bare.served.is_finished(), "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn before_04_nobody_can_say_that_it_goes_away() {
    each_version(async |version| {
        if version >= Version::Lite04 {
            return;
        }
        let server = Server::new();
        let (mut peer, _announcements) = on_air(&server, version).await;
        let (_send, mut recv) = peer.bare.open_bi(&goaway(Version::Lite04, "")).await;
        assert_eq!(reset(&mut recv).await, Some(1), "{version}");
        assert!(cost(&server, "cam") < Cost::MAX, "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_asked_to_leave_once_where_its_version_knows_how() {
    for version in Version::ALL.iter().copied().filter(|version| !version.has_legacy_setup()) {
        story(async {
            let (mut connection, here) = memory::connect(pair::options(version));
            let session = Session::accept(here, &[version]).await.unwrap();
            let closer = session.closer();
            let running = tokio::task::spawn_local(session.run(Roles::new(hop(7))));
            settle().await;
            closer.go_away("https://elsewhere.example/");
            let asked = poll_fn(|cx| connection.poll_accept_bi(cx));
            let Ok(asked) = tokio::time::timeout(bare::SOON, asked).await else {
                assert_eq!(version, Version::Lite03);
                return;
            };
            let (_send, mut recv) = asked.unwrap();
            let expected = goaway(version, "https://elsewhere.example/");
            assert_eq!(soon("GOAWAY", read(&mut recv, expected.len())).await.unwrap(), expected, "{version}");
            assert_eq!(soon("its end", drain(&mut recv)).await, Ok(()), "{version}");
            assert!(!running.is_finished(), "{version}");
        })
        .await;
    }
}
