//! What is asked for below an announced path: it is asked of whoever announced the nearest path above, by its whole name.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::{cell::RefCell, rc::Rc, sync::atomic::Ordering::Relaxed, time::Duration};

use bare::{Server, everything, path, publish, reset, settle, soon};
use moq_lite::{
    model::{
        broadcast::{self, REQUESTS_MAX, TRACKS_MAX},
        demand::Ask,
        group, track,
    },
    testing::pair::{self, Peer, Published, Relay, each_version, story},
};
use moq_proto::{HopId, Version, close};
use tokio::task::spawn_local;

/// What a publisher has for everything below its path: tracks that say where they were asked for.
struct Catalogue {
    peer: Peer,
    /// In the order they were asked for.
    tracks: Rc<RefCell<Vec<track::Producer>>>,
}

impl Catalogue {
    async fn start(relay: &Relay, version: Version, at: &str) -> Self {
        let peer = relay.join(version).await;
        let (room, tracks) = (peer.publish_prefix(at), Rc::<RefCell<Vec<_>>>::default());
        let (made, at) = (tracks.clone(), at.to_owned());
        spawn_local(async move {
            while let Some(request) = room.broadcast().requested().await {
                let said = format!("{at} {} {}", request.below(), request.name());
                let track = request.accept(kept(), now());
                (0..3).for_each(|number| track.append_group().write_all([format!("{said} {number}")]));
                made.borrow_mut().push(track);
            }
        });
        Self { peer, tracks }
    }
}

fn kept() -> track::Info {
    track::Info { max_age: Duration::from_secs(60), ..track::Info::default() }
}

fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// Looks for a track by whatever this peer has heard of.
async fn find(peer: &Peer, at: &str, name: &str) -> Result<track::Consumer, broadcast::LookupError> {
    let broadcast = peer.view().consume(&path(at)).expect("something is announced at or above it");
    soon("an answer", broadcast.track(name)).await
}

async fn next(groups: &mut track::Subscription) -> group::Consumer {
    soon("a group", groups.next()).await.expect("a group")
}

/// The newest of a track.
async fn newest(peer: &Peer, at: &str, name: &str) -> String {
    let mut groups = find(peer, at, name).await.unwrap().subscribe(Ask::default());
    let frames = next(&mut groups).await.frames().await;
    String::from_utf8(frames.concat()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn whoever_announced_what_is_above_is_asked_by_the_whole_path() {
    for &publishes in Version::ALL {
        for &views in Version::ALL {
            story(async {
                let relay = Relay::new();
                let _room = Catalogue::start(&relay, publishes, "room").await;
                let viewer = relay.join(views).await;
                viewer.consume("room").await;
                for (at, said) in [
                    ("room/alice", "room alice video 2"),
                    ("room/alice/cam", "room alice/cam video 2"),
                    ("room", "room  video 2"),
                    ("room/bob", "room bob video 2"),
                ] {
                    assert_eq!(newest(&viewer, at, "video").await, said, "{publishes} to {views}");
                }
                assert_eq!(newest(&viewer, "room/alice", "audio").await, "room alice audio 2", "{publishes} to {views}");
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_was_told_of_nothing_nearer_is_served_and_shares_what_others_watch() {
    each_version(async |version| {
        let server = Server::new();
        let mut peer = server.join(version).await;
        let _on_air = peer.announce("cam").await;
        server.heard("cam").await;
        let mut viewers = [server.join(version).await, server.join(version).await];
        let mut subscriptions = Vec::new();
        for viewer in &mut viewers {
            subscriptions.push(viewer.subscribe_to("cam/front", 0, "video", everything()).await);
        }
        let (id, _subscription) = peer.asked().await;
        let mut group = peer.open_group(id, 0).await;
        bare::write(&mut group, b"").await;
        for viewer in &mut viewers {
            assert!(viewer.group().await.is_some(), "{version}");
        }
        assert_eq!(server.stats.counters().upstream_subscribes.load(Relaxed), 1, "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn new_requests_go_to_what_is_announced_nearer_and_old_ones_stay() {
    each_version(async |version| {
        let relay = Relay::new();
        let far = Catalogue::start(&relay, version, "room").await;
        let viewer = relay.join(version).await;
        viewer.consume("room").await;
        let mut groups = find(&viewer, "room/alice/cam", "video").await.unwrap().subscribe(Ask::default());
        assert_eq!(next(&mut groups).await.frames().await, ["room alice/cam video 2"], "{version}");

        let _near = Catalogue::start(&relay, version, "room/alice").await;
        let newcomer = relay.join(version).await;
        for peer in [&viewer, &newcomer] {
            peer.consume("room/alice").await;
            assert_eq!(newest(peer, "room/alice/cam", "video").await, "room/alice cam video 2", "{version}");
        }
        far.tracks.borrow()[0].append_group().write_all(["still"]);
        assert_eq!(next(&mut groups).await.frames().await, ["still"], "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_nearer_and_is_gone_gives_way_to_what_is_above() {
    each_version(async |version| {
        let relay = Relay::new();
        let _room = Catalogue::start(&relay, version, "room").await;
        let near = Catalogue::start(&relay, version, "room/alice").await;
        let viewer = relay.join(version).await;
        viewer.consume("room/alice").await;
        viewer.consume("room").await;
        assert_eq!(newest(&viewer, "room/alice/cam", "video").await, "room/alice cam video 2", "{version}");
        near.peer.connection.lose();
        settle().await;
        assert_eq!(newest(&viewer, "room/alice/cam", "audio").await, "room alice/cam audio 2", "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_an_application_publishes_at_one_path_is_not_served_below_it() {
    each_version(async |version| {
        let server = Server::new();
        let video = server.track("video");
        publish(&video, 0);
        let mut viewer = server.join(version).await;
        let (_send, mut recv) = viewer.subscribe_to("room/alice", 0, "video", everything()).await;
        assert_eq!(reset(&mut recv).await, Some(close::stream::UNROUTABLE.get()), "{version}");
        let _exact = viewer.subscribe_to("room", 1, "video", everything()).await;
        assert!(viewer.group().await.is_some(), "{version}");

        // Nor by a peer's application, whom the relay has to ask.
        let relay = Relay::new();
        let publisher = relay.join(version).await;
        let room = publisher.publish("room");
        let video = room.create_track("video");
        video.append_group().write_all(["here"]);
        let viewer = relay.join(version).await;
        viewer.consume("room").await;
        let found = find(&viewer, "room/alice", "video").await;
        match found {
            Err(error) => assert_eq!(error.code, close::stream::UNROUTABLE, "{version}"),
            Ok(track) => assert!(soon("the end", track.subscribe(Ask::default()).next()).await.is_none(), "{version}"),
        }
        assert_eq!(newest(&viewer, "room", "video").await, "here", "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_what_it_wants_itself() {
    each_version(async |version| {
        let server = Server::new();
        let mut peer = server.join(version).await;
        let _on_air = peer.announce("cam").await;
        server.heard("cam").await;
        let (_send, mut recv) = peer.subscribe_to("cam/front", 0, "video", everything()).await;
        assert_eq!(reset(&mut recv).await, Some(close::stream::UNROUTABLE.get()), "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_is_asked_for_so_much_below_its_path_and_no_more() {
    each_version(async |version| {
        let server = Server::new();
        let mut peer = server.join(version).await;
        let _on_air = peer.announce("cam").await;
        let cam = server.heard("cam").await;
        // Before moq-lite-05 nobody has to be asked what a track is like, so that each is there at once.
        let max = if version >= Version::Lite05 { REQUESTS_MAX } else { TRACKS_MAX };
        let mut asked = Vec::new();
        for number in 0..max {
            asked.push(cam.below(&path(&number.to_string())).unwrap().track("video"));
            if asked.len() % REQUESTS_MAX == 0 {
                settle().await;
            }
        }
        let mut viewer = server.join(version).await;
        for (id, at) in ["cam/one/more", "cam"].into_iter().enumerate() {
            let (_send, mut recv) = viewer.subscribe_to(at, id as u32, "video", everything()).await;
            assert_eq!(reset(&mut recv).await, Some(close::stream::NO_CAPACITY.get()), "{version}: {at}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_group_below_is_fetched_by_the_whole_path() {
    each_version(async |version| {
        let relay = Relay::new();
        let _room = Catalogue::start(&relay, version, "room").await;
        let viewer = relay.join(version).await;
        viewer.consume("room").await;
        let track = find(&viewer, "room/alice", "video").await.unwrap();
        let mut groups = track.subscribe(Ask::default());
        assert_eq!(next(&mut groups).await.sequence(), 2, "{version}");
        let fetched = soon("an answer", track.fetch(0)).await;
        if version < Version::Lite05 {
            assert_eq!(fetched.unwrap_err().code, close::stream::NOT_FOUND, "{version}: no FETCH");
            return;
        }
        assert_eq!(fetched.unwrap().frames().await, ["room alice video 0"], "{version}");
    })
    .await;
}

/// One of several processes that publish the same, and its track "video" at "room/alice".
async fn twin(relay: &Relay, version: Version) -> (Peer, Published) {
    let peer = relay.join_as(version, pair::options(version), HopId::try_from(0xfee1).unwrap()).await;
    let room = peer.publish_prefix("room");
    (peer, room)
}

async fn asked(room: &Published) -> track::Producer {
    let request = soon("a request", room.broadcast().requested()).await.unwrap();
    assert_eq!((request.below(), request.name()), (&path("alice"), "video"));
    request.accept(kept(), now())
}

#[tokio::test(start_paused = true)]
async fn a_track_below_goes_on_with_another_source_and_with_one_that_comes_back() {
    for version in Version::ALL.iter().copied().filter(|version| *version >= Version::Lite04) {
        story(async move {
            let relay = Relay::new();
            relay.origin.keep_orphans(Duration::from_secs(10));
            let (first, first_room) = twin(&relay, version).await;
            let viewer = relay.join(version).await;
            viewer.consume("room").await;
            let watch = async { find(&viewer, "room/alice", "video").await.unwrap().subscribe(Ask::default()) };
            // Before moq-lite-05 nobody is asked until somebody has subscribed.
            let (mut groups, video) = tokio::join!(watch, asked(&first_room));
            let mut open = video.create_group(0).unwrap();
            open.write_frame("one", None).unwrap();
            let mut seen = next(&mut groups).await;
            assert_eq!(seen.next_frame().await.unwrap().unwrap().payload, "one", "{version}");

            // Another one takes over in the middle of a group.
            let (second, second_room) = twin(&relay, version).await;
            while relay.origin.routes(&path("room")).len() != 2 {
                settle().await;
            }
            first.connection.lose();
            let video = asked(&second_room).await;
            video.create_group(0).unwrap().write_all(["one", "two"]);
            assert_eq!(soon("the rest", seen.next_frame()).await.unwrap().unwrap().payload, "two", "{version}");
            assert_eq!(relay.stats.counters().handovers.load(Relaxed), 1, "{version}");

            // There is nobody for a while.
            second.connection.lose();
            settle().await;
            let (_third, third_room) = twin(&relay, version).await;
            let video = asked(&third_room).await;
            video.create_group(1).unwrap().write_all(["three"]);
            assert_eq!(next(&mut groups).await.frames().await, ["three"], "{version}");
        })
        .await;
    }
}
