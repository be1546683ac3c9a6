//! How a track ends: what its publisher says of its last groups, when its viewers hear of it, and what is not waited for.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::time::Duration;

use bare::{
    frame,
    on_air::{ENDING, OnAir, dropped, each_pair, end, start},
    settle, soon, stopped, write,
};
use moq_lite::{
    testing::pair::{each_version, story},
    transport::{Connection as _, SendStream as _, StreamError},
};
use moq_proto::{Version, close};
use tokio::time::{Instant, sleep};

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
            live.say(dropped(1, 2)).await;
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

#[tokio::test(start_paused = true)]
async fn viewers_hear_where_the_track_ends_while_its_last_group_is_under_way() {
    each_pair(async |publisher, viewer| {
        let mut live = OnAir::new(publisher).await;
        let mut viewer = live.viewer(viewer).await;
        live.say(start(0)).await;
        let mut last = live.publisher.open_group(live.id, 0).await;
        write(&mut last, &frame(publisher, 0)).await;
        settle().await;
        live.say(end(1)).await;
        let began = Instant::now();
        viewer.hears(&[start(0), end(1)]).await;
        assert!(began.elapsed() < Duration::from_millis(100), "{publisher}");

        sleep(Duration::from_secs(5)).await;
        last.finish().unwrap();
        live.send.finish().unwrap();
        assert_eq!(viewer.ends().await, Ok(()), "{publisher}");
        assert_eq!(viewer.groups(), [0], "{publisher}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_leaves_after_its_end_and_all_groups_has_ended_the_track() {
    each_pair(async |publisher, viewer| {
        let mut live = OnAir::new(publisher).await;
        let mut viewer = live.viewer(viewer).await;
        live.say(start(0)).await;
        live.group(0).await;
        live.say(end(1)).await;
        settle().await;
        live.publisher.bare.connection.close(0, "that was all");
        viewer.hears(&[start(0), end(1)]).await;
        assert_eq!(viewer.ends().await, Ok(()), "{publisher}");
        assert_eq!(live.rest().await.0, [0], "{publisher}");

        // With a group missing it has not.
        let mut live = OnAir::new(publisher).await;
        live.say(start(0)).await;
        live.group(0).await;
        live.say(end(2)).await;
        settle().await;
        live.publisher.bare.connection.close(0, "that was all");
        assert_eq!(live.rest().await.0, [0], "{publisher}");
        let code = close::stream::SESSION_CLOSED;
        assert_eq!(live.groups.track().ended(), Some(Err(code)), "{publisher}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_end_is_not_told_before_a_start() {
    each_pair(async |publisher, viewer| {
        let mut live = OnAir::new(publisher).await;
        let mut viewer = live.viewer(viewer).await;
        live.say(start(0)).await;
        live.say(end(1)).await;
        settle().await;
        live.group(0).await;
        live.send.finish().unwrap();
        viewer.hears(&[start(0), end(1)]).await;
        assert_eq!(viewer.ends().await, Ok(()), "{publisher}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_group_past_the_end_breaks_the_track_on_06() {
    for version in ENDING {
        story(async move {
            let broken = Err(StreamError::Reset(close::stream::MALFORMED_TRACK.get()));
            // A group behind its end, whose number is that of the end or more.
            for past in [1, 5] {
                let mut live = OnAir::new(Version::Lite06).await;
                let mut viewer = live.viewer(version).await;
                live.say(start(0)).await;
                live.group(0).await;
                live.say(end(1)).await;
                viewer.hears(&[start(0), end(1)]).await;
                let mut past = live.publisher.open_group(live.id, past).await;
                assert_eq!(stopped(&mut past).await, Some(close::stream::CANCELLED.get()));
                assert_eq!(viewer.ends().await, broken);
                assert_eq!(viewer.groups(), [0]);
                assert!(!live.publisher.bare.served.is_finished());
            }
            // One that overtook it.
            let mut live = OnAir::new(Version::Lite06).await;
            let mut viewer = live.viewer(version).await;
            live.say(start(0)).await;
            live.group(5).await;
            viewer.hears(&[start(if version == Version::Lite05 { 5 } else { 0 })]).await;
            live.say(end(1)).await;
            assert_eq!(viewer.ends().await, broken);
            // One that comes when all was said.
            let mut live = OnAir::new(Version::Lite06).await;
            let mut viewer = live.viewer(version).await;
            live.say(start(0)).await;
            live.group(0).await;
            live.say(end(2)).await;
            live.send.finish().unwrap();
            viewer.hears(&[start(0), end(2)]).await;
            live.group(2).await;
            assert_eq!(viewer.ends().await, broken);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_past_the_end_is_dropped_alone_on_05() {
    for viewer in ENDING {
        story(async move {
            let mut live = OnAir::new(Version::Lite05).await;
            let mut viewer = live.viewer(viewer).await;
            live.say(start(0)).await;
            live.group(0).await;
            live.say(end(1)).await;
            settle().await;
            let mut past = live.publisher.open_group(live.id, 5).await;
            assert_eq!(stopped(&mut past).await, Some(close::stream::CANCELLED.get()));
            live.send.finish().unwrap();
            viewer.hears(&[start(0), end(1)]).await;
            assert_eq!(viewer.ends().await, Ok(()));
            assert_eq!(viewer.groups(), [0]);
        })
        .await;
    }
}

/// The first text of moq-lite-05 counted it in, and so do `@moq/net` 0.1.3 to 0.1.9.
#[tokio::test(start_paused = true)]
async fn the_group_that_the_end_names_is_taken_on_05_and_given_to_whom_it_does_not_surprise() {
    for (viewer, given) in [(Version::Lite05, vec![0, 1]), (Version::Lite06, vec![0])] {
        story(async move {
            let mut live = OnAir::new(Version::Lite05).await;
            let mut viewer = live.viewer(viewer).await;
            live.say(start(0)).await;
            live.group(0).await;
            live.say(end(1)).await;
            settle().await;
            live.group(1).await;
            settle().await;
            live.send.finish().unwrap();
            viewer.hears(&[start(0), end(1)]).await;
            assert_eq!(viewer.ends().await, Ok(()));
            assert_eq!(viewer.groups(), given, "{}", viewer.peer.version);
            assert_eq!(live.rest().await.0, [0, 1], "and kept");
            assert_eq!(live.groups.track().ended(), Some(Ok(2)));
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_below_what_is_here_moves_up() {
    for viewer in ENDING {
        story(async move {
            let mut live = OnAir::new(Version::Lite05).await;
            let mut viewer = live.viewer(viewer).await;
            live.say(start(0)).await;
            for sequence in 0..4 {
                live.group(sequence).await;
            }
            settle().await;
            live.say(end(2)).await;
            live.send.finish().unwrap();
            viewer.hears(&[start(0), end(4)]).await;
            assert_eq!(viewer.ends().await, Ok(()));
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_ends_without_an_end_is_asked_for_again() {
    each_pair(async |publisher, viewer| {
        let mut live = OnAir::new(publisher).await;
        let mut viewer = live.viewer(viewer).await;
        // Before anything was said too.
        live.asked_again().await;
        live.say(start(0)).await;
        live.group(0).await;
        settle().await;
        live.asked_again().await;
        live.say(start(0)).await;
        live.group(1).await;
        live.say(end(2)).await;
        live.send.finish().unwrap();
        viewer.hears(&[start(0), end(2)]).await;
        assert_eq!(viewer.ends().await, Ok(()), "{publisher}");
        assert_eq!(viewer.groups(), [0, 1], "{publisher}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_never_says_an_end_is_asked_a_few_times_only() {
    for version in ENDING {
        story(async move {
            let mut live = OnAir::new(version).await;
            let refuse = async {
                loop {
                    live.send.finish().unwrap();
                    let (_, (send, recv)) = live.publisher.asked().await;
                    (live.send, live.recv) = (send, recv);
                }
            };
            tokio::select! {
                group = soon("the end", live.groups.next()) => assert!(group.is_none(), "{version}"),
                () = refuse => unreachable!("it never ends"),
            }
            let code = close::stream::MALFORMED_TRACK;
            assert_eq!(live.groups.track().ended(), Some(Err(code)), "{version}");
        })
        .await;
    }
}

/// There is nothing else that an end could be told by.
#[tokio::test(start_paused = true)]
async fn a_subscription_that_ends_is_the_end_on_04_and_older() {
    each_version(async |version| {
        if ENDING.contains(&version) {
            return;
        }
        let mut live = OnAir::new(version).await;
        live.group(0).await;
        settle().await;
        live.send.finish().unwrap();
        assert_eq!(live.rest().await.0, [0], "{version}");
        assert_eq!(live.groups.track().ended(), Some(Ok(1)), "{version}");
    })
    .await;
}
