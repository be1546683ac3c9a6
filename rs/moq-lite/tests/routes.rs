//! Announcements, heard and told: what a route costs, through whom it leads, who must not have it, and when it is over.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use bare::{Peer, Server, everything, hop, path, read, reset, settle, soon, write};
use bytes::{Buf, BufMut, BytesMut};
use futures::FutureExt;
use moq_lite::{
    model::{
        broadcast,
        origin::{Horizon, Publication},
        route::Route,
    },
    testing::{
        memory::{RecvStream, SendStream},
        pair::{self, each_version, story},
    },
    transport::SendStream as _,
};
use moq_proto::{
    Cost, HopChain, HopId, Path, Prefix, VarInt, Version, close,
    lite::{
        self,
        message::{Announce, AnnounceOk, AnnounceRequest, Setup},
    },
};

/// What the peers here call themselves.
const PEER: u64 = 7;

fn chain(hops: &[u64]) -> HopChain {
    HopChain::try_from_iter(hops.iter().map(|id| if *id == 0 { HopId::UNKNOWN } else { hop(*id) })).unwrap()
}

fn start(suffix: &str, hops: &[u64], cost: Cost) -> Announce {
    Announce::Start { suffix: path(suffix), hops: chain(hops), cost }
}

fn update(id: u32, hops: &[u64], cost: Cost) -> Announce {
    Announce::Update { id: VarInt::from_u32(id), hops: chain(hops), cost }
}

fn end(id: u32) -> Announce {
    Announce::End { id: VarInt::from_u32(id) }
}

fn active(suffix: &str, hops: &[u64]) -> Announce {
    Announce::Active { suffix: path(suffix), hops: chain(hops) }
}

/// The stream on which the session asked a peer what it has, past what comes before the announcements.
async fn on_air(peer: &mut Peer) -> (SendStream, RecvStream) {
    let (mut send, recv) = peer.bare.accept_bi().await;
    if let Some(layout) = &peer.version.dialect().announce_ok {
        write(&mut send, &layout.to_wire(&AnnounceOk { hop: hop(PEER), active: VarInt::ZERO })).await;
    }
    (send, recv)
}

async fn say(peer: &Peer, stream: &mut SendStream, messages: &[Announce]) {
    let mut wire = BytesMut::new();
    messages.iter().for_each(|message| wire.put(peer.version.dialect().announce.to_wire(message)));
    write(stream, &wire).await;
    settle().await;
}

fn routes(server: &Server, broadcast: &str) -> Vec<Route> {
    server.origin.routes(&path(broadcast))
}

fn is_routed(server: &Server, broadcast: &str) -> bool {
    !routes(server, broadcast).is_empty()
}

// ---- heard ----

#[tokio::test(start_paused = true)]
async fn a_route_costs_what_was_announced_and_the_link_to_who_announced_it() {
    let max = VarInt::MAX.get();
    let cases = [(Some(5), (8, 105), (25, 205)), (None, (4, 101), (21, 201)), (Some(0), (3, 100), (20, 200))];
    for (link, first, then) in cases.into_iter().chain([(Some(max), (max, max), (max, max))]) {
        story(async {
            let server = Server::new();
            let mut peer = server.join_unnamed(Version::Lite06, pair::options(Version::Lite06)).await;
            peer.introduce_as(&Setup { cost: link.map(VarInt::saturating), ..Setup::default() }).await;
            let (mut send, _recv) = on_air(&mut peer).await;
            say(&peer, &mut send, &[start("cam", &[1], Cost::new(3, 100))]).await;
            assert_eq!(routes(&server, "cam")[0].cost, Cost::new(first.0, first.1), "link of {link:?}");
            say(&peer, &mut send, &[update(0, &[1], Cost::new(20, 200))]).await;
            assert_eq!(routes(&server, "cam")[0].cost, Cost::new(then.0, then.1), "link of {link:?}, updated");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_announces_no_cost_is_chosen_by_length_alone_whatever_its_setup_says() {
    each_version(async |version| {
        if version >= Version::Lite06 {
            return;
        }
        let server = Server::new();
        let mut peer = server.join_unnamed(version, pair::options(version)).await;
        peer.introduce_as(&Setup { cost: Some(VarInt::from_u32(5)), ..Setup::default() }).await;
        let _on_air = peer.announce("cam").await;
        server.heard("cam").await;
        assert_eq!(routes(&server, "cam")[0].cost, Cost::UNPRICED, "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_announce_stream_that_ends_takes_its_routes_along_and_nothing_else() {
    let ways: [fn(&mut SendStream); 2] = [|send| send.finish().unwrap(), |send| send.reset(0)];
    each_version(async |version| {
        for way in ways {
            let server = Server::new();
            let mut peer = server.join(version).await;
            let (mut send, _recv) = peer.announce("cam").await;
            server.heard("cam").await;
            way(&mut send);
            settle().await;
            assert!(!is_routed(&server, "cam"), "{version}");
            // Its session goes on.
            let video = server.track("video");
            bare::publish(&video, 0);
            let _subscription = peer.subscribe(0, "video", everything()).await;
            assert!(peer.group().await.is_some(), "{version}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_route_that_leads_back_here_is_not_used_until_an_update_leads_elsewhere() {
    let own = 0x4e1a7;
    // Through us, and twice through the peer.
    for round in [&[1, own, 2][..], &[1, PEER]] {
        for version in [Version::Lite05, Version::Lite06] {
            story(async {
                let server = Server::new();
                assert_eq!(server.origin.id().get(), own);
                let mut peer = server.join(version).await;
                let (mut send, _recv) = on_air(&mut peer).await;
                let (first, then): (_, fn(&[u64]) -> Announce) = match version {
                    Version::Lite05 => (active("cam", round), |hops| active("cam", hops)),
                    _ => (start("cam", round, Cost::LIVE), |hops| update(0, hops, Cost::LIVE)),
                };
                say(&peer, &mut send, &[first]).await;
                assert!(!is_routed(&server, "cam"), "{version}: {round:?}");
                for hops in [&[1][..], round, &[1, 2]] {
                    say(&peer, &mut send, &[then(hops)]).await;
                    assert_eq!(is_routed(&server, "cam"), hops != round, "{version}: {hops:?} after {round:?}");
                }
                assert!(!peer.bare.served.is_finished(), "{version}");
            })
            .await;
        }
    }
}

/// As long as a chain may be.
#[tokio::test(start_paused = true)]
async fn a_chain_that_is_full_with_its_sender_is_used_and_a_longer_one_is_kept_out_until_it_is_shorter() {
    let hops: Vec<u64> = (1001..=1032).collect();
    for version in [Version::Lite05, Version::Lite06] {
        story(async {
            let server = Server::new();
            let mut peer = server.join(version).await;
            let (mut send, _recv) = on_air(&mut peer).await;
            let (first, then): (_, fn(&[u64]) -> Announce) = match version {
                Version::Lite05 => (active("cam", &hops), |hops| active("cam", hops)),
                _ => (start("cam", &hops, Cost::LIVE), |hops| update(0, hops, Cost::LIVE)),
            };
            say(&peer, &mut send, &[first]).await;
            assert!(!is_routed(&server, "cam"), "{version}: 33 with the sender");
            say(&peer, &mut send, &[then(&hops[..31])]).await;
            assert_eq!(routes(&server, "cam")[0].hops.len(), 32, "{version}");
            assert!(!peer.bare.served.is_finished(), "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn announcements_are_counted_whether_they_are_used_or_not_and_unknown_ones_are_not_counted() {
    story(async {
        let server = Server::new();
        let mut peer = server.join(Version::Lite06).await;
        let (mut send, _recv) = on_air(&mut peer).await;
        say(&peer, &mut send, &[start("loop", &[1, 0x4e1a7], Cost::LIVE), start("first", &[1], Cost::LIVE)]).await;
        // A type that nobody knows, of three bytes.
        write(&mut send, &[9, 3, 0, 0, 0]).await;
        say(&peer, &mut send, &[start("second", &[1], Cost::LIVE), end(1)]).await;
        assert!(!is_routed(&server, "first") && is_routed(&server, "second"));
        // Ids are not used again.
        say(&peer, &mut send, &[start("first", &[1], Cost::LIVE), end(2), end(0)]).await;
        assert!(is_routed(&server, "first") && !is_routed(&server, "second"));
        assert!(!peer.bare.served.is_finished());

        write(&mut send, &lite_end(0)).await;
        assert_eq!(peer.bare.closed().await.0, 3, "an id that is over");
    })
    .await;
}

fn lite_end(id: u32) -> bytes::Bytes {
    Version::Lite06.dialect().announce.to_wire(&end(id))
}

// ---- told ----

async fn listen(peer: &mut Peer, exclude: HopId) -> (SendStream, RecvStream) {
    let request = AnnounceRequest { prefix: Path::root(), exclude, hidden: false };
    let wire = peer.version.dialect().announce_request.to_wire(&request);
    peer.bare.open_bi(&[&[lite::stream::ANNOUNCE.get() as u8], &wire[..]].concat()).await
}

/// What has been announced on a stream, past what comes first.
async fn told(version: Version, stream: &mut RecvStream) -> Vec<Announce> {
    settle().await;
    let mut bytes = BytesMut::new();
    while let Some(Ok(more)) = read(stream, 1).now_or_never() {
        bytes.put(more);
    }
    let dialect = version.dialect();
    if dialect.announce_ok.is_some() && !bytes.is_empty() {
        bytes.advance(1 + usize::from(bytes[0]));
    }
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let mut prefix = Prefix::new(&bytes);
        let kind = dialect.announce.is_typed().then(|| prefix.varint().unwrap());
        let (size, head) = (prefix.varint().unwrap().get() as usize, prefix.consumed());
        messages.push(dialect.announce.from_wire(kind, &bytes[head..][..size]).unwrap());
        bytes.advance(head + size);
    }
    messages
}

/// Announces something that came over these hops.
fn learned(server: &Server, at: &str, hops: &[u64], cost: Cost) -> (broadcast::Producer, Publication) {
    let broadcast = broadcast::Producer::new(server.budget.account());
    let door = server.origin.producer(Path::root(), vec![Path::root()], Horizon::new());
    let route = Route { hops: chain(hops), cost, local: false };
    let publication = door.publish(&path(at), route, broadcast.consume()).unwrap();
    (broadcast, publication)
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_told_as_each_version_has_it_and_costs_as_they_are() {
    let (own, cost) = (0x4e1a7, Cost::new(8, 105));
    for version in [Version::Lite03, Version::Lite04, Version::Lite05, Version::Lite06] {
        story(async {
            let server = Server::new();
            let _cam = learned(&server, "cam", &[5, 6], cost);
            let mut viewer = server.join(version).await;
            let (_send, mut recv) = listen(&mut viewer, HopId::UNKNOWN).await;
            let mut announced = told(version, &mut recv).await;
            announced.sort_by_key(|message| format!("{message:?}").contains("room"));
            let expected = match version {
                Version::Lite03 => [active("cam", &[0, 0, 0]), active("room", &[0])],
                Version::Lite04 => [active("cam", &[5, 6, own]), active("room", &[own])],
                Version::Lite05 => [active("cam", &[5, 6]), active("room", &[])],
                _ => [start("cam", &[5, 6], cost), start("room", &[], Cost::LIVE)],
            };
            assert_eq!(announced, expected, "{version}");
        })
        .await;
    }
}

/// Those who are told with us in the chain have no room for another; those who know us by our answer may have.
#[tokio::test(start_paused = true)]
async fn a_full_chain_is_told_where_we_are_no_part_of_it() {
    for version in [Version::Lite03, Version::Lite04, Version::Lite05, Version::Lite06] {
        story(async {
            let server = Server::new();
            let _far = learned(&server, "far", &Vec::from_iter(1..=32), Cost::LIVE);
            let mut viewer = server.join(version).await;
            let (_send, mut recv) = listen(&mut viewer, HopId::UNKNOWN).await;
            let announced = format!("{:?}", told(version, &mut recv).await);
            assert_eq!(announced.contains("far"), version >= Version::Lite05, "{version}: {announced}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_says_who_we_are_and_how_many_announcements_follow() {
    for version in [Version::Lite05, Version::Lite06] {
        story(async {
            let server = Server::new();
            let _cam = learned(&server, "cam", &[5], Cost::LIVE);
            let mut viewer = server.join(version).await;
            let (_send, mut recv) = listen(&mut viewer, HopId::UNKNOWN).await;
            let answer = soon("an answer", read(&mut recv, 1)).await.unwrap();
            let size = usize::from(answer[0]);
            let ok = version.dialect().announce_ok.as_ref().unwrap().decode(&answer[1..=size]).unwrap();
            assert_eq!((ok.hop, ok.active.get()), (server.origin.id(), 2), "{version}: the room and the camera");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_told_and_given_nothing_that_came_through_it_wherever_it_names_itself() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Named {
        InRequest,
        InSetup,
    }
    let cases = [
        (Version::Lite04, Named::InRequest),
        (Version::Lite05, Named::InRequest),
        (Version::Lite05, Named::InSetup),
        (Version::Lite06, Named::InSetup),
    ];
    for (version, named) in cases {
        story(async {
            let server = Server::new();
            let _ring = learned(&server, "ring", &[5, PEER], Cost::LIVE);
            let _other = learned(&server, "other", &[5, PEER + 1], Cost::LIVE);
            let mut peer = server.join_unnamed(version, pair::options(version)).await;
            let exclude = if named == Named::InRequest { hop(PEER) } else { HopId::UNKNOWN };
            let (_send, mut recv) = listen(&mut peer, exclude).await;
            let mut announced = told(version, &mut recv).await;
            if named == Named::InSetup {
                assert_eq!(announced, [], "{version}: nobody knows yet who asks");
                peer.introduce(hop(PEER)).await;
                announced = told(version, &mut recv).await;
            } else {
                peer.introduce(HopId::UNKNOWN).await;
            }
            let announced = format!("{announced:?}");
            assert!(announced.contains("other") && !announced.contains("ring"), "{version} {named:?}: {announced}");

            let (_send, mut recv) = peer.subscribe_to("ring", 0, "video", everything()).await;
            assert_eq!(reset(&mut recv).await, Some(close::stream::UNROUTABLE.get()), "{version} {named:?}");
        })
        .await;
    }
}

/// Older peers leave out what came through us by the name we say when we ask.
#[tokio::test(start_paused = true)]
async fn whoever_is_asked_is_told_who_asks() {
    for (version, expected) in [(Version::Lite04, true), (Version::Lite05, true), (Version::Lite06, false)] {
        story(async {
            let server = Server::new();
            let mut peer = server.join(version).await;
            let (_send, mut recv) = peer.bare.accept_bi().await;
            let request = soon("a request", read(&mut recv, 2)).await.unwrap();
            let request = version.dialect().announce_request.decode(&request[2..]).unwrap();
            let name = if expected { server.origin.id() } else { HopId::UNKNOWN };
            assert_eq!(request.exclude, name, "{version}");
        })
        .await;
    }
}
