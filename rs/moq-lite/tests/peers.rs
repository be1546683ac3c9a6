//! What shipped peers do in their own way, and what they choke on: the peer here is a bare connection that does the same.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::time::Duration;

use bare::{Bare, Peer, Server, drain, everything, hop, path, publish, read, reset, settle, soon, stopped, write};
use bytes::{BufMut, BytesMut};
use moq_lite::{
    model::{
        broadcast,
        demand::Ask,
        origin::{Horizon, Origin},
        route::Route,
        track,
    },
    session::{Roles, random_hop},
    testing::{
        memory::{RecvStream, SendStream},
        pair::{self, each_version, story},
    },
    transport::{RecvStream as _, SendStream as _},
};
use moq_proto::{
    Cost, HopChain, HopId, Path, VarInt, Version, close,
    lite::{
        self,
        message::{Announce, AnnounceOk, AnnounceRequest, Setup, SubscribeOptions, TrackRequest},
    },
};

/// What JavaScript reads of an integer.
const JAVASCRIPT_MAX: u64 = (1 << 53) - 1;

/// Asks what there is.
async fn listen(bare: &mut Bare, version: Version) -> (SendStream, RecvStream) {
    let request = AnnounceRequest { prefix: Path::root(), exclude: HopId::UNKNOWN, hidden: false };
    let wire = version.dialect().announce_request.to_wire(&request);
    bare.open_bi(&[&[lite::stream::ANNOUNCE.get() as u8], &wire[..]].concat()).await
}

/// Writes what a peer says one byte at a time, as JavaScript does on WebSocket.
async fn trickle(stream: &mut SendStream, bytes: &[u8]) {
    for byte in bytes {
        write(stream, &[*byte]).await;
        tokio::task::yield_now().await;
    }
}

/// Announces, in one write, what these messages say, on the stream where the session asked for it.
async fn announce(peer: &mut Peer, messages: &[Announce]) -> (SendStream, RecvStream) {
    let dialect = peer.version.dialect();
    let (mut send, recv) = peer.bare.accept_bi().await;
    let mut wire = BytesMut::new();
    if let Some(layout) = &dialect.announce_ok {
        wire.put(layout.to_wire(&AnnounceOk { hop: hop(7), active: VarInt::ZERO }));
    }
    messages.iter().for_each(|message| wire.put(dialect.announce.to_wire(message)));
    write(&mut send, &wire).await;
    (send, recv)
}

fn chain(hops: &[u64]) -> HopChain {
    HopChain::try_from_iter(hops.iter().copied().map(hop)).unwrap()
}

fn hops_of(origin: &Origin, broadcast: &str) -> Vec<Vec<u64>> {
    let routes = origin.routes(&path(broadcast));
    routes.iter().map(|route| route.hops.iter().map(HopId::get).collect()).collect()
}

/// `@moq/lite` and `@moq/net` 0.1 decode ids as 53 bits, and the latter up to 0.2.8 choke on a zero in ANNOUNCE_OK.
#[tokio::test(start_paused = true)]
async fn every_id_that_we_choose_is_read_exactly_by_javascript_and_none_is_zero() {
    for _ in 0..1_000 {
        let id = random_hop().get();
        assert!((1..=JAVASCRIPT_MAX).contains(&id), "{id}");
    }
    each_version(async |version| {
        let server = Server::new();
        let mut nameless = server.join(version).await;
        let _on_air = nameless.announce("cam").await;
        server.heard("cam").await;
        let ids = hops_of(&server.origin, "cam").concat();
        let stamp = ids[0];
        assert!((1..=JAVASCRIPT_MAX).contains(&stamp), "{version}: the stamp of a publisher without a name: {ids:?}");
        if let Some(layout) = &version.dialect().announce_ok {
            let mut viewer = server.join(version).await;
            let (_send, mut recv) = listen(&mut viewer.bare, version).await;
            let wire = soon("ANNOUNCE_OK", read(&mut recv, 1)).await.unwrap();
            let ok = layout.decode(&wire[1..][..usize::from(wire[0])]).unwrap();
            assert_eq!(ok.hop, server.origin.id(), "{version}");
        }
    })
    .await;
}

/// `@moq/net` 0.1.1 has ids of 62 bits, of which `@moq/lite` 0.2, that has none of its own, hears nothing more.
#[tokio::test(start_paused = true)]
async fn who_has_no_name_is_told_of_no_hop_that_javascript_cannot_read() {
    story(async {
        let (version, long) = (Version::Lite04, JAVASCRIPT_MAX + 1);
        let dialect = version.dialect();
        let server = Server::new();
        let here = server.origin.producer(Path::root(), vec![Path::root()], Horizon::new());
        let cam = broadcast::Producer::new(server.budget.account());
        let route = Route { hops: chain(&[long, JAVASCRIPT_MAX]), cost: Cost::LIVE, local: false };
        let _on_air = here.publish(&path("cam"), route, cam.consume()).unwrap();

        for (name, told) in [(0, 0), (9, long)] {
            let mut viewer = server.join(version).await;
            let request = AnnounceRequest { prefix: path("cam"), exclude: hop(name), hidden: false };
            let wire = dialect.announce_request.to_wire(&request);
            let (_send, mut recv) = viewer.bare.open_bi(&[&[lite::stream::ANNOUNCE.get() as u8], &wire[..]].concat()).await;
            let hops = chain(&[told, JAVASCRIPT_MAX, server.origin.id().get()]);
            let expected = dialect.announce.to_wire(&Announce::Active { suffix: Path::root(), hops });
            let heard = soon("the announcement", read(&mut recv, expected.len())).await.unwrap();
            assert_eq!(heard[..], expected[..], "to {name}");
        }
    })
    .await;
}

/// `@moq/lite` and `@moq/net` 0.1 choke on hops behind an end.
#[tokio::test(start_paused = true)]
async fn an_announcement_that_ends_has_no_hops() {
    for version in [Version::Lite03, Version::Lite04] {
        story(async move {
            let server = Server::new();
            let mut viewer = server.join(version).await;
            let (_send, mut recv) = listen(&mut viewer.bare, version).await;
            let here = server.origin.producer(Path::root(), vec![Path::root()], Horizon::new());
            let cam = broadcast::Producer::new(server.budget.account());
            let route = Route { hops: chain(&[1, 2, 3]), cost: Cost::LIVE, local: false };
            let publication = here.publish(&path("cam"), route, cam.consume()).unwrap();
            settle().await;
            drop(publication);
            settle().await;
            let wire = soon("announcements", read(&mut recv, 1)).await.unwrap();
            assert!(wire.ends_with(b"\x06\x00\x03cam\x00"), "{version}: {wire:x?}");
        })
        .await;
    }
}

/// "For ever" does not fit JavaScript.
#[tokio::test(start_paused = true)]
async fn a_track_that_is_kept_for_ever_is_told_in_53_bits() {
    let ages = [Duration::MAX, Duration::from_millis(1 << 60)];
    for (version, max_age) in [Version::Lite05, Version::Lite06].into_iter().flat_map(|version| ages.map(|age| (version, age))) {
        story(async move {
            let server = Server::new();
            let here = server.origin.producer(Path::root(), vec![Path::root()], Horizon::new());
            let cam = broadcast::Producer::new(server.budget.account());
            let _cam = here.publish(&path("cam"), Route::local(), cam.consume()).unwrap();
            let info = track::Info { max_age, ..track::Info::default() };
            let _track = cam.create_track("catalog", info).unwrap();
            let mut viewer = server.join(version).await;
            let dialect = version.dialect();
            let request = TrackRequest { broadcast: path("cam"), track: "catalog".into() };
            let wire = dialect.track.as_ref().unwrap().to_wire(&request);
            let (_send, mut recv) = viewer.bare.open_bi(&[&[lite::stream::TRACK.get() as u8], &wire[..]].concat()).await;
            let told = soon("TRACK_INFO", read(&mut recv, 2)).await.unwrap();
            let told = dialect.track_info.as_ref().unwrap().decode(&told[1..]).unwrap();
            assert_eq!(told.max_age.get(), JAVASCRIPT_MAX, "{version}");
        })
        .await;
    }
}

/// SETUP and announcements are streams of their own, so either may come first.
#[tokio::test(start_paused = true)]
async fn what_a_link_costs_counts_also_when_it_is_told_after_the_announcement() {
    story(async {
        let server = Server::new();
        let mut late = server.join_unnamed(Version::Lite06, pair::options(Version::Lite06)).await;
        let start = Announce::Start { suffix: path("cam"), hops: chain(&[1]), cost: Cost::new(3, 4) };
        let _announced = announce(&mut late, &[start]).await;
        settle().await;
        let setup = Setup { hop: hop(7), cost: Some(VarInt::from_u32(100)), ..Setup::default() };
        late.introduce_as(&setup).await;
        settle().await;
        let costs: Vec<Cost> = server.origin.routes(&path("cam")).iter().map(|route| route.cost).collect();
        assert_eq!(costs, [Cost::new(103, 104)]);
    })
    .await;
}

/// `moq-net` 0.3.0 says END and START where later ones say UPDATE.
#[tokio::test(start_paused = true)]
async fn a_route_may_change_by_an_end_and_a_start_or_by_an_update() {
    story(async {
        let server = Server::new();
        let start = |hops: &[u64]| Announce::Start { suffix: path("cam"), hops: chain(hops), cost: Cost::LIVE };
        let mut old = server.join(Version::Lite06).await;
        let replaced = [start(&[1, 2]), Announce::End { id: VarInt::ZERO }, start(&[1])];
        let _announced = announce(&mut old, &replaced).await;
        settle().await;
        assert_eq!(hops_of(&server.origin, "cam"), [[1, 7]]);
        assert!(!old.bare.served.is_finished());

        let server = Server::new();
        let mut new = server.join(Version::Lite06).await;
        let update = Announce::Update { id: VarInt::ZERO, hops: chain(&[1]), cost: Cost::LIVE };
        let _announced = announce(&mut new, &[start(&[1, 2]), update]).await;
        settle().await;
        assert_eq!(hops_of(&server.origin, "cam"), [[1, 7]]);
    })
    .await;
}

/// `moq-net` 0.2 says "active" again; and `active count` is not believed by anybody.
#[tokio::test(start_paused = true)]
async fn active_said_again_replaces_the_route_on_05() {
    story(async {
        let server = Server::new();
        let mut peer = server.join(Version::Lite05).await;
        let active = |hops: &[u64]| Announce::Active { suffix: path("cam"), hops: chain(hops) };
        let _announced = announce(&mut peer, &[active(&[1, 2]), active(&[1])]).await;
        settle().await;
        assert_eq!(hops_of(&server.origin, "cam"), [[1, 7]]);
        assert!(!peer.bare.served.is_finished());
    })
    .await;
}

/// `moq-net` 0.3 writes its parameters in random order.
#[test]
fn setup_is_read_in_any_order() {
    let params: [&[u8]; 3] = [&[1, 1, 1], b"\x02\x05/room", &[5, 2, 0x41, 0x02]];
    let expected =
        Setup { path: Some("/room".into()), hop: hop(0x102), probe: lite::message::ProbeLevel::Report, ..Setup::default() };
    for version in [Version::Lite05, Version::Lite06] {
        let layout = version.dialect().setup.as_ref().unwrap();
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let body = [&[3][..], params[order[0]], params[order[1]], params[order[2]]].concat();
            assert_eq!(layout.decode(&body).as_ref(), Ok(&expected), "{version} {order:?}");
        }
    }
}

/// `moq-net` opens Probe only where SETUP says that it is answered.
#[tokio::test(start_paused = true)]
async fn setup_says_that_probes_are_answered_where_the_round_trip_is_known() {
    for version in [Version::Lite05, Version::Lite06] {
        for rtt in [None, Some(std::time::Duration::from_millis(20))] {
            story(async move {
                let options = moq_lite::testing::memory::Options { rtt, ..pair::options(version) };
                let mut bare = Bare::serve(options, Version::ALL, Roles::new(hop(7)));
                let accepted =
                    std::future::poll_fn(|cx| moq_lite::transport::Connection::poll_accept_uni(&mut bare.connection, cx));
                let mut setup = soon("SETUP", accepted).await.unwrap();
                let wire = soon("all of it", read(&mut setup, 2)).await.unwrap();
                let said = version.dialect().setup.as_ref().unwrap().decode(&wire[2..]).unwrap();
                let expected = if rtt.is_some() { lite::message::ProbeLevel::Report } else { lite::message::ProbeLevel::None };
                assert_eq!(said.probe, expected, "{version}");
            })
            .await;
        }
    }
}

/// `moq-net` before 0.3.11 cannot say a start of zero; whoever can, means it.
#[tokio::test(start_paused = true)]
async fn a_start_of_zero_is_not_the_same_as_none() {
    for version in [Version::Lite03, Version::Lite04, Version::Lite05] {
        story(async move {
            let server = Server::new();
            let video = server.track("video");
            (0..3).for_each(|n| publish(&video, n));
            for (start, expected) in [(Some(VarInt::ZERO), vec![0, 1, 2]), (None, vec![2])] {
                let mut viewer = server.join(version).await;
                let options = SubscribeOptions { group_start: start, ..everything() };
                let _subscribed = viewer.subscribe(0, "video", options).await;
                assert_eq!(viewer.groups().await, expected, "{version} {start:?}");
            }
        })
        .await;
    }
}

/// A publisher or viewer in JavaScript, whose every write is its own message.
#[tokio::test(start_paused = true)]
async fn a_peer_that_says_one_byte_at_a_time_is_understood() {
    each_version(async |version| {
        let server = Server::new();
        let mut peer = server.join(version).await;
        let _on_air = peer.announce("cam").await;
        let heard = server.heard("cam").await;
        let watch = tokio::task::spawn_local(async move {
            let mut groups = heard.track("video").await.unwrap().subscribe(Ask::default());
            groups.next().await.unwrap().frames().await
        });
        let (id, _subscription) = peer.asked().await;
        let mut group = peer.open_group(id, 0).await;
        let frame: &[u8] = if version >= Version::Lite05 { b"\x00\x05hello" } else { b"\x05hello" };
        trickle(&mut group, frame).await;
        group.finish().unwrap();
        assert_eq!(soon("its frames", watch).await.unwrap(), ["hello"], "{version}");

        let video = server.track("video");
        let mut viewer = server.join(version).await;
        let options = SubscribeOptions::default();
        let request = lite::message::Subscribe { id: VarInt::ZERO, broadcast: path("room"), track: "video".into(), options };
        let (mut send, _recv) = viewer.bare.open_bi(&[]).await;
        let wire = version.dialect().subscribe.to_wire(&request);
        trickle(&mut send, &[&[lite::stream::SUBSCRIBE.get() as u8], &wire[..]].concat()).await;
        settle().await;
        publish(&video, 0);
        assert_eq!(viewer.groups().await, [0], "{version}");
    })
    .await;
}

/// A group that comes after its subscription, or for none at all, is not wanted, and nothing worse.
#[tokio::test(start_paused = true)]
async fn a_group_that_nobody_asked_for_is_stopped_alone() {
    each_version(async |version| {
        let server = Server::new();
        let mut peer = server.join(version).await;
        let mut group = peer.open_group(VarInt::from_u32(99), 0).await;
        assert_eq!(stopped(&mut group).await, Some(close::stream::CANCELLED.get()), "{version}");
        assert!(!peer.bare.served.is_finished(), "{version}");
    })
    .await;
}

/// The upstream relay unsubscribes by FIN on WebSocket, and on QUIC by a reset with a plain zero behind it.
#[tokio::test(start_paused = true)]
async fn an_end_a_reset_and_a_stop_all_unsubscribe() {
    let ways: [fn(&mut SendStream, &mut RecvStream); 4] = [
        |send, _| send.finish().unwrap(),
        |send, _| send.reset(close::stream::CANCELLED.get()),
        |send, recv| {
            send.reset(0);
            recv.stop(0);
        },
        |_, recv| recv.stop(0),
    ];
    each_version(async |version| {
        for way in ways {
            let server = Server::new();
            let video = server.track("video");
            let mut viewer = server.join(version).await;
            let (mut send, mut recv) = viewer.subscribe(0, "video", SubscribeOptions::default()).await;
            settle().await;
            assert!(video.demand().is_some(), "{version}");
            way(&mut send, &mut recv);
            settle().await;
            assert!(video.demand().is_none(), "{version}");
            assert!(!viewer.bare.served.is_finished(), "{version}");
        }
    })
    .await;
}

/// Whoever stops a stream has no more use for it, whatever its own half says.
#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_subscription_that_waits_and_announcements_and_probes() {
    each_version(async |version| {
        let server = Server::new();
        let mut publisher = server.join(version).await;
        let _on_air = publisher.announce("cam").await;
        server.heard("cam").await;
        let mut peer = server.join(version).await;
        let ended = async |what: &str, (mut send, mut recv): (SendStream, RecvStream)| {
            settle().await;
            recv.stop(0);
            assert_eq!(stopped(&mut send).await, Some(close::stream::CANCELLED.get()), "{version}: {what}");
        };
        // For a track of which its publisher says nothing.
        ended("a subscription", peer.subscribe_to("cam", 0, "video", everything()).await).await;
        ended("announcements", listen(&mut peer.bare, version).await).await;
        if version.dialect().probe.is_some() {
            ended("a probe", peer.bare.open_bi(&[lite::stream::PROBE.get() as u8]).await).await;
        }
        assert!(!peer.bare.served.is_finished(), "{version}");

        let mut stranger = Bare::serve(pair::options(version), Version::ALL, Roles::new(hop(7)));
        let mut legacy = None;
        if version.has_legacy_setup() {
            let offer = lite::legacy::ClientSetup { versions: vec![VarInt::from_u32(version.setup_code())], path: None };
            legacy = Some(stranger.open_bi(&offer.to_wire()).await);
        }
        ended("an empty set", listen(&mut stranger, version).await).await;
        drop(legacy);
    })
    .await;
}

/// `moq-net` ends the session when its announce stream is reset.
#[tokio::test(start_paused = true)]
async fn whoever_may_not_have_anything_is_announced_nothing_and_keeps_the_stream() {
    each_version(async |version| {
        let mut bare = Bare::serve(pair::options(version), Version::ALL, Roles::new(hop(7)));
        let mut legacy = None;
        if version.has_legacy_setup() {
            let offer = lite::legacy::ClientSetup { versions: vec![VarInt::from_u32(version.setup_code())], path: None };
            legacy = Some(bare.open_bi(&offer.to_wire()).await);
        }
        let (mut send, mut recv) = listen(&mut bare, version).await;
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), drain(&mut recv)).await;
        assert!(ended.is_err(), "{version}: {ended:?}");
        send.finish().unwrap();
        assert_eq!(soon("the end", drain(&mut recv)).await, Ok(()), "{version}");
        drop(legacy);
    })
    .await;
}

/// Subscribers mostly meet these codes, whatever the version; and a publisher in JavaScript resets with zero always.
#[tokio::test(start_paused = true)]
async fn refusals_carry_the_codes_of_one_table_and_a_publishers_own_code_goes_through() {
    each_version(async |version| {
        let server = Server::new();
        let mut viewer = server.join(version).await;
        let (_send, mut recv) = viewer.subscribe_to("nowhere", 0, "video", everything()).await;
        assert_eq!(reset(&mut recv).await, Some(close::stream::UNROUTABLE.get()), "{version}");

        for code in [0, 13, 77] {
            let mut publisher = server.join(version).await;
            let broadcast = format!("cam{code}");
            let _on_air = publisher.announce(&broadcast).await;
            server.heard(&broadcast).await;
            let (_send, mut recv) = viewer.subscribe_to(&broadcast, 1 + code, "nothing", everything()).await;
            let (_id, (mut refuse, _request)) = publisher.asked().await;
            refuse.reset(code);
            assert_eq!(reset(&mut recv).await, Some(code), "{version}");
        }
    })
    .await;
}

/// `@kixelated/moq` 0.9.4 writes this, and has no other way in, whatever the transport.
#[tokio::test(start_paused = true)]
async fn a_legacy_setup_with_parameters_of_an_older_draft_is_answered() {
    story(async {
        let mut bare = Bare::serve(pair::options(Version::Lite01), Version::ALL, Roles::new(hop(7)));
        let mut setup = b"\x20\x00\x22\x02\xc0\0\0\0\xff\x0d\xad\x01\xc0\0\0\0\xff\0\0\x0e".to_vec();
        setup.extend(b"\x02\x02\x01\x3f\x05\x0bmoq-lite-js");
        let (_send, mut recv) = bare.open_bi(&setup).await;
        let answer = soon("the answer", read(&mut recv, 12)).await.unwrap();
        assert_eq!(answer[..], *b"\x21\x00\x09\xc0\0\0\0\xff\x0d\xad\x01\0");
    })
    .await;
}
