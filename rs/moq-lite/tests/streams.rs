//! How each kind of stream ends: what an end, a reset and a stop on one of them mean, for it and for nothing else.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::time::Duration;

use bare::{
    Peer, Server, at, drain, everything, path, publish, read, reset, seen::End, settle, soon, stopped, write, younger_than,
};
use moq_lite::{
    testing::{
        memory::{self, RecvStream, SendStream},
        pair::{self, each_version, story},
    },
    transport::{RecvStream as _, SendStream as _, StreamError},
};
use moq_proto::{
    FrameHead, VarInt, Version, Writer, close,
    lite::{
        self,
        message::{Fetch, TrackRequest},
    },
};

/// The session goes on: whoever subscribes is served.
async fn assert_serves(server: &Server, peer: &mut Peer) {
    let track = server.track("still");
    publish(&track, 0);
    let _subscription = peer.subscribe(900, "still", everything()).await;
    assert_eq!(peer.group().await.map(|group| group.subscribe), Some(900), "{}", peer.version);
}

#[tokio::test(start_paused = true)]
async fn what_a_version_does_not_have_ends_its_stream_alone() {
    let kinds = [lite::stream::FETCH, lite::stream::PROBE, lite::stream::GOAWAY, lite::stream::TRACK];
    each_version(async |version| {
        let dialect = version.dialect();
        let server = Server::new();
        let mut peer = server.join(version).await;
        let has = [dialect.fetch.is_some(), dialect.probe.is_some(), dialect.goaway.is_some(), dialect.track.is_some()];
        for (kind, _) in kinds.into_iter().zip(has).filter(|(_, has)| !has) {
            let (_send, mut recv) = peer.bare.open_bi(&[kind.get() as u8, 0]).await;
            assert_eq!(reset(&mut recv).await, Some(close::stream::CANCELLED.get()), "{version}: {kind}");
        }
        if dialect.setup.is_none() {
            let mut setup = peer.bare.open_uni(&[lite::stream::SETUP.get() as u8, 1, 0]).await;
            assert_eq!(stopped(&mut setup).await, Some(close::stream::CANCELLED.get()), "{version}: SETUP");
        }
        assert_serves(&server, &mut peer).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_unsubscribes_gets_no_more_of_groups_under_way_and_the_stream_back() {
    each_version(async |version| {
        let server = Server::new();
        let video = server.track("video");
        let mut viewer = server.join(version).await;
        let (mut send, mut recv) = viewer.subscribe(0, "video", everything()).await;
        settle().await;
        let mut open = video.append_group();
        open.write_frame("frame", at(0)).unwrap();
        let (seen, mut stream) = viewer.see_stream().await;
        assert_eq!(seen.frames.end, End::Open, "{version}");
        send.finish().unwrap();
        assert_eq!(reset(&mut stream).await, Some(close::stream::CANCELLED.get()), "{version}: the group");
        assert_eq!(soon("an end", drain(&mut recv)).await, Ok(()), "{version}: the subscription");
        publish(&video, 100);
        assert!(viewer.sees_nothing().await, "{version}");
        assert_serves(&server, &mut viewer).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_group_that_its_viewer_stops_is_reset_and_the_next_one_comes() {
    each_version(async |version| {
        let server = Server::new();
        let video = server.track("video");
        let mut viewer = server.join(version).await;
        let (_send, mut recv) = viewer.subscribe(0, "video", everything()).await;
        settle().await;
        let mut open = video.append_group();
        open.write_frame("frame", at(0)).unwrap();
        let (_, mut stream) = viewer.see_stream().await;
        stream.stop(77);
        open.write_frame("frame", at(10)).unwrap();
        settle().await;
        open.write_frame("frame", at(20)).unwrap();
        open.finish();
        publish(&video, 100);
        assert_eq!(viewer.see().await.sequence, 1, "{version}");
        assert!(viewer.sees_nothing().await, "{version}: not the first again");
        // The subscription is told nothing of it.
        while let Ok(said) = tokio::time::timeout(Duration::from_millis(10), read(&mut recv, 1)).await {
            assert!(said.is_ok(), "{version}: {said:?}");
        }
    })
    .await;
}

/// A publisher and a viewer of what it has.
async fn published(server: &Server, version: Version) -> (Peer, Peer, VarInt, impl Sized + use<>) {
    let mut publisher = server.join(version).await;
    let announced = publisher.announce("cam").await;
    server.heard("cam").await;
    let mut viewer = server.join(version).await;
    let subscribing = viewer.subscribe_to("cam", 0, "video", everything());
    let (subscription, (id, asked)) = tokio::join!(subscribing, publisher.asked());
    (publisher, viewer, id, (announced, subscription, asked))
}

fn frame(version: Version, payload: &[u8]) -> Vec<u8> {
    let mut head = Writer::new();
    version.framing().write_head(FrameHead { delta: Some(0), size: payload.len() as u64 }, &mut head);
    [&head.into_bytes()[..], payload].concat()
}

#[tokio::test(start_paused = true)]
async fn a_group_that_ends_inside_a_frame_is_not_whole_for_anybody() {
    each_version(async |version| {
        let server = Server::new();
        let (mut publisher, mut viewer, id, _open) = published(&server, version).await;
        // Inside a payload, and inside a head.
        for (sequence, cut) in [(0, 3), (1, 1)] {
            let whole = frame(version, b"whole");
            let mut group = publisher.open_group(id, sequence).await;
            write(&mut group, &whole).await;
            let second = frame(version, &[b'x'; 80]);
            write(&mut group, &second[..cut]).await;
            settle().await;
            let (seen, mut stream) = viewer.see_stream().await;
            assert_eq!((seen.sequence, seen.frames.end), (u64::from(sequence), End::Open), "{version}");
            group.finish().unwrap();
            assert!(matches!(soon("an end", drain(&mut stream)).await, Err(StreamError::Reset(_))), "{version}: cut at {cut}");
        }
        // What follows is.
        let mut group = publisher.open_group(id, 2).await;
        write(&mut group, &frame(version, b"whole")).await;
        group.finish().unwrap();
        assert_eq!(viewer.see().await.frames.end, End::Finished, "{version}");
    })
    .await;
}

/// Shipped viewers drop groups that arrive after their subscription's end.
#[tokio::test(start_paused = true)]
async fn a_subscription_ends_once_its_groups_have_arrived_and_not_when_they_are_sent() {
    each_version(async |version| {
        let server = Server::new();
        let video = server.track("video");
        let options = memory::Options { acks_unread: false, ..pair::options(version) };
        let mut viewer = server.join_over(version, options).await;
        let (_send, mut recv) = viewer.subscribe(0, "video", everything()).await;
        settle().await;
        (0..2).for_each(|n| publish(&video, n * 100));
        video.finish(None);
        settle().await;
        for group in 0..2 {
            let mut stream = viewer.bare.accept_uni().await;
            let ended = tokio::time::timeout(Duration::from_secs(5), drain(&mut recv)).await;
            assert!(ended.is_err(), "{version}: {ended:?} before group {group} has arrived");
            assert_eq!(drain(&mut stream).await, Ok(()), "{version}");
        }
        assert_eq!(soon("the end", drain(&mut recv)).await, Ok(()), "{version}");
    })
    .await;
}

/// The upstream relay ends such a group as if it were whole.
#[tokio::test(start_paused = true)]
async fn a_group_that_is_old_and_still_flows_is_not_cut() {
    for version in [Version::Lite03, Version::Lite04, Version::Lite05, Version::Lite06] {
        story(async {
            let server = Server::new();
            let video = server.track("video");
            let mut viewer = server.join(version).await;
            let _subscription = viewer.subscribe(0, "video", younger_than(0)).await;
            settle().await;
            let mut old = video.append_group();
            old.write_frame("first", at(0)).unwrap();
            let (_, mut stream) = viewer.see_stream().await;
            publish(&video, 60_000);
            assert_eq!(viewer.see().await.sequence, 1, "{version}");
            tokio::time::sleep(Duration::from_secs(2)).await;
            old.write_frame("late", at(100)).unwrap();
            let more = viewer.frames(&mut stream).await;
            assert_eq!((&more.frames[0].1[..], more.end), ("late", End::Open), "{version}");
            old.finish();
            assert_eq!(viewer.frames(&mut stream).await.end, End::Finished, "{version}");
        })
        .await;
    }
}

/// Asks for the group "video" 0 of a broadcast.
async fn fetch(peer: &mut Peer, broadcast: &str) -> (SendStream, RecvStream) {
    let request = Fetch {
        broadcast: path(broadcast),
        track: "video".into(),
        priority: 1,
        group: VarInt::ZERO,
        frame_start: VarInt::ZERO,
        frame_end: None,
    };
    let wire = peer.version.dialect().fetch.as_ref().unwrap().to_wire(&request);
    peer.bare.open_bi(&[&[lite::stream::FETCH.get() as u8], &wire[..]].concat()).await
}

async fn ask_track(peer: &mut Peer, broadcast: &str) -> (SendStream, RecvStream) {
    let request = TrackRequest { broadcast: path(broadcast), track: "video".into() };
    let wire = peer.version.dialect().track.as_ref().unwrap().to_wire(&request);
    peer.bare.open_bi(&[&[lite::stream::TRACK.get() as u8], &wire[..]].concat()).await
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_ends_before_its_answer_is_withdrawn_and_one_that_goes_on_is_refused() {
    for version in [Version::Lite05, Version::Lite06] {
        story(async {
            let server = Server::new();
            let video = server.track("video");
            let mut open = video.append_group();
            open.write_frame("frame", at(0)).unwrap();
            let mut peer = server.join(version).await;
            let (mut send, mut recv) = fetch(&mut peer, "room").await;
            settle().await;
            send.finish().unwrap();
            assert_eq!(reset(&mut recv).await, Some(close::stream::CANCELLED.get()), "{version}");

            let (mut send, mut recv) = fetch(&mut peer, "room").await;
            settle().await;
            write(&mut send, &[0]).await;
            assert_eq!(reset(&mut recv).await, Some(close::stream::MALFORMED_TRACK.get()), "{version}");
            assert_serves(&server, &mut peer).await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_about_a_track_that_ends_before_its_answer_is_withdrawn_and_one_that_goes_on_is_refused() {
    for version in [Version::Lite05, Version::Lite06] {
        story(async {
            let server = Server::new();
            // Whoever has it never answers.
            let mut silent = server.join(version).await;
            let _announced = silent.announce("cam").await;
            server.heard("cam").await;
            let mut peer = server.join(version).await;
            let (mut send, mut recv) = ask_track(&mut peer, "cam").await;
            settle().await;
            send.finish().unwrap();
            assert_eq!(reset(&mut recv).await, Some(close::stream::CANCELLED.get()), "{version}");

            let (mut send, mut recv) = ask_track(&mut peer, "cam").await;
            settle().await;
            write(&mut send, &[0]).await;
            assert_eq!(reset(&mut recv).await, Some(close::stream::MALFORMED_TRACK.get()), "{version}");
            assert_serves(&server, &mut peer).await;
        })
        .await;
    }
}
