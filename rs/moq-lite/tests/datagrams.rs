//! Groups of one frame that come in datagrams: who gets them, how large they may be, and what is made of bad ones.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::{future::poll_fn, time::Duration};

use bare::{Peer, Server, everything, settle, soon};
use bytes::Bytes;
use moq_lite::{
    model::track,
    testing::{
        memory,
        pair::{self, each_version, story},
    },
    transport::{Connection as _, SendStream as _},
};
use moq_proto::{FrameHead, VarInt, Version, Writer, lite::message::Datagram};
use tokio::time::{Instant, timeout};

/// The versions that have datagrams.
const WITH: [Version; 2] = [Version::Lite05, Version::Lite06];

/// What a datagram has before its payload, with small numbers.
const HEAD_BYTES: usize = 3;

fn publish(track: &track::Producer, sequence: u64, size: usize) {
    let payload = Bytes::from(vec![0x55; size]);
    track.datagram(sequence, 0.try_into().unwrap(), payload, Instant::now().into_std()).unwrap();
}

/// The next datagram that comes. `None`: none does.
async fn next(peer: &mut Peer) -> Option<Datagram> {
    let datagram = poll_fn(|cx| peer.bare.connection.poll_recv_datagram(cx));
    let wire = timeout(Duration::from_secs(1), datagram).await.ok()?.unwrap();
    Some(peer.version.dialect().datagram.as_ref().unwrap().decode(&wire).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_datagram_has_at_most_1200_bytes_and_no_more_than_the_transport_takes() {
    for version in WITH {
        for (takes, max) in [(Some(4000), 1200), (Some(1200), 1200), (Some(500), 500), (None, 0)] {
            story(async {
                let server = Server::new();
                let track = server.track("sensor");
                let options = memory::Options { datagram: takes, ..pair::options(version) };
                let mut viewer = server.join_over(version, options).await;
                let _subscription = viewer.subscribe(3, "sensor", everything()).await;
                settle().await;
                publish(&track, 0, (max + 1usize).saturating_sub(HEAD_BYTES));
                publish(&track, 1, max.saturating_sub(HEAD_BYTES));
                let came = next(&mut viewer)
                    .await
                    .map(|datagram| (datagram.subscribe.get(), datagram.sequence.get(), datagram.payload.len() + HEAD_BYTES));
                assert_eq!(came, takes.map(|_| (3, 1, max)), "{version}: {takes:?}");
                assert_eq!(next(&mut viewer).await, None, "{version}: {takes:?}");
                assert!(viewer.sees_nothing().await, "{version}: {takes:?}: nor on a stream");
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn before_05_nobody_gets_one_nor_a_stream_instead() {
    each_version(async |version| {
        if version >= Version::Lite05 {
            return;
        }
        let server = Server::new();
        let track = server.track("sensor");
        let mut viewer = server.join(version).await;
        let _subscription = viewer.subscribe(0, "sensor", everything()).await;
        settle().await;
        publish(&track, 0, 10);
        let came = timeout(Duration::from_secs(1), poll_fn(|cx| viewer.bare.connection.poll_recv_datagram(cx))).await;
        assert!(came.is_err() && viewer.sees_nothing().await, "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_sequence_comes_once_whether_in_a_datagram_or_on_a_stream_and_what_is_bad_is_dropped() {
    for version in WITH {
        story(async {
            let server = Server::new();
            let mut publisher = server.join(version).await;
            let _announced = publisher.announce("cam").await;
            server.heard("cam").await;
            let mut viewer = server.join(version).await;
            let subscribing = viewer.subscribe_to("cam", 0, "sensor", everything());
            let (_subscription, (id, _asked)) = tokio::join!(subscribing, publisher.asked());
            let layout = version.dialect().datagram.as_ref().unwrap();
            let datagram = |subscribe: VarInt, sequence: u32| {
                let (sequence, timestamp) = (VarInt::from_u32(sequence), 0.try_into().unwrap());
                layout.encode(&Datagram { subscribe, sequence, timestamp, payload: Bytes::from_static(b"hi") })
            };
            // For nobody, cut off, and empty; then one twice.
            let bad = [datagram(VarInt::from_u32(99), 1), Bytes::from_static(&[0, 0x40]), Bytes::new()];
            for wire in bad.into_iter().chain([datagram(id, 1), datagram(id, 1)]) {
                assert!(publisher.bare.connection.send_datagram(wire));
            }
            assert_eq!(next(&mut viewer).await.map(|datagram| datagram.sequence.get()), Some(1), "{version}");
            assert_eq!(next(&mut viewer).await, None, "{version}");
            assert!(!publisher.bare.served.is_finished(), "{version}");

            // On a stream what came in a datagram, and the other way round.
            let mut frame = Writer::new();
            version.framing().write_head(FrameHead { delta: Some(0), size: 2 }, &mut frame);
            let frame = [&frame.into_bytes()[..], b"hi"].concat();
            for sequence in [1, 2] {
                let mut group = publisher.open_group(id, sequence).await;
                bare::write(&mut group, &frame).await;
                let _ = group.finish();
                settle().await;
            }
            assert!(publisher.bare.connection.send_datagram(datagram(id, 2)));
            assert_eq!(soon("a group", viewer.group()).await.map(|group| group.sequence), Some(2), "{version}");
            assert_eq!(next(&mut viewer).await, None, "{version}");
            assert!(viewer.sees_nothing().await, "{version}");
        })
        .await;
    }
}

/// What brings nothing but datagrams has brought something.
#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_reset_after_a_datagram_is_asked_for_again_unnoticed() {
    for version in WITH {
        story(async {
            let server = Server::new();
            let mut publisher = server.join(version).await;
            let _announced = publisher.announce("cam").await;
            server.heard("cam").await;
            let mut viewer = server.join(version).await;
            let subscribing = viewer.subscribe_to("cam", 0, "sensor", everything());
            let (_subscription, (mut id, mut asked)) = tokio::join!(subscribing, publisher.asked());
            for sequence in 0..3 {
                let (sequence, timestamp) = (VarInt::from_u32(sequence), 0.try_into().unwrap());
                let datagram = Datagram { subscribe: id, sequence, timestamp, payload: Bytes::from_static(b"hi") };
                let wire = version.dialect().datagram.as_ref().unwrap().encode(&datagram);
                assert!(publisher.bare.connection.send_datagram(wire));
                assert_eq!(next(&mut viewer).await.map(|datagram| datagram.sequence), Some(sequence), "{version}");
                asked.0.reset(7);
                (id, asked) = soon("to be asked again", publisher.asked()).await;
            }
        })
        .await;
    }
}
