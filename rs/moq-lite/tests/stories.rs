//! Two sessions, or a relay and its peers, meet in memory: every behaviour over every version, on paused time.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use bytes::Bytes;
use moq_lite::{
    model::{demand, group::GroupError, track},
    session::Error,
    testing::{
        memory,
        pair::{self, Pair, Published, Relay, each_version, story},
    },
    transport::ConnectionError,
};
use moq_proto::{CloseCode, Timestamp, Version, close};
use tokio::time::{sleep, timeout};

const SOON: Duration = Duration::from_secs(5);

/// Asks for the newest group and what follows.
fn live() -> demand::Ask {
    demand::Ask { max_age: Some(Duration::ZERO), ..demand::Ask::default() }
}

async fn watch(peer: &pair::Peer, path: &str, name: &str) -> track::Subscription {
    let track = peer.consume(path).await.track(name).await.unwrap();
    track.subscribe(live())
}

/// The frames of the next group, which must come soon.
async fn next(groups: &mut track::Subscription) -> (u64, Vec<Bytes>) {
    let group = timeout(SOON, groups.next()).await.expect("a group in time").expect("a group");
    (group.sequence(), timeout(SOON, group.frames()).await.expect("its frames in time"))
}

/// Waits until `done`, which something already under way makes true.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

fn room(peer: &pair::Peer) -> (Published, track::Producer) {
    let room = peer.publish("room/alice");
    let video = room.create_track("video");
    (room, video)
}

#[tokio::test(start_paused = true)]
async fn late_viewer_starts_at_the_live_edge() {
    each_version(async |version| {
        let Pair { publisher, viewer } = Pair::connect(version).await;
        let (_room, video) = room(&publisher);
        video.append_group().write_all(["old"]);
        video.append_group().write_all(["key", "delta"]);

        let mut groups = watch(&viewer, "room/alice", "video").await;

        let (sequence, frames) = next(&mut groups).await;
        assert_eq!((sequence, frames), (1, vec!["key".into(), "delta".into()]), "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn frames_travel_as_they_are_written() {
    each_version(async |version| {
        let Pair { publisher, viewer } = Pair::connect(version).await;
        let (_room, video) = room(&publisher);
        let mut groups = watch(&viewer, "room/alice", "video").await;
        let mut group = video.append_group();
        for text in ["one", "", "three"] {
            group.write_frame(text, None).unwrap();
        }

        let mut seen = timeout(SOON, groups.next()).await.unwrap().unwrap();
        for text in ["one", "", "three"] {
            let frame = timeout(SOON, seen.next_frame()).await.expect(text).unwrap().unwrap();
            assert_eq!(frame.payload, text, "{version}");
        }
        group.write_frame("late", None).unwrap();
        assert_eq!(timeout(SOON, seen.next_frame()).await.unwrap().unwrap().unwrap().payload, "late");
        group.finish();
        assert_eq!(timeout(SOON, seen.next_frame()).await.unwrap().unwrap(), None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_large_group_passes_small_windows_whole() {
    each_version(async |version| {
        let relay = Relay::new();
        let narrow = || memory::Options { window: 1500, ..pair::options(version) };
        let publisher = relay.join_over(version, narrow()).await;
        let viewer = relay.join_over(version, narrow()).await;
        let (_room, video) = room(&publisher);
        let mut groups = watch(&viewer, "room/alice", "video").await;

        let frames: Vec<Bytes> = (0..40u8).map(|n| vec![n; usize::from(n) * 1999].into()).collect();
        video.append_group().write_all(frames.clone());

        assert_eq!(next(&mut groups).await.1, frames, "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn any_version_watches_any_other() {
    for &here in Version::ALL {
        for &there in Version::ALL {
            story(async move {
                let relay = Relay::new();
                let (publisher, viewer) = (relay.join(here).await, relay.join(there).await);
                let (_room, video) = room(&publisher);
                let mut groups = watch(&viewer, "room/alice", "video").await;
                for round in 0..20u8 {
                    let frames: Vec<Bytes> = (0..round).map(|n| vec![round; usize::from(n) * 777].into()).collect();
                    video.append_group().write_all(frames.clone());
                    let (sequence, seen) = next(&mut groups).await;
                    assert_eq!((sequence, seen), (u64::from(round), frames), "{here} to {there}");
                }
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_publisher_sends_once_however_many_watch() {
    each_version(async |version| {
        let relay = Relay::new();
        let publisher = relay.join(version).await;
        let (_room, video) = room(&publisher);
        let mut viewers = Vec::new();
        for _ in 0..5 {
            let viewer = relay.join(version).await;
            let groups = watch(&viewer, "room/alice", "video").await;
            viewers.push((viewer, groups));
        }
        until("all five watch", || relay.stats.counters().subscribes.load(Relaxed) == 5).await;
        let before = publisher.connection.opened_uni();
        for round in 0..10 {
            video.append_group().write_all(["frame"]);
            for (_, groups) in &mut viewers {
                assert_eq!(next(groups).await.0, round, "{version}");
            }
        }
        assert_eq!(publisher.connection.opened_uni() - before, 10, "{version}: a stream a group");
        assert_eq!(relay.stats.counters().upstream_subscribes.load(Relaxed), 1, "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_late_viewer_gets_the_current_group_from_its_first_frame() {
    each_version(async |version| {
        let relay = Relay::new();
        let publisher = relay.join(version).await;
        let (_room, video) = room(&publisher);
        let early = relay.join(version).await;
        let mut early = watch(&early, "room/alice", "video").await;
        let mut group = video.append_group();
        group.write_frame("key", None).unwrap();
        let mut seen = timeout(SOON, early.next()).await.unwrap().unwrap();
        assert_eq!(seen.next_frame().await.unwrap().unwrap().payload, "key");

        let late = relay.join(version).await;
        let mut late = watch(&late, "room/alice", "video").await;
        let mut caught_up = timeout(SOON, late.next()).await.unwrap().unwrap();
        assert_eq!(timeout(SOON, caught_up.next_frame()).await.unwrap().unwrap().unwrap().payload, "key", "{version}");
        group.write_frame("delta", None).unwrap();
        assert_eq!(timeout(SOON, caught_up.next_frame()).await.unwrap().unwrap().unwrap().payload, "delta", "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_stops_reading_loses_groups_and_holds_nobody_back() {
    each_version(async |version| {
        let relay = Relay::new();
        let publisher = relay.join(version).await;
        let (_room, video) = room(&publisher);
        let stuck = relay.join_over(version, memory::Options { uni_streams: 1, window: 100, ..pair::options(version) }).await;
        let good = relay.join(version).await;
        let mut stuck_groups = watch(&stuck, "room/alice", "video").await;
        let mut good_groups = watch(&good, "room/alice", "video").await;
        let frame = vec![7u8; 10_000];
        for round in 0..50 {
            video.append_group().write_all([frame.clone(), frame.clone()]);
            assert_eq!(next(&mut good_groups).await.0, round, "{version}");
        }
        // Whoever comes back goes on with what is newest.
        let mut last = 0;
        for _ in 0..50 {
            match timeout(SOON, stuck_groups.next()).await {
                Ok(Some(group)) => last = group.sequence(),
                _ => break,
            }
            if last == 49 {
                break;
            }
        }
        assert_eq!(last, 49, "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn broadcasts_come_and_go_and_come_back() {
    each_version(async |version| {
        let relay = Relay::new();
        let (publisher, viewer) = (relay.join(version).await, relay.join(version).await);
        let view = viewer.view();
        for _ in 0..3 {
            let room = publisher.publish("room/alice");
            timeout(SOON, viewer.consume("room/alice")).await.expect("announced");
            drop(room);
            let path = "room/alice".parse().unwrap();
            until("unannounced", || view.consume(&path).is_none()).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_does_not_hear_of_its_own_broadcast() {
    each_version(async |version| {
        let relay = Relay::new();
        let (publisher, other) = (relay.join(version).await, relay.join(version).await);
        let mine = publisher.publish("room/alice");
        let theirs = other.publish("room/bob");
        let heard = timeout(SOON, publisher.consume("room/bob")).await.expect("announced");
        timeout(SOON, other.consume("room/alice")).await.expect("announced");
        assert_ne!(heard.id(), theirs.broadcast().id(), "{version}: over the relay");
        let own = publisher.consume("room/alice").await;
        assert_eq!(own.id(), mine.broadcast().id(), "{version}: not over the relay");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_demand_of_viewers_reaches_the_publisher_and_goes_with_them() {
    each_version(async |version| {
        let relay = Relay::new();
        let (publisher, viewer) = (relay.join(version).await, relay.join(version).await);
        let (_room, video) = room(&publisher);
        assert_eq!(video.demand(), None);

        let track = viewer.consume("room/alice").await.track("video").await.unwrap();
        let watching = track.subscribe(demand::Ask { priority: 9, max_age: Some(Duration::from_millis(250)), ..live() });
        until("wanted", || video.demand().is_some_and(|demand| demand.priority == 9)).await;
        if version >= Version::Lite03 {
            watching.update(demand::Ask { priority: 200, max_age: Some(Duration::from_secs(2)), ..live() });
            until("updated", || video.demand().is_some_and(|demand| demand.priority == 200)).await;
        }
        drop(watching);
        until("unwanted", || video.demand().is_none()).await;

        let _again = track.subscribe(live());
        until("wanted again", || video.demand().is_some()).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_refused_and_the_session_goes_on() {
    each_version(async |version| {
        let relay = Relay::new();
        let (publisher, viewer) = (relay.join(version).await, relay.join(version).await);
        let (room, video) = room(&publisher);
        let broadcast = viewer.consume("room/alice").await;
        let serve = async {
            let request = room.broadcast().requested().await.unwrap();
            assert_eq!(request.name(), "nothing");
            request.reject(close::stream::NOT_FOUND);
        };
        if version >= Version::Lite05 {
            let (refused, ()) = tokio::join!(timeout(SOON, broadcast.track("nothing")), serve);
            assert_eq!(refused.unwrap().unwrap_err().code, close::stream::NOT_FOUND, "{version}");
        }
        let mut groups = watch(&viewer, "room/alice", "video").await;
        video.append_group().write_all(["still here"]);
        assert_eq!(next(&mut groups).await.1, ["still here"], "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_group_its_publisher_gives_up_is_reset_with_the_same_code() {
    each_version(async |version| {
        let relay = Relay::new();
        let (publisher, viewer) = (relay.join(version).await, relay.join(version).await);
        let (_room, video) = room(&publisher);
        let mut groups = watch(&viewer, "room/alice", "video").await;
        let mut group = video.append_group();
        group.write_frame("half", None).unwrap();
        let mut seen = timeout(SOON, groups.next()).await.unwrap().unwrap();
        assert_eq!(seen.next_frame().await.unwrap().unwrap().payload, "half");
        group.abort(CloseCode::new(77));

        let error = timeout(SOON, seen.next_frame()).await.unwrap().unwrap_err();
        assert_eq!(error, GroupError::Reset { sequence: 0, code: CloseCode::new(77) }, "{version}");
        video.append_group().write_all(["whole"]);
        assert_eq!(next(&mut groups).await.1, ["whole"], "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_goes_away_ends_what_it_fed_and_its_successor_is_found() {
    each_version(async |version| {
        let relay = Relay::new();
        let viewer = relay.join(version).await;
        for round in 0..5 {
            let publisher = relay.join(version).await;
            let (_room, video) = room(&publisher);
            let mut groups = watch(&viewer, "room/alice", "video").await;
            let mut group = video.append_group();
            group.write_frame(format!("round {round}"), None).unwrap();
            let mut seen = timeout(SOON, groups.next()).await.unwrap().unwrap();
            assert_eq!(seen.next_frame().await.unwrap().unwrap().payload, format!("round {round}"), "{version}");

            if round % 2 == 0 {
                publisher.connection.lose();
            } else {
                publisher.closer.close(close::session::NO_ERROR, "bye");
            }
            assert!(timeout(SOON, seen.next_frame()).await.unwrap().is_err(), "{version}: cut, not finished");
            assert!(timeout(SOON, groups.next()).await.unwrap().is_none(), "{version}");
            let view = viewer.view();
            let path = "room/alice".parse().unwrap();
            until("unannounced", || view.consume(&path).is_none()).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_track_that_ends_ends_for_its_viewers_after_its_last_group() {
    each_version(async |version| {
        let relay = Relay::new();
        let (publisher, viewer) = (relay.join(version).await, relay.join(version).await);
        let (_room, video) = room(&publisher);
        let mut groups = watch(&viewer, "room/alice", "video").await;
        video.append_group().write_all(["only"]);
        assert_eq!(next(&mut groups).await.1, ["only"]);
        video.finish(None);
        assert!(timeout(SOON, groups.next()).await.unwrap().is_none(), "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_group_can_be_fetched_from_the_cache_and_from_its_publisher() {
    each_version(async |version| {
        let relay = Relay::new();
        let (publisher, viewer) = (relay.join(version).await, relay.join(version).await);
        let (_room, video) = room(&publisher);
        for round in 0..3u8 {
            video.append_group().write_all([vec![round], vec![round; 70_000], vec![]]);
        }
        let track = viewer.consume("room/alice").await.track("video").await.unwrap();
        let fetched = timeout(SOON, track.fetch(1)).await.expect("an answer in time");
        if version < Version::Lite05 {
            assert_eq!(fetched.unwrap_err().code, close::stream::NOT_FOUND, "{version}: no FETCH");
            return;
        }
        let frames = timeout(SOON, fetched.unwrap().frames()).await.expect("its frames in time");
        assert_eq!(frames, [vec![1], vec![1; 70_000], vec![]], "{version}: from the publisher");

        let missing = timeout(SOON, track.fetch(17)).await.expect("an answer in time");
        assert_eq!(missing.unwrap_err().code, close::stream::NOT_FOUND, "{version}: what never was");

        // Once kept by the relay, nobody asks the publisher again.
        let before = relay.stats.counters().received_bytes.load(Relaxed);
        let other = relay.join(version).await;
        let track = other.consume("room/alice").await.track("video").await.unwrap();
        let again = timeout(SOON, track.fetch(1)).await.expect("an answer in time").unwrap();
        assert_eq!(timeout(SOON, again.frames()).await.unwrap().len(), 3, "{version}: from the cache");
        assert_eq!(relay.stats.counters().received_bytes.load(Relaxed), before, "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn datagrams_stay_datagrams_where_both_ends_have_them() {
    each_version(async |version| {
        let relay = Relay::new();
        let (publisher, viewer) = (relay.join(version).await, relay.join(version).await);
        let (_room, audio) = room(&publisher);
        let track = viewer.consume("room/alice").await.track("video").await.unwrap();
        let mut groups = track.subscribe(demand::Ask { max_age: Some(SOON), ..live() });
        until("wanted", || audio.demand().is_some()).await;
        let (up, down) = (publisher.connection.opened_uni(), relay.stats.counters().sent_groups.load(Relaxed));

        let now = tokio::time::Instant::now().into_std();
        let time = Timestamp::try_from(40).unwrap();
        audio.datagram(7, time, "opus".into(), now).unwrap();
        if version >= Version::Lite05 {
            let mut group = timeout(SOON, groups.next()).await.unwrap().unwrap();
            assert_eq!(group.sequence(), 7, "{version}");
            let frame = group.next_frame().await.unwrap().unwrap();
            assert_eq!((frame.timestamp, frame.payload), (time, "opus".into()), "{version}");
        }
        audio.datagram(8, time, vec![0; 5000].into(), now).unwrap();
        audio.create_group(9).unwrap().write_all(["stream"]);
        assert_eq!(next(&mut groups).await, (9, vec!["stream".into()]), "{version}: too large to go on, and no stream instead");
        assert_eq!(publisher.connection.opened_uni() - up, 1, "{version}");
        assert_eq!(relay.stats.counters().sent_groups.load(Relaxed) - down, 1, "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_to_an_empty_room_gets_the_current_group_from_its_first_frame() {
    each_version(async |version| {
        let relay = Relay::new();
        let (publisher, viewer) = (relay.join(version).await, relay.join(version).await);
        let (_room, video) = room(&publisher);
        let mut group = video.append_group();
        let mut written = vec!["key".to_owned()];
        group.write_frame("key", None).unwrap();
        for round in 0..5 {
            let mut groups = watch(&viewer, "room/alice", "video").await;
            let mut seen = timeout(SOON, groups.next()).await.expect("the group in time").unwrap();
            for text in &written {
                let frame = timeout(SOON, seen.next_frame()).await.expect(text).unwrap().unwrap();
                assert_eq!(frame.payload, text, "{version}: round {round}");
            }
            drop((groups, seen));
            until("unwanted", || video.demand().is_none()).await;
            written.push(format!("delta {round}"));
            group.write_frame(written[round + 1].clone(), None).unwrap();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_small_groups_arrives_whole_and_before_the_end() {
    each_version(async |version| {
        let relay = Relay::new();
        let (publisher, viewer) = (relay.join(version).await, relay.join(version).await);
        let (_room, chat) = room(&publisher);
        let track = viewer.consume("room/alice").await.track("video").await.unwrap();
        let mut groups =
            track.subscribe(demand::Ask { max_age: Some(Duration::from_secs(1)), start: demand::Start::At(0), ..live() });
        until("wanted", || chat.demand().is_some()).await;
        for number in 0..500 {
            chat.append_group().write_all([format!("message {number}")]);
        }
        chat.finish(None);

        for number in 0..500 {
            assert_eq!(next(&mut groups).await.1, [format!("message {number}")], "{version}");
        }
        assert!(timeout(SOON, groups.next()).await.unwrap().is_none(), "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_one_viewer_ends_its_session_alone() {
    // Up to moq-lite-04 nothing but a group opens a unidirectional stream.
    let versions = Version::ALL.iter().copied().filter(|version| *version <= Version::Lite04);
    for version in versions {
        story(async move {
            let relay = Relay::new();
            let (publisher, good) = (relay.join(version).await, relay.join(version).await);
            let bad = relay.join_over(version, memory::Options { faulty: true, ..pair::options(version) }).await;
            let (_room, video) = room(&publisher);
            let mut groups = watch(&good, "room/alice", "video").await;
            let _lost = watch(&bad, "room/alice", "video").await;
            until("both watch", || relay.stats.counters().subscribes.load(Relaxed) == 2).await;
            for round in 0..5 {
                video.append_group().write_all(["frame"]);
                assert_eq!(next(&mut groups).await.0, round, "{version}");
            }
            let ended = timeout(SOON, bad.ended()).await.expect("its session ends").unwrap_err();
            let code = close::session::INTERNAL_ERROR.get();
            let closed = ConnectionError::Closed { code, reason: "internal error in a viewer".into() };
            assert_eq!(ended, Error::Connection(closed), "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_ends_its_track_and_leaves_has_ended_it() {
    each_version(async |version| {
        let relay = Relay::new();
        let (publisher, viewer) = (relay.join(version).await, relay.join(version).await);
        let (_room, video) = room(&publisher);
        let track = viewer.consume("room/alice").await.track("video").await.unwrap();
        let mut groups = track.subscribe(live());
        video.append_group().write_all(["only"]);
        assert_eq!(next(&mut groups).await.1, ["only"]);
        video.finish(None);
        sleep(Duration::from_millis(250)).await;
        publisher.closer.close(close::session::NO_ERROR, "done");

        assert!(timeout(SOON, groups.next()).await.unwrap().is_none(), "{version}");
        assert_eq!(track.ended(), Some(Ok(1)), "{version}: over, not broken off");
    })
    .await;
}
