//! How a track ends: what its publisher says of its last groups, when its viewers hear of it, and what is not waited for.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::time::Duration;

use bare::{Peer, Server, settle, soon};
use moq_lite::{
    model::{
        demand::{self, Ask},
        track,
    },
    testing::{
        memory::{RecvStream, SendStream},
        pair::story,
    },
    transport::SendStream as _,
};
use moq_proto::{
    VarInt, Version,
    lite::message::{SubscribeDrop, SubscribeReply},
};
use tokio::time::{Instant, sleep};

/// The versions that say where a track ends.
const ENDING: [Version; 2] = [Version::Lite05, Version::Lite06];

/// A bare publisher of "live", and what the relay asked it for on behalf of one reader.
struct OnAir {
    _server: Server,
    publisher: Peer,
    groups: track::Subscription,
    id: VarInt,
    send: SendStream,
    _recv: RecvStream,
    _announced: (SendStream, RecvStream),
}

impl OnAir {
    /// With a reader who accepts groups of great age, and who would be kept waiting for one for as long.
    async fn new(version: Version) -> Self {
        let server = Server::new();
        let mut publisher = server.join(version).await;
        let announced = publisher.announce("live").await;
        let live = server.heard("live").await;
        let ask = Ask { start: demand::Start::At(0), max_age: Some(Duration::from_secs(10)), ..Ask::default() };
        let (groups, (id, (send, recv))) =
            tokio::join!(async { soon("the track", live.track("video")).await.unwrap().subscribe(ask) }, publisher.asked(),);
        Self { _server: server, publisher, groups, id, send, _recv: recv, _announced: announced }
    }

    async fn say(&mut self, reply: SubscribeReply) {
        self.publisher.reply(&mut self.send, &reply).await;
    }

    async fn group(&mut self, sequence: u32) {
        self.publisher.send_group(self.id, sequence, sequence * 1000).await;
    }

    /// The sequences of the groups until the track ends, and how long its end was waited for.
    async fn rest(&mut self) -> (Vec<u64>, Duration) {
        let (began, mut sequences) = (Instant::now(), Vec::new());
        while let Some(group) = soon("the end", self.groups.next()).await {
            sequences.push(group.sequence());
        }
        (sequences, began.elapsed())
    }
}

fn start(group: u32) -> SubscribeReply {
    SubscribeReply::Start { group: VarInt::from_u32(group) }
}

fn end(group: u32) -> SubscribeReply {
    SubscribeReply::End { group: VarInt::from_u32(group) }
}

#[tokio::test(start_paused = true)]
async fn a_track_longer_than_what_is_kept_ends_with_its_publisher() {
    for version in ENDING {
        story(async move {
            let mut live = OnAir::new(version).await;
            live.say(start(0)).await;
            // Thirty seconds of them are kept.
            for sequence in 0..40 {
                live.group(sequence).await;
                sleep(Duration::from_secs(1)).await;
            }
            assert!(live.groups.track().group(0).is_none(), "{version}");
            live.say(end(40)).await;
            live.send.finish().unwrap();
            let (_, waited) = live.rest().await;
            assert!(waited < Duration::from_millis(100), "{version}: {waited:?}");
            assert_eq!(live.groups.track().ended(), Some(Ok(40)), "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn groups_that_their_publisher_leaves_out_are_not_waited_for() {
    for version in ENDING {
        story(async move {
            let mut live = OnAir::new(version).await;
            live.say(start(0)).await;
            live.group(0).await;
            live.group(3).await;
            let (start, last) = (VarInt::from_u32(1), VarInt::from_u32(2));
            live.say(SubscribeReply::Drop(SubscribeDrop { start, end: last, code: VarInt::ZERO })).await;
            live.say(end(4)).await;
            live.send.finish().unwrap();
            let (sequences, waited) = live.rest().await;
            assert_eq!(sequences, [0, 3], "{version}");
            assert!(waited < Duration::from_millis(100), "{version}: {waited:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_late_is_waited_for_as_long_as_its_readers_accept() {
    for version in ENDING {
        story(async move {
            let mut live = OnAir::new(version).await;
            live.say(start(0)).await;
            live.group(0).await;
            live.say(end(2)).await;
            live.send.finish().unwrap();
            sleep(Duration::from_secs(8)).await;
            live.group(1).await;
            assert_eq!(live.rest().await.0, [0, 1], "{version}");

            let mut live = OnAir::new(version).await;
            live.say(start(0)).await;
            live.group(0).await;
            live.say(end(2)).await;
            live.send.finish().unwrap();
            let (sequences, waited) = live.rest().await;
            assert_eq!(sequences, [0], "{version}");
            assert!(waited.abs_diff(Duration::from_secs(10)) < Duration::from_secs(1), "{version}: {waited:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_before_its_start_is_an_end() {
    for version in ENDING {
        story(async move {
            let mut live = OnAir::new(version).await;
            live.say(start(5)).await;
            live.say(end(3)).await;
            live.send.finish().unwrap();
            assert_eq!(live.rest().await.0, [0; 0], "{version}");
            settle().await;
            assert!(!live.publisher.bare.served.is_finished(), "{version}");
        })
        .await;
    }
}
