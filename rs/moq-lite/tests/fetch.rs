//! Single groups, asked of their publisher because nobody keeps them: how, for how long, and of whom.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::time::Duration;

use bare::{Server, drain, read, reset, settle, soon, stopped, write};
use futures::FutureExt;
use moq_lite::{testing::pair::story, transport::SendStream as _};
use moq_proto::{Version, close};

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
            tokio::time::sleep(Duration::from_secs(100)).await;
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
