//! What the viewers of one shard owe each other: whoever is slow, scarce of streams, or one of very many holds nobody up.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::{
    collections::HashSet,
    hint::black_box,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use bare::{Server, at, drain, everything, others, publish, read, reset, settle, soon, younger_than};
use moq_lite::testing::{
    memory,
    pair::{self, each_version, story},
};
use moq_proto::{Version, close};
use tokio::{
    task::{spawn_blocking, spawn_local},
    time::{sleep, timeout},
};

/// More viewers than a shard visits in one turn.
const CROWD: u32 = 600;

/// How often threads race each other, at most; each time over a track of its own.
const ROUNDS: u32 = 1000;

/// And how long, by the clock on the wall.
const RACE: Duration = Duration::from_millis(700);

/// A transport that lets the session open `uni_streams` streams at a time.
fn streams(version: Version, uni_streams: usize) -> memory::Options {
    memory::Options { uni_streams, ..pair::options(version) }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_gets_old_while_it_waits_for_a_stream_is_nobody_elses_loss() {
    // 01 and 02 have no word for how old a group may be.
    for version in [Version::Lite03, Version::Lite04, Version::Lite05, Version::Lite06] {
        story(async move {
            let server = Server::new();
            let video = server.track("video");
            let mut scarce = server.join_over(version, streams(version, 1)).await;
            let mut good = server.join(version).await;
            let _scarce = scarce.subscribe(0, "video", younger_than(500)).await;
            let _good = good.subscribe(0, "video", younger_than(500)).await;
            settle().await;

            // The first takes the only stream; two wait.
            publish(&video, 0);
            settle().await;
            publish(&video, 100);
            let mut third = video.append_group();
            third.write_frame("frame", at(200)).unwrap();
            settle().await;
            let mut first = scarce.group().await.unwrap();
            assert_eq!(first.sequence, 0, "{version}");
            assert_eq!(drain(&mut first.stream).await, Ok(()));
            // The newest comes next, and makes the one that still waits old.
            let mut newest = scarce.group().await.unwrap();
            assert_eq!(newest.sequence, 2, "{version}");
            third.write_frame("frame", at(900)).unwrap();
            settle().await;
            third.finish();
            assert_eq!(drain(&mut newest.stream).await, Ok(()));
            publish(&video, 1000);
            publish(&video, 1100);

            assert_eq!(good.groups().await, [0, 1, 2, 3, 4], "{version}");
            assert_eq!(server.stats.counters().expired_groups.load(Relaxed), 1, "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_stuck_delays_no_other_of_its_viewer() {
    each_version(async |version| {
        let server = Server::new();
        let video = server.track("video");
        let mut viewer = server.join_over(version, memory::Options { window: 1000, ..pair::options(version) }).await;
        let _subscription = viewer.subscribe(0, "video", everything()).await;
        settle().await;
        video.append_group().write_all([vec![0; 5000]]);
        let _stuck = viewer.group().await.unwrap();
        let mut group = video.append_group();
        // The shard hears of the group before there is anything of it.
        settle().await;
        group.write_frame("first", None).unwrap();
        let mut moving = viewer.group().await.unwrap();
        for round in 0..20 {
            // Over several of the shard's looks after whoever is blocked, and never at the same moment between two.
            sleep(Duration::from_millis(33 + round)).await;
            group.write_frame("frame", None).unwrap();
            let read = timeout(Duration::from_millis(1), read(&mut moving.stream, 1)).await;
            assert!(read.is_ok(), "{version}: frame {round} at once");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_and_has_not_arrived_is_taken_back_once_it_is_old_and_holds_up_newer_groups() {
    // 01 and 02 have no word for how old a group may be.
    for version in [Version::Lite03, Version::Lite04, Version::Lite05, Version::Lite06] {
        story(async move {
            let server = Server::new();
            let video = server.track("video");
            let lossy = memory::Options { window: 1000, acks_unread: false, ..pair::options(version) };
            let mut viewer = server.join_over(version, lossy).await;
            let _subscription = viewer.subscribe(0, "video", younger_than(500)).await;
            settle().await;
            // The first is sent whole, the second does not fit; the third makes the first old, and so does time.
            publish(&video, 0);
            settle().await;
            let mut second = video.append_group();
            second.write_frame(vec![0; 5000], at(100)).unwrap();
            second.finish();
            let third = video.append_group();
            let expired = || server.stats.counters().expired_groups.load(Relaxed);
            sleep(Duration::from_secs(1)).await;
            assert_eq!(expired(), 0, "{version}: nothing is old");

            let mut third = third;
            third.write_frame("frame", at(550)).unwrap();
            third.write_frame("frame", at(700)).unwrap();
            sleep(Duration::from_secs(1)).await;
            assert_eq!(expired(), 1, "{version}");
            let mut first = viewer.bare.accept_uni().await;
            assert_eq!(reset(&mut first).await, Some(close::stream::OLD.get()), "{version}");
            assert_eq!(viewer.group().await.map(|group| group.sequence), Some(1), "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_path_gets_back_what_is_old_when_a_group_begins_also_while_there_is_room() {
    for version in [Version::Lite03, Version::Lite04, Version::Lite05, Version::Lite06] {
        for is_strained in [false, true] {
            story(async move {
                let server = Server::new();
                let video = server.track("video");
                let silent = memory::Options { acks_unread: false, is_strained, ..pair::options(version) };
                let mut viewer = server.join_over(version, silent).await;
                let _subscription = viewer.subscribe(0, "video", younger_than(500)).await;
                settle().await;
                // The second makes the first old; it is when the third begins that this shows.
                for time in [0, 100, 700] {
                    let mut group = video.append_group();
                    group.write_frame("frame", at(time)).unwrap();
                    group.finish();
                    settle().await;
                }
                let mut last = video.append_group();
                last.write_frame("frame", at(800)).unwrap();
                settle().await;
                let expired = server.stats.counters().expired_groups.load(Relaxed);
                assert_eq!(expired, u64::from(is_strained), "{version}: {is_strained}");
                let mut first = viewer.bare.accept_uni().await;
                let code = is_strained.then(|| close::stream::OLD.get());
                assert_eq!(reset(&mut first).await, code, "{version}: {is_strained}");
                assert_eq!(viewer.group().await.map(|group| group.sequence), Some(1), "{version}");
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_without_frames_keeps_no_other_from_its_stream() {
    each_version(async |version| {
        let server = Server::new();
        let video = server.track("video");
        let mut viewer = server.join_over(version, streams(version, 1)).await;
        let _subscription = viewer.subscribe(0, "video", everything()).await;
        settle().await;
        publish(&video, 0);
        settle().await;
        publish(&video, 1);
        settle().await;
        let _empty = video.append_group();
        settle().await;
        let mut first = viewer.group().await.unwrap();
        assert_eq!(drain(&mut first.stream).await, Ok(()));
        assert_eq!(viewer.group().await.map(|group| group.sequence), Some(1), "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn every_viewer_is_visited_however_busy_the_publisher() {
    each_version(async |version| {
        let server = Server::new();
        let video = server.track("video");
        let mut peer = server.join_over(version, streams(version, 1_000_000)).await;
        let mut subscriptions = Vec::new();
        for id in 0..CROWD {
            subscriptions.push(peer.subscribe(id, "video", everything()).await);
        }
        settle().await;
        // A task beside the shard's, so that they take turns: something new each time, and then what has come so far.
        let busy = spawn_local(async move {
            for _ in 0..6 {
                publish(&video, 0);
                others().await;
            }
            peer.arrived().iter().map(|group| group.subscribe).collect::<HashSet<_>>()
        });
        let visited = busy.await.unwrap();
        assert_eq!(visited.len(), CROWD as usize, "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn blocked_viewers_are_looked_after_in_turns() {
    // 01 and 02 have no word for how old a group may be; to a shard the others are alike.
    story(async {
        let version = Version::Lite06;
        let server = Server::new();
        let video = server.track("video");
        let mut peer = server.join_over(version, streams(version, 1)).await;
        let mut subscriptions = Vec::new();
        for id in 0..CROWD {
            subscriptions.push(peer.subscribe(id, "video", younger_than(500)).await);
        }
        settle().await;
        // One viewer gets the first group; for all others it waits, and then is old.
        publish(&video, 0);
        settle().await;
        let mut second = video.append_group();
        second.write_frame("frame", at(100)).unwrap();
        settle().await;
        let expired = || server.stats.counters().expired_groups.load(Relaxed);
        assert_eq!(expired(), 0);
        second.write_frame("frame", at(900)).unwrap();

        let (mut before, mut most) = (0, 0);
        for _ in 0..500 {
            sleep(Duration::from_millis(1)).await;
            most = most.max(expired() - before);
            before = expired();
        }
        assert_eq!(expired(), u64::from(CROWD) - 1, "everybody was looked after");
        assert!(most <= u64::from(CROWD) / 2, "{most} at once");
    })
    .await;
}

// What follows is between threads, and the same in every version: when a group is seen is the model's and the shard's matter.

#[tokio::test]
async fn a_viewer_that_sits_down_while_groups_arrive_misses_none() {
    // Fewer than may wait for a viewer, so that none is let go of.
    const GROUPS: u64 = 100;
    story(async {
        let server = Server::new();
        let mut peer = server.join_over(Version::Lite04, streams(Version::Lite04, 1_000_000)).await;
        let began = Instant::now();
        for id in 0..ROUNDS {
            if began.elapsed() > RACE {
                break;
            }
            let name = format!("video {id}");
            let video = server.track(&name);
            let publisher = spawn_blocking(move || {
                for _ in 0..GROUPS {
                    publish(&video, 0);
                    spin(id % 50 * 10);
                }
                video
            });
            let _subscription = peer.subscribe(id, &name, everything()).await;
            let _video = publisher.await.unwrap();
            let mut seen = Vec::new();
            while seen.last() != Some(&(GROUPS - 1)) {
                let group = peer.group().await.expect("the last group");
                seen.push(group.sequence);
            }
            // Those that came between the newest it found and the first it was offered come after it.
            seen.sort_unstable();
            let first = seen[0];
            assert_eq!(seen, (first..GROUPS).collect::<Vec<_>>(), "round {id}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_track_does_not_overtake_its_last_groups() {
    story(async {
        let server = Server::new();
        let mut peer = server.join_over(Version::Lite04, streams(Version::Lite04, 1_000_000)).await;
        let began = Instant::now();
        for id in 0..ROUNDS {
            if began.elapsed() > RACE {
                break;
            }
            let name = format!("video {id}");
            let video = server.track(&name);
            let (_send, mut replies) = peer.subscribe(id, &name, everything()).await;
            soon("SUBSCRIBE_OK", read(&mut replies, 1)).await.unwrap();
            let publisher = spawn_blocking(move || {
                publish(&video, 0);
                spin(id % 300 * 20);
                publish(&video, 1);
                video.finish(None);
            });
            assert_eq!(soon("the end", drain(&mut replies)).await, Ok(()));
            publisher.await.unwrap();
            let arrived: Vec<_> = peer.arrived().iter().map(|group| group.sequence).collect();
            assert_eq!(arrived, [0, 1], "round {id}");
        }
    })
    .await;
}

/// Passes a little time without giving up the processor.
fn spin(rounds: u32) {
    (0..rounds).for_each(|round| {
        black_box(round);
    });
}
