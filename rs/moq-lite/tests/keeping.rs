//! What a relay keeps of a track for whoever comes later: by the times of its frames, and by the clock only where those do not move.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::time::Duration;

use bare::{Peer, Server, settle, soon, younger_than};
use moq_lite::{
    model::{demand::Ask, track},
    testing::{
        memory::{RecvStream, SendStream},
        pair::story,
    },
};
use moq_proto::{VarInt, Version, lite::message::SubscribeOptions};
use tokio::time::sleep;

/// The versions that can ask for groups of the past.
const BOUNDED: [Version; 4] = [Version::Lite03, Version::Lite04, Version::Lite05, Version::Lite06];

/// A track that a bare publisher feeds, and somebody watches all along.
struct Fed {
    server: Server,
    publisher: Peer,
    id: VarInt,
    _reader: track::Subscription,
    _streams: [(SendStream, RecvStream); 2],
}

impl Fed {
    async fn by(version: Version) -> Self {
        let server = Server::new();
        let mut publisher = server.join(version).await;
        let announced = publisher.announce("live").await;
        let live = server.heard("live").await;
        let (_reader, (id, asked)) = tokio::join!(
            async { soon("the track", live.track("chat")).await.unwrap().subscribe(Ask::default()) },
            publisher.asked(),
        );
        Self { server, publisher, id, _reader, _streams: [announced, asked] }
    }

    /// The groups that somebody who comes now is given of all there are.
    async fn given(&self, version: Version) -> Vec<u64> {
        let mut viewer = self.server.join(version).await;
        let options = SubscribeOptions { group_start: Some(VarInt::ZERO), ..younger_than(600_000) };
        let _subscription = viewer.subscribe_to("live", 0, "chat", options).await;
        settle().await;
        viewer.arrived().iter().map(|group| group.sequence).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_track_on_which_little_comes_keeps_it() {
    for &publisher in Version::ALL {
        story(async move {
            let mut chat = Fed::by(publisher).await;
            for sequence in 0..3 {
                chat.publisher.send_group(chat.id, sequence, sequence * 1000).await;
                sleep(Duration::from_secs(1)).await;
            }
            sleep(Duration::from_secs(600)).await;
            for viewer in BOUNDED {
                assert_eq!(chat.given(viewer).await, [0, 1, 2], "{publisher} to {viewer}");
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_track_whose_times_stand_still_keeps_what_came_lately() {
    // 04 and older tell no times.
    for publisher in [Version::Lite05, Version::Lite06] {
        story(async move {
            let mut chat = Fed::by(publisher).await;
            for sequence in 0..13 {
                chat.publisher.send_group(chat.id, sequence, 7).await;
                sleep(Duration::from_secs(10)).await;
            }
            for viewer in BOUNDED {
                // Thirty seconds is as long as anything is kept.
                assert_eq!(chat.given(viewer).await, [9, 10, 11, 12], "{publisher} to {viewer}");
            }
        })
        .await;
    }
}
