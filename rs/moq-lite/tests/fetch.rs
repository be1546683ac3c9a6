//! Single groups, asked of their publisher because nobody keeps them: how, for how long, and of whom.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::{cell::Cell, rc::Rc, time::Duration};

use bare::{SETTLED, Server, drain, everything, frame, hop, path, read, reset, settle, soon, stopped, write};
use futures::FutureExt;
use moq_lite::{
    model::demand::Ask,
    testing::pair::{Peer, Relay, options, story},
    transport::SendStream as _,
};
use moq_proto::{CloseCode, VarInt, Version, close, lite::message::SubscribeUpdate};
use tokio::{
    task::spawn_local,
    time::{Instant, sleep},
};

/// A frame of the versions that can fetch, with its time.
const FRAME: &[u8] = b"\x00\x03key";

/// The versions that can fetch.
const FETCHING: [Version; 2] = [Version::Lite05, Version::Lite06];

#[tokio::test(start_paused = true)]
async fn a_publisher_is_asked_for_a_group_once_whole_with_the_askers_priority_and_as_long_as_somebody_reads() {
    for version in FETCHING {
        story(async move {
            let server = Server::new();
            let (mut publisher, mut viewer) = (server.join(version).await, server.join(version).await);
            let _announced = publisher.announce("live").await;
            let _live = server.heard("live").await;

            let (mut left, mut first) = viewer.fetch("live", "chat", 3, 200).await;
            let (request, (mut send, mut recv)) = publisher.fetched().await;
            let asked = (request.priority, request.group.get(), request.frame_start.get(), request.frame_end);
            assert_eq!(asked, (200, 3, 0, None), "{version}");
            write(&mut send, FRAME).await;
            assert_eq!(soon("the frame", read(&mut first, FRAME.len())).await.unwrap(), FRAME, "{version}");

            // Far longer than anything is kept.
            sleep(Duration::from_secs(100)).await;
            let (mut leaves, mut second) = viewer.fetch("live", "chat", 3, 7).await;
            assert_eq!(soon("the frame", read(&mut second, FRAME.len())).await.unwrap(), FRAME, "{version}");
            settle().await;
            assert!(publisher.bare.accept_bi().now_or_never().is_none(), "{version}: it still arrives");

            left.finish().unwrap();
            assert_eq!(reset(&mut first).await, Some(close::stream::CANCELLED.get()), "{version}");
            settle().await;
            write(&mut send, FRAME).await;
            assert_eq!(soon("the frame", read(&mut second, FRAME.len())).await.unwrap(), FRAME, "{version}");

            leaves.reset(0);
            drop(second);
            assert_eq!(stopped(&mut send).await, Some(1), "{version}");
            assert_eq!(reset(&mut recv).await, Some(close::stream::CANCELLED.get()), "{version}");

            let (_wants, mut third) = viewer.fetch("live", "chat", 3, 7).await;
            let (request, (mut send, _recv)) = publisher.fetched().await;
            assert_eq!(request.priority, 7, "{version}");
            write(&mut send, FRAME).await;
            send.finish().unwrap();
            assert_eq!(soon("all of it", drain(&mut third)).await, Ok(()), "{version}");
        })
        .await;
    }
}

#[derive(Clone, Copy, Debug)]
enum Death {
    Lost,
    Closed,
}

impl Death {
    fn of(self, peer: &Peer) {
        match self {
            Self::Lost => peer.connection.lose(),
            Self::Closed => peer.closer.close(close::session::NO_ERROR, "bye"),
        }
    }
}

/// Waits until so many publish the room.
async fn are_known(relay: &Relay, count: usize) {
    while relay.origin.routes(&path("room")).len() != count {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_publisher_is_lost_with_is_asked_of_the_next() {
    for (version, death) in FETCHING.into_iter().flat_map(|version| [(version, Death::Lost), (version, Death::Closed)]) {
        story(async move {
            let relay = Relay::new();
            let join = async || relay.join_as(version, options(version), hop(0xfee1)).await;
            let (viewer, first) = (relay.join(version).await, join().await);
            let room = first.publish("room");
            let broadcast = viewer.consume("room").await;

            let asking = spawn_local(async move { broadcast.track("video").await });
            let asked = soon("the first is asked", room.broadcast().requested()).await;
            let second = join().await;
            let room = second.publish("room");
            let (track, third) = (room.create_track("video"), join().await);
            are_known(&relay, 2).await;
            death.of(&first);
            let found = soon("the track", asking).await.unwrap();
            let found = found.unwrap_or_else(|error| panic!("{version}, {death:?}: {error}"));
            drop(asked);

            let fetcher = track.fetcher();
            let fetching = spawn_local(async move { found.fetch(0).await });
            let wanted = soon("the second is asked", fetcher.next()).await;
            let room = third.publish("room");
            let keeping = room.create_track("video");
            keeping.append_group().write_all(["kept"]);
            are_known(&relay, 2).await;
            death.of(&second);
            let group = soon("the group", fetching).await.unwrap();
            let group = group.unwrap_or_else(|error| panic!("{version}, {death:?}: {error}"));
            assert_eq!(soon("its frames", group.frames()).await, ["kept"], "{version}, {death:?}");
            drop((wanted, keeping));
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_way_to_a_publisher_refuses_is_asked_on_another() {
    for version in FETCHING {
        story(async move {
            let relay = Relay::new();
            let join = async |name| relay.join_as(version, options(version), hop(name)).await;
            let (viewer, stranger, twin, best) =
                (relay.join(version).await, join(0xbad).await, join(0xfee1).await, join(0xfee1).await);
            let strange = stranger.publish("room");
            let (theirs, only_theirs) = (strange.create_track("video"), strange.create_track("words"));
            let room = twin.publish("room");
            let (video, sound) = (room.create_track("video"), room.create_track("sound"));
            are_known(&relay, 2).await;
            // The newest is the best.
            let refusing = best.publish("room");
            let empty = refusing.create_track("video");
            are_known(&relay, 3).await;
            for (track, says) in [(&video, "kept"), (&sound, "heard"), (&theirs, "theirs"), (&only_theirs, "theirs")] {
                track.create_group(3).unwrap().write_all([says]);
            }
            theirs.create_group(4).unwrap().write_all(["theirs"]);
            let rejecting = [room, refusing].map(|room| {
                spawn_local(async move {
                    while let Some(request) = room.broadcast().requested().await {
                        request.reject(close::stream::NOT_FOUND);
                    }
                })
            });

            let seen = viewer.consume("room").await;
            let found = soon("the track", seen.track("video")).await.unwrap();
            let group = soon("the group", found.fetch(3)).await.unwrap_or_else(|error| panic!("{version}: {error}"));
            assert_eq!(soon("its frames", group.frames()).await, ["kept"], "{version}");
            let heard = soon("the other's track", seen.track("sound")).await;
            let heard = heard.unwrap_or_else(|error| panic!("{version}: {error}"));
            let group = soon("the group", heard.fetch(3)).await.unwrap();
            assert_eq!(soon("its frames", group.frames()).await, ["heard"], "{version}");

            let unknown = soon("an answer", seen.track("words")).await.unwrap_err();
            assert_eq!(unknown.code, close::stream::NOT_FOUND, "{version}: another publisher's word is no answer");
            assert_eq!(soon("an answer", found.fetch(4)).await.unwrap_err().code, close::stream::NOT_FOUND, "{version}");
            rejecting.iter().for_each(|task| task.abort());
            drop((empty, only_theirs));
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_every_way_refuses_is_asked_on_four() {
    for version in FETCHING {
        story(async move {
            let (relay, asked) = (Relay::new(), Rc::new(Cell::new(0)));
            let viewer = relay.join(version).await;
            let mut peers = Vec::new();
            for code in (0..6).map(|at| CloseCode::new(100 + at)) {
                let peer = relay.join_as(version, options(version), hop(0xfee1)).await;
                let (room, asked) = (peer.publish("room"), asked.clone());
                are_known(&relay, peers.len() + 1).await;
                let rejecting = spawn_local(async move {
                    while let Some(request) = room.broadcast().requested().await {
                        asked.set(asked.get() + 1);
                        request.reject(code);
                    }
                });
                peers.push((peer, rejecting));
            }

            let refused = soon("an answer", viewer.consume("room").await.track("video")).await.unwrap_err();
            assert_eq!((refused.code.get(), asked.get()), (105, 4), "{version}: what the best says");
            peers.iter().for_each(|(_, rejecting)| rejecting.abort());
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_publisher_cannot_be_asked_for_is_waited_for_while_it_may_come() {
    for version in Version::ALL.iter().copied().filter(|version| *version < Version::Lite05) {
        story(async move {
            let relay = Relay::new();
            let publisher = relay.join(version).await;
            let (watches, fetches) = (relay.join(version).await, relay.join(Version::Lite05).await);
            let room = publisher.publish("room");
            let video = room.create_track("video");
            video.append_group().write_all(["first"]);
            let track = fetches.consume("room").await.track("video").await.unwrap();
            let missing = async |sequence| {
                let asked = Instant::now();
                let fetched = soon("an answer", track.fetch(sequence)).await;
                assert_eq!(fetched.unwrap_err().code, close::stream::NOT_FOUND, "{version}: {sequence}");
                asked.elapsed()
            };

            assert!(missing(1).await < SETTLED, "{version}: nobody watches, so nothing comes");
            let mut watched = watches.consume("room").await.track("video").await.unwrap().subscribe(Ask::default());
            soon("a group", watched.next()).await.unwrap();
            let next = async {
                sleep(Duration::from_millis(700)).await;
                video.append_group().write_all(["next"]);
            };
            let (fetched, ()) = tokio::join!(soon("the next group", track.fetch(1)), next);
            assert_eq!(soon("its frames", fetched.unwrap().frames()).await, ["next"], "{version}");
            let waited = missing(5).await;
            assert!(waited >= Duration::from_secs(1) && waited < Duration::from_millis(1100), "{version}: {waited:?}");
        })
        .await;
    }
}

/// Lets a viewer leave in the middle of a group that somebody else has joined with a FETCH.
async fn left_alone(version: Version) {
    let server = Server::new();
    let mut publisher = server.join(version).await;
    let (mut viewer, mut fetches) = (server.join(version).await, server.join(Version::Lite06).await);
    let _announced = publisher.announce("live").await;
    let _room = server.heard("live").await;
    let (mut watching, _replies) = viewer.subscribe_to("live", 0, "video", everything()).await;
    let (request, (told, mut heard)) = publisher.asked_for().await;
    let mut group = publisher.open_group(request.id, 7).await;
    write(&mut group, &frame(version, 0)).await;
    viewer.group().await.expect("the group");
    let (mut leaves, mut fetched) = fetches.fetch("live", "video", 7, 1).await;
    assert_eq!(fetches.frames(&mut fetched).await.frames.len(), 1, "{version}");

    watching.finish().unwrap();
    if !version.has_legacy_setup() {
        let update = soon("an update", read(&mut heard, 2)).await.unwrap();
        let SubscribeUpdate(options) = version.dialect().subscribe_update.decode(&update[1..]).unwrap();
        assert_eq!(options.group_end.map(VarInt::get), Some(7), "{version}: no later group");
    }
    settle().await;
    write(&mut group, &frame(version, 0)).await;
    assert_eq!(fetches.frames(&mut fetched).await.frames.len(), 1, "{version}: it goes on");
    assert!(stopped(&mut group).now_or_never().is_none(), "{version}");

    // Whoever comes back meanwhile is served by the same subscription.
    let (mut again, _replies) = viewer.subscribe_to("live", 1, "video", everything()).await;
    settle().await;
    publisher.send_group(request.id, 8, 400).await;
    assert_eq!(viewer.groups().await, [7, 8], "{version}");
    again.finish().unwrap();
    settle().await;
    assert!(drain(&mut heard).now_or_never().is_none(), "{version}: one still reads");

    leaves.finish().unwrap();
    assert_eq!(stopped(&mut group).await, Some(close::stream::CANCELLED.get()), "{version}");
    soon("the end", drain(&mut heard)).await.unwrap();
    drop(told);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_was_joined_as_it_arrived_goes_on_when_its_viewers_leave() {
    for version in Version::ALL.iter().copied() {
        story(left_alone(version)).await;
    }
}
