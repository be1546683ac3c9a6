//! What goes first on a connection: the ranks of groups, of answers to FETCH, and of what is said about them.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::time::Duration;

use bare::{Bare, Peer, Server, everything, hop, path, publish, roles, settle};
use moq_lite::{
    model::{origin::Origin, track},
    testing::{
        memory::{self, RecvStream},
        pair::{self, each_version, story},
    },
    transport::{Rank, SendStream as _},
};
use moq_proto::{
    HopId, Path, VarInt, Version,
    lite::{
        self,
        message::{AnnounceRequest, Fetch, SubscribeOptions, TrackRequest},
    },
};
use tokio::time::sleep;

fn with(priority: u8) -> SubscribeOptions {
    SubscribeOptions { priority, ..everything() }
}

/// Publishes a group a while after the one before, and takes its stream as the viewer gets it.
async fn rank_of_next(track: &track::Producer, viewer: &mut Peer) -> (RecvStream, Rank) {
    sleep(Duration::from_millis(100)).await;
    publish(track, 0);
    let stream = viewer.bare.accept_uni().await;
    let rank = stream.rank();
    (stream, rank)
}

#[tokio::test(start_paused = true)]
async fn the_higher_priority_goes_first_and_among_equals_the_newer_group() {
    each_version(async |version| {
        let server = Server::new();
        let (audio, video, text) = (server.track("audio"), server.track("video"), server.track("text"));
        let mut viewer = server.join(version).await;
        let _audio = viewer.subscribe(0, "audio", with(9)).await;
        let _video = viewer.subscribe(1, "video", with(5)).await;
        let _text = viewer.subscribe(2, "text", with(255)).await;
        settle().await;
        let (_, first_audio) = rank_of_next(&audio, &mut viewer).await;
        let (_, first_video) = rank_of_next(&video, &mut viewer).await;
        let (_, second_video) = rank_of_next(&video, &mut viewer).await;
        let (_, first_text) = rank_of_next(&text, &mut viewer).await;
        let ranks = [first_video, second_video, first_audio, first_text, Rank::CONTROL];
        assert!(ranks.is_sorted_by(|lower, higher| lower < higher), "{version}: {ranks:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn another_priority_is_that_of_all_groups_that_have_not_arrived() {
    each_version(async |version| {
        let server = Server::new();
        let (audio, video) = (server.track("audio"), server.track("video"));
        // What is not read counts as not arrived.
        let options = memory::Options { acks_unread: false, ..pair::options(version) };
        let mut viewer = server.join_over(version, options).await;
        let _audio = viewer.subscribe(0, "audio", with(7)).await;
        let (mut subscription, _recv) = viewer.subscribe(1, "video", with(5)).await;
        settle().await;
        let (sent, _) = rank_of_next(&video, &mut viewer).await;
        sleep(Duration::from_millis(100)).await;
        let mut open = video.append_group();
        open.write_frame("frame", bare::at(0)).unwrap();
        let under_way = viewer.bare.accept_uni().await;
        let (_, audio) = rank_of_next(&audio, &mut viewer).await;
        assert!(sent.rank() < audio && under_way.rank() < audio, "{version}");

        viewer.update(&mut subscription, with(9)).await;
        settle().await;
        let (_, next) = rank_of_next(&video, &mut viewer).await;
        let ranks = [audio, sent.rank(), under_way.rank(), next];
        assert!(ranks.is_sorted_by(|lower, higher| lower < higher), "{version}: {ranks:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_fetched_is_ranked_like_groups() {
    each_version(async |version| {
        let Some(layout) = &version.dialect().fetch else { return };
        let server = Server::new();
        let (audio, video) = (server.track("audio"), server.track("video"));
        let mut viewer = server.join(version).await;
        let _audio = viewer.subscribe(0, "audio", with(4)).await;
        let _video = viewer.subscribe(1, "video", with(6)).await;
        settle().await;
        let (_, lower) = rank_of_next(&audio, &mut viewer).await;
        let (_, higher) = rank_of_next(&video, &mut viewer).await;
        let request = Fetch {
            broadcast: path("room"),
            track: "video".into(),
            priority: 5,
            group: VarInt::ZERO,
            frame_start: VarInt::ZERO,
            frame_end: None,
        };
        let (_send, answer) = ask(&mut viewer.bare, lite::stream::FETCH, &layout.to_wire(&request)).await;
        assert!(lower < answer.rank() && answer.rank() < higher, "{version}: {:?}", answer.rank());
    })
    .await;
}

async fn ask(bare: &mut Bare, kind: VarInt, message: &[u8]) -> (memory::SendStream, RecvStream) {
    let streams = bare.open_bi(&[&[kind.get() as u8], message].concat()).await;
    settle().await;
    streams
}

#[tokio::test(start_paused = true)]
async fn whatever_is_said_about_media_goes_before_all_of_it() {
    each_version(async |version| {
        let dialect = version.dialect();
        let server = Server::new();
        let video = server.track("video");
        publish(&video, 0);
        let mut peer = server.join(version).await;
        // What the peer is asked.
        let (_send, announcements) = peer.announce("cam").await;
        server.heard("cam").await;
        let mut viewer = server.join(version).await;
        let _watching = viewer.subscribe_to("cam", 0, "video", with(255)).await;
        if dialect.track.is_some() {
            let (mut send, track) = peer.bare.accept_bi().await;
            assert_eq!(track.rank(), Rank::CONTROL, "{version}");
            let info = lite::message::TrackInfo {
                priority: 0,
                ordered: false,
                max_age: VarInt::ZERO,
                timescale: 1000.try_into().unwrap(),
            };
            bare::write(&mut send, &dialect.track_info.as_ref().unwrap().to_wire(&info)).await;
            send.finish().unwrap();
        }
        let (_send, subscribed) = peer.bare.accept_bi().await;
        assert_eq!([announcements.rank(), subscribed.rank()], [Rank::CONTROL; 2], "{version}");

        // And answered.
        let request = AnnounceRequest { prefix: Path::root(), exclude: HopId::UNKNOWN, hidden: false };
        let (_send, routes) = ask(&mut viewer.bare, lite::stream::ANNOUNCE, &dialect.announce_request.to_wire(&request)).await;
        let (_send, replies) = viewer.subscribe(1, "video", with(255)).await;
        settle().await;
        assert_eq!([routes.rank(), replies.rank()], [Rank::CONTROL; 2], "{version}");
        if let Some(layout) = &dialect.track {
            let request = TrackRequest { broadcast: path("room"), track: "video".into() };
            let (_send, info) = ask(&mut viewer.bare, lite::stream::TRACK, &layout.to_wire(&request)).await;
            assert_eq!(info.rank(), Rank::CONTROL, "{version}");
        }
    })
    .await;
    for version in [Version::Lite05, Version::Lite06] {
        story(async {
            let mut bare = Bare::serve(pair::options(version), Version::ALL, roles(&Origin::new(hop(7))));
            assert_eq!(bare.accept_uni().await.rank(), Rank::CONTROL, "{version}: SETUP");
        })
        .await;
    }
}
