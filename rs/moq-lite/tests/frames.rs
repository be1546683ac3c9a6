//! Which frames of a group come: bounds inside a group, asked for by SUBSCRIBE and by FETCH.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use bare::{
    Peer, Server, at, everything, publish, read, reset,
    seen::{End, Frames, Seen},
    settle, soon, stopped,
};
use moq_lite::{
    model::{group, track},
    testing::{
        memory::{RecvStream, SendStream},
        pair::{each_version, story},
    },
    transport::RecvStream as _,
};
use moq_proto::{
    Prefix, VarInt, Version, Writer, close,
    lite::{
        self,
        message::{Fetch, SubscribeOptions},
    },
};

/// The times of a group's frames: they go back in the middle, as they do with frames that are shown out of order.
const TIMES: [u64; 4] = [1000, 1033, 1030, 1060];

fn write_frame(group: &mut group::Producer, number: usize) {
    group.write_frame(format!("frame {number}"), at(TIMES[number])).unwrap();
}

/// A group that has its first frames and may get more.
fn begin(track: &track::Producer, sequence: u64, frames: usize) -> group::Producer {
    let mut group = track.create_group(sequence).unwrap();
    (0..frames).for_each(|number| write_frame(&mut group, number));
    group
}

/// What a peer sees of such frames.
fn frames(numbers: impl IntoIterator<Item = usize>, end: End) -> Frames {
    let frame = |number: usize| (TIMES[number] as i64, format!("frame {number}"));
    Frames { frames: numbers.into_iter().map(frame).collect(), end }
}

fn seen(sequence: u64, numbers: std::ops::Range<usize>, end: End) -> Seen {
    Seen { sequence, first: numbers.start as u64, frames: frames(numbers, end) }
}

/// From a frame of one group to a frame of another.
fn bounds(start: (u32, u32), end: Option<(u32, Option<u32>)>) -> SubscribeOptions {
    SubscribeOptions {
        group_start: Some(VarInt::from_u32(start.0)),
        frame_start: VarInt::from_u32(start.1),
        group_end: end.map(|(group, _)| VarInt::from_u32(group)),
        frame_end: end.and_then(|(_, frame)| frame).map(VarInt::from_u32),
        ..everything()
    }
}

/// Subscribes, within bounds that moq-lite-06 alone has.
async fn subscribe(server: &Server, options: SubscribeOptions) -> (Peer, (SendStream, RecvStream)) {
    let mut viewer = server.join(Version::Lite06).await;
    let subscription = viewer.subscribe(0, "video", options).await;
    settle().await;
    (viewer, subscription)
}

#[tokio::test(start_paused = true)]
async fn bounds_cut_the_groups_they_name_and_no_other() {
    story(async {
        let server = Server::new();
        let video = server.track("video");
        (0..3).for_each(|sequence| begin(&video, sequence, 4).finish());
        let whole = |sequence| seen(sequence, 0..4, End::Finished);
        let cut = |sequence, frames| seen(sequence, frames, End::Finished);
        let cases = [
            (bounds((0, 2), None), vec![cut(0, 2..4), whole(1), whole(2)]),
            (bounds((1, 3), None), vec![cut(1, 3..4), whole(2)]),
            (bounds((0, 0), Some((1, Some(0)))), vec![whole(0), cut(1, 0..1)]),
            (bounds((0, 1), Some((2, Some(2)))), vec![cut(0, 1..4), whole(1), cut(2, 0..3)]),
            (bounds((1, 1), Some((1, Some(2)))), vec![cut(1, 1..3)]),
            // Beyond what there is.
            (bounds((1, 1), Some((1, Some(9)))), vec![cut(1, 1..4)]),
        ];
        for (options, expected) in cases {
            let (mut viewer, _subscription) = subscribe(&server, options).await;
            for expected in expected {
                assert_eq!(viewer.see().await, expected, "{options:?}");
            }
            assert!(viewer.sees_nothing().await, "{options:?}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_group_comes_as_it_is_written_and_ends_with_its_last_frame() {
    story(async {
        let server = Server::new();
        let video = server.track("video");
        let mut open = begin(&video, 0, 1);
        let (mut viewer, _subscription) = subscribe(&server, bounds((0, 1), Some((0, Some(2))))).await;
        assert!(viewer.sees_nothing().await, "its first frame is not there");

        write_frame(&mut open, 1);
        let (seen_first, mut stream) = viewer.see_stream().await;
        assert_eq!(seen_first, seen(0, 1..2, End::Open));
        write_frame(&mut open, 2);
        let rest = viewer.frames(&mut stream).await;
        assert_eq!((&rest.frames[0].1[..], rest.end), ("frame 2", End::Finished), "although the group goes on");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_group_under_way_goes_on_when_its_last_frame_moves_away_and_is_not_cut_when_it_moves_near() {
    story(async {
        let server = Server::new();
        let video = server.track("video");
        let mut open = begin(&video, 0, 1);
        let until = |last| bounds((0, 0), Some((0, Some(last))));
        let (mut viewer, (mut send, _recv)) = subscribe(&server, until(1)).await;
        let (_, mut stream) = viewer.see_stream().await;
        viewer.update(&mut send, until(0)).await;
        settle().await;
        viewer.update(&mut send, until(2)).await;
        settle().await;
        write_frame(&mut open, 1);
        let second = viewer.frames(&mut stream).await;
        assert_eq!((&second.frames[0].1[..], second.end), ("frame 1", End::Open));
        viewer.update(&mut send, bounds((0, 0), None)).await;
        settle().await;
        (2..4).for_each(|number| write_frame(&mut open, number));
        let rest = viewer.frames(&mut stream).await;
        assert_eq!((rest.frames.len(), rest.end), (2, End::Open));
        open.finish();
        assert_eq!(viewer.frames(&mut stream).await.end, End::Finished);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_group_without_the_frames_that_are_asked_for_is_left_out() {
    story(async {
        let server = Server::new();
        let video = server.track("video");
        (0..2).for_each(|sequence| begin(&video, sequence, 4).finish());
        let (mut viewer, _subscription) = subscribe(&server, bounds((0, 4), None)).await;
        assert_eq!(viewer.see().await, seen(1, 0..4, End::Finished));
        assert!(viewer.sees_nothing().await);

        // A part that ends before it begins.
        let (mut viewer, _subscription) = subscribe(&server, bounds((0, 3), Some((0, Some(1))))).await;
        assert!(viewer.sees_nothing().await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_last_frame_without_a_last_group_makes_no_sense() {
    story(async {
        let server = Server::new();
        let video = server.track("video");
        publish(&video, 0);
        let mut viewer = server.join(Version::Lite06).await;
        let request =
            [&[lite::stream::SUBSCRIBE.get() as u8, 18, 0][..], b"\x04room", b"\x05video", &[0, 0, 0, 0, 0, 1]].concat();
        let (_send, mut recv) = viewer.bare.open_bi(&request).await;
        assert_eq!(reset(&mut recv).await, Some(close::stream::MALFORMED_TRACK.get()));
        assert!(!viewer.bare.served.is_finished());
    })
    .await;
}

/// Asks for frames of one group of the room's video.
async fn fetch(peer: &mut Peer, group: u32, first: u32, last: Option<u32>) -> (SendStream, RecvStream) {
    let request = Fetch {
        broadcast: bare::path("room"),
        track: "video".into(),
        priority: 1,
        group: VarInt::from_u32(group),
        frame_start: VarInt::from_u32(first),
        frame_end: last.map(VarInt::from_u32),
    };
    let mut wire = Writer::new();
    let layout = peer.version.dialect().fetch.as_ref().unwrap();
    wire.varint(lite::stream::FETCH).bytes(&layout.to_wire(&request));
    peer.bare.open_bi(&wire.into_bytes()).await
}

#[tokio::test(start_paused = true)]
async fn a_fetch_brings_the_frames_of_its_range() {
    let all = (0, None, 0..4);
    let parts = [(1, Some(2), 1..3), (3, None, 3..4), (0, Some(0), 0..1), (2, Some(99), 2..4)];
    for version in [Version::Lite05, Version::Lite06] {
        for &(first, last, ref expected) in std::iter::once(&all).chain(parts.iter().filter(|_| version >= Version::Lite06)) {
            story(async {
                let server = Server::new();
                let video = server.track("video");
                (0..2).for_each(|sequence| begin(&video, sequence, 4).finish());
                let mut peer = server.join(version).await;
                let (_send, mut recv) = fetch(&mut peer, 0, first, last).await;
                let expected = frames(expected.clone(), End::Finished);
                assert_eq!(peer.frames(&mut recv).await, expected, "{version}: {first} to {last:?}");
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_of_a_group_under_way_brings_its_range_as_it_grows() {
    story(async {
        let server = Server::new();
        let video = server.track("video");
        let mut open = begin(&video, 0, 1);
        let mut peer = server.join(Version::Lite06).await;
        let (_send, mut recv) = fetch(&mut peer, 0, 1, Some(2)).await;
        assert_eq!(peer.frames(&mut recv).await, frames([], End::Open));
        write_frame(&mut open, 1);
        assert_eq!(peer.frames(&mut recv).await, frames([1], End::Open));
        write_frame(&mut open, 2);
        assert_eq!(peer.frames(&mut recv).await.end, End::Finished);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_of_a_group_under_way_is_withdrawn_by_a_stop() {
    for version in [Version::Lite05, Version::Lite06] {
        story(async move {
            let server = Server::new();
            let video = server.track("video");
            let _open = begin(&video, 0, 1);
            let mut peer = server.join(version).await;
            // Of frames that are there, and of those that are still to come.
            for first in if version == Version::Lite05 { vec![0] } else { vec![0, 3] } {
                let (mut send, mut recv) = fetch(&mut peer, 0, first, None).await;
                settle().await;
                recv.stop(0);
                assert_eq!(stopped(&mut send).await, Some(close::stream::CANCELLED.get()), "{version}: from {first}");
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_of_frames_that_will_never_be_is_refused() {
    story(async {
        let server = Server::new();
        let video = server.track("video");
        begin(&video, 0, 4).finish();
        let mut peer = server.join(Version::Lite06).await;
        for (first, last, code) in [
            (4, None, close::stream::NOT_FOUND),
            (9, Some(9), close::stream::NOT_FOUND),
            (2, Some(1), close::stream::MALFORMED_TRACK),
        ] {
            let (_send, mut recv) = fetch(&mut peer, 0, first, last).await;
            assert_eq!(reset(&mut recv).await, Some(code.get()), "{first} to {last:?}");
        }
    })
    .await;
}

/// What goes into a cache is whole, or others would get half groups from it.
#[tokio::test(start_paused = true)]
async fn a_publisher_is_asked_for_whole_groups_whatever_part_somebody_wants() {
    story(async {
        let server = Server::new();
        let mut publisher = server.join(Version::Lite06).await;
        let _announced = publisher.announce("cam").await;
        server.heard("cam").await;
        let mut viewer = server.join(Version::Lite06).await;
        let subscribing = viewer.subscribe_to("cam", 0, "video", bounds((1, 2), Some((1, Some(3)))));
        let (_subscription, (asked, _streams)) = tokio::join!(subscribing, publisher.asked_for());
        let SubscribeOptions { group_start, frame_start, group_end, frame_end, .. } = asked.options;
        assert_eq!((group_start, group_end), (Some(VarInt::from_u32(1)), Some(VarInt::from_u32(1))));
        assert_eq!((frame_start, frame_end), (VarInt::ZERO, None));
    })
    .await;
    each_version(async |version| {
        let Some(layout) = &version.dialect().fetch else { return };
        let server = Server::new();
        let mut publisher = server.join(version).await;
        let _announced = publisher.announce("room/of/a/peer").await;
        server.heard("room/of/a/peer").await;
        let mut viewer = server.join(Version::Lite06).await;
        let (_subscription, _asked) =
            tokio::join!(viewer.subscribe_to("room/of/a/peer", 0, "video", everything()), publisher.asked());
        let request = Fetch {
            broadcast: bare::path("room/of/a/peer"),
            track: "video".into(),
            priority: 1,
            group: VarInt::from_u32(7),
            frame_start: VarInt::from_u32(2),
            frame_end: Some(VarInt::from_u32(3)),
        };
        let wire = viewer.version.dialect().fetch.as_ref().unwrap().to_wire(&request);
        let _fetch = viewer.bare.open_bi(&[&[lite::stream::FETCH.get() as u8], &wire[..]].concat()).await;
        let (_send, mut recv) = publisher.bare.accept_bi().await;
        let asked = soon("a request", read(&mut recv, 2)).await.unwrap();
        let mut prefix = Prefix::new(&asked);
        assert_eq!(prefix.varint().unwrap(), lite::stream::FETCH, "{version}");
        let _size = prefix.varint().unwrap();
        let asked = layout.decode(&asked[prefix.consumed()..]).unwrap();
        let whole = (VarInt::from_u32(7), VarInt::ZERO, None);
        assert_eq!((asked.group, asked.frame_start, asked.frame_end), whole, "{version}");
    })
    .await;
}
