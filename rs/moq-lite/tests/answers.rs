//! How SUBSCRIBE and TRACK are answered, in each version's terms, and what is made up where the other side's says nothing.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::time::Duration;

use bare::{Server, at, drain, everything, path, read, settle, soon, write};
use moq_lite::testing::pair::{each_version, story};
use moq_proto::{
    FrameHead, Version, Writer,
    lite::{
        self,
        message::{SubscribeOptions, TrackInfo, TrackRequest},
    },
};
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn up_to_04_a_subscription_is_accepted_first_of_all() {
    each_version(async |version| {
        let expected: &[u8] = match version {
            Version::Lite01 => &[1, 200],
            Version::Lite02 => &[0],
            Version::Lite03 | Version::Lite04 => &[0, 5, 200, 0, 0, 0, 0],
            _ => return,
        };
        let server = Server::new();
        let _video = server.track("video");
        let mut viewer = server.join(version).await;
        let options = SubscribeOptions { priority: 200, ..everything() };
        let (_send, mut recv) = viewer.subscribe(0, "video", options).await;
        assert_eq!(soon("an answer", read(&mut recv, expected.len())).await.unwrap(), expected, "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_track_that_ends_without_a_group_has_an_end_and_no_start() {
    for version in [Version::Lite05, Version::Lite06] {
        story(async {
            let server = Server::new();
            let video = server.track("video");
            let mut viewer = server.join(version).await;
            let (_send, mut recv) = viewer.subscribe(0, "video", everything()).await;
            settle().await;
            video.finish(None);
            assert_eq!(soon("END", read(&mut recv, 3)).await.unwrap(), [1, 1, 0].as_slice(), "{version}");
            assert_eq!(soon("the end", drain(&mut recv)).await, Ok(()), "{version}");
        })
        .await;
    }
}

/// Publishers of moq-lite-04 and older say neither what their tracks are like nor when their frames are.
#[tokio::test(start_paused = true)]
async fn tracks_without_times_get_those_of_arrival_and_the_usual_properties() {
    for publishes in [Version::Lite02, Version::Lite03, Version::Lite04] {
        for views in [Version::Lite05, Version::Lite06] {
            story(async {
                let server = Server::new();
                let mut publisher = server.join(publishes).await;
                let _announced = publisher.announce("cam").await;
                server.heard("cam").await;
                let mut viewer = server.join(views).await;

                let request = TrackRequest { broadcast: path("cam"), track: "video".into() };
                let wire = views.dialect().track.as_ref().unwrap().to_wire(&request);
                let (_send, mut info) = viewer.bare.open_bi(&[&[lite::stream::TRACK.get() as u8], &wire[..]].concat()).await;
                let wire = soon("TRACK_INFO", read(&mut info, 1)).await.unwrap();
                let info = views.dialect().track_info.as_ref().unwrap().decode(&wire[1..]).unwrap();
                let (max_age, timescale) = (5000u32.into(), 1000.try_into().unwrap());
                assert_eq!(info, TrackInfo { priority: 127, ordered: false, max_age, timescale }, "{publishes} to {views}");

                let subscribing = viewer.subscribe_to("cam", 0, "video", everything());
                let (_subscription, (id, _asked)) = tokio::join!(subscribing, publisher.asked());
                let mut group = publisher.open_group(id, 0).await;
                let mut frame = Writer::new();
                publishes.framing().write_head(FrameHead { delta: None, size: 2 }, &mut frame);
                let frame = [&frame.into_bytes()[..], b"hi"].concat();
                for _ in 0..2 {
                    write(&mut group, &frame).await;
                    sleep(Duration::from_millis(250)).await;
                }
                let seen = viewer.see().await;
                let [(first, _), (second, _)] = seen.frames.frames[..] else { panic!("{seen:?}") };
                assert!((250..260).contains(&(second - first)), "{publishes} to {views}: {first}, {second}");
            })
            .await;
        }
    }
}

/// And viewers of those versions get the frames of newer publishers without their times.
#[tokio::test(start_paused = true)]
async fn times_are_left_out_where_a_version_has_no_place_for_them() {
    for version in [Version::Lite01, Version::Lite02, Version::Lite03, Version::Lite04] {
        story(async {
            let server = Server::new();
            let video = server.track("video");
            let mut viewer = server.join(version).await;
            let _subscription = viewer.subscribe(0, "video", everything()).await;
            settle().await;
            let mut group = video.append_group();
            group.write_frame("hello", at(1000)).unwrap();
            group.write_frame("", at(2000)).unwrap();
            group.finish();
            let mut stream = viewer.bare.accept_uni().await;
            let expected = b"\x00\x02\x00\x00\x05hello\x00";
            assert_eq!(soon("all", read(&mut stream, expected.len())).await.unwrap(), &expected[..], "{version}");
        })
        .await;
    }
}
