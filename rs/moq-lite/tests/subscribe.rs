//! What one SUBSCRIBE brings: which groups, each once, what is told of them, and to whom nothing is given.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use bare::{SOON, Server, at, drain, everything, hop, path, publish, read, reset, settle, soon, younger_than};
use bytes::BytesMut;
use moq_lite::{
    model::{broadcast, cache::Budget, origin::Horizon, route::Route, track},
    testing::{
        memory,
        pair::{self, each_version, story},
    },
    transport::StreamError,
};
use moq_proto::{
    Cost, Framing, HopChain, Path, VarInt, Version, close,
    lite::message::{SubscribeOptions, SubscribeReply},
};

/// The versions that say more than a priority when they subscribe.
const BOUNDED: [Version; 4] = [Version::Lite03, Version::Lite04, Version::Lite05, Version::Lite06];

/// Publishes one group under a sequence of its own choice, a tenth of a second for each.
fn publish_as(track: &track::Producer, sequence: u64) {
    let mut group = track.create_group(sequence).unwrap();
    group.write_frame("frame", at(sequence * 100)).unwrap();
    group.finish();
}

#[tokio::test(start_paused = true)]
async fn another_priority_brings_no_group_of_the_past() {
    each_version(async |version| {
        let server = Server::new();
        let video = server.track("video");
        (0..5).for_each(|n| publish(&video, n * 100));
        let mut viewer = server.join(version).await;
        let (mut send, _recv) = viewer.subscribe(0, "video", younger_than(10_000)).await;
        let first = if version < Version::Lite06 { vec![4] } else { vec![0, 1, 2, 3, 4] };
        assert_eq!(viewer.groups().await, first, "{version}");

        viewer.update(&mut send, SubscribeOptions { priority: 9, ..younger_than(10_000) }).await;
        assert_eq!(viewer.groups().await, [0; 0], "{version}");
        publish(&video, 500);
        assert_eq!(viewer.groups().await, [5], "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_group_comes_twice_however_its_sequences_are_spread() {
    for version in BOUNDED {
        story(async move {
            let server = Server::new();
            let video = server.track("video");
            let mut viewer = server.join(version).await;
            let (mut send, _recv) = viewer.subscribe(0, "video", everything()).await;
            settle().await;
            // More runs of sequences than are remembered apart.
            let sequences: Vec<u64> = (0..80).map(|n| n * 2).collect();
            for &sequence in &sequences {
                publish_as(&video, sequence);
                assert_eq!(viewer.group().await.unwrap().sequence, sequence, "{version}");
            }
            // Another age, for which it looks at all there is once more.
            viewer.update(&mut send, younger_than(1_000_000)).await;
            assert_eq!(viewer.groups().await, [0; 0], "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_behind_the_newest_comes_only_to_those_who_accept_its_age() {
    for version in BOUNDED {
        story(async move {
            let server = Server::new();
            let video = server.track("video");
            let mut viewer = server.join(version).await;
            let _live = viewer.subscribe(0, "video", younger_than(0)).await;
            let _patient = viewer.subscribe(1, "video", younger_than(1000)).await;
            settle().await;
            for sequence in [5, 7, 6] {
                publish_as(&video, sequence);
                settle().await;
            }
            let came: Vec<_> = viewer.arrived().iter().map(|group| (group.subscribe, group.sequence)).collect();
            // Without times in frames, nobody is as impatient as they say.
            let late: &[(u64, u64)] = if version.dialect().framing == Framing::Sized { &[(0, 6), (1, 6)] } else { &[(1, 6)] };
            assert_eq!(came, [&[(0, 5), (1, 5), (0, 7), (1, 7)], late].concat(), "{version}");
        })
        .await;
    }
}

/// SUBSCRIBE_START of moq-lite-05 says that none below will come; older versions say nothing, and 06 has named what it takes.
#[tokio::test(start_paused = true)]
async fn a_group_below_the_first_comes_late_to_all_but_those_who_were_told_where_they_begin() {
    each_version(async |version| {
        let server = Server::new();
        let video = server.track("video");
        let mut viewer = server.join(version).await;
        let _subscription = viewer.subscribe(0, "video", younger_than(10_000)).await;
        settle().await;
        for sequence in [5, 3, 6] {
            publish_as(&video, sequence);
            settle().await;
        }
        let expected: &[u64] = if version == Version::Lite05 { &[5, 6] } else { &[5, 3, 6] };
        assert_eq!(viewer.groups().await, expected, "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn of_groups_that_waited_for_a_stream_none_below_the_first_sent_comes_on_05() {
    for version in BOUNDED {
        story(async move {
            let server = Server::new();
            let (audio, video) = (server.track("audio"), server.track("video"));
            let mut viewer = server.join_over(version, memory::Options { uni_streams: 1, ..pair::options(version) }).await;
            let _audio = viewer.subscribe(0, "audio", everything()).await;
            let _video = viewer.subscribe(1, "video", everything()).await;
            settle().await;
            publish(&audio, 0);
            let mut holder = viewer.group().await.unwrap();
            (0..3).for_each(|n| publish(&video, n));
            settle().await;
            assert_eq!(drain(&mut holder.stream).await, Ok(()));
            let mut came = Vec::new();
            while let Some(mut group) = viewer.group().await {
                came.push(group.sequence);
                assert_eq!(drain(&mut group.stream).await, Ok(()));
            }
            let expected: &[u64] = if version == Version::Lite05 { &[2] } else { &[2, 1, 0] };
            assert_eq!(came, expected, "{version}");
        })
        .await;
    }
}

/// What was let go of before it had a stream was not served.
#[tokio::test(start_paused = true)]
async fn groups_that_were_let_go_of_come_once_they_are_wanted_again() {
    let all = SubscribeOptions { group_start: Some(VarInt::ZERO), ..everything() };
    let later = SubscribeOptions { group_start: Some(VarInt::from_u32(2)), ..everything() };
    let newest = SubscribeOptions { group_start: Some(VarInt::ZERO), ..younger_than(0) };
    for (version, fewer) in BOUNDED.into_iter().flat_map(|version| [(version, later), (version, newest)]) {
        // Without times in frames, nobody is as impatient as they say.
        if fewer == newest && version.dialect().framing == Framing::Sized {
            continue;
        }
        story(async move {
            let server = Server::new();
            let (audio, video) = (server.track("audio"), server.track("video"));
            let mut viewer = server.join_over(version, memory::Options { uni_streams: 1, ..pair::options(version) }).await;
            let _audio = viewer.subscribe(0, "audio", everything()).await;
            let (mut send, _recv) = viewer.subscribe(1, "video", all).await;
            settle().await;
            publish(&audio, 0);
            let mut holder = viewer.group().await.unwrap();
            (0..3).for_each(|n| publish(&video, n * 100));
            viewer.update(&mut send, fewer).await;
            settle().await;
            assert_eq!(drain(&mut holder.stream).await, Ok(()));
            let mut came = Vec::new();
            for options in [fewer, all] {
                viewer.update(&mut send, options).await;
                while let Some(mut group) = viewer.group().await {
                    came.push(group.sequence);
                    assert_eq!(drain(&mut group.stream).await, Ok(()));
                }
                came.sort_unstable();
                let expected: &[u64] = if options == fewer { &[2] } else { &[0, 1, 2] };
                assert_eq!(came, expected, "{version}: {options:?}");
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn groups_above_the_end_come_once_the_end_is_raised() {
    for version in BOUNDED {
        story(async move {
            let server = Server::new();
            let video = server.track("video");
            let mut viewer = server.join(version).await;
            let end = |end| SubscribeOptions { group_end: Some(VarInt::from_u32(end)), ..everything() };
            let (mut send, _recv) = viewer.subscribe(0, "video", end(1)).await;
            settle().await;
            (0..5).for_each(|n| publish(&video, n));
            assert_eq!(viewer.groups().await, [0, 1], "{version}");

            viewer.update(&mut send, end(3)).await;
            assert_eq!(viewer.groups().await, [2, 3], "{version}");
        })
        .await;
    }
}

/// An end is where delivery pauses; the track goes on behind it.
#[tokio::test(start_paused = true)]
async fn a_track_that_is_over_ends_only_for_those_who_held_nothing_of_it_back() {
    for version in BOUNDED {
        story(async move {
            let server = Server::new();
            let video = server.track("video");
            (0..5).for_each(|n| publish(&video, n));
            video.finish(None);
            let mut viewer = server.join(version).await;
            let until = |end| SubscribeOptions {
                group_start: Some(VarInt::ZERO),
                group_end: Some(VarInt::from_u32(end)),
                ..everything()
            };
            let (mut send, mut recv) = viewer.subscribe(0, "video", until(2)).await;
            assert_eq!(viewer.groups().await, [0, 1, 2], "{version}");
            let ended = tokio::time::timeout(SOON, drain(&mut recv)).await;
            assert!(ended.is_err(), "{version}: {ended:?}");

            viewer.update(&mut send, until(4)).await;
            assert_eq!(viewer.groups().await, [3, 4], "{version}");
            assert_eq!(soon("the end", drain(&mut recv)).await, Ok(()), "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waited_for_a_later_group_and_wants_the_newest_now_gets_it() {
    for version in BOUNDED {
        story(async move {
            let server = Server::new();
            let video = server.track("video");
            let mut viewer = server.join(version).await;
            let start = |start| SubscribeOptions { group_start: start, ..everything() };
            let (mut send, _recv) = viewer.subscribe(0, "video", start(Some(VarInt::from_u32(7)))).await;
            settle().await;
            (0..3).for_each(|n| publish(&video, n));
            assert_eq!(viewer.groups().await, [0; 0], "{version}");

            viewer.update(&mut send, start(None)).await;
            let wanted = if version == Version::Lite06 { vec![0, 1, 2] } else { vec![2] };
            assert_eq!(viewer.groups().await, wanted, "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn start_comes_first_and_names_the_lowest_group_even_if_a_newer_one_goes_first() {
    // 04 and older answer with SUBSCRIBE_OK alone.
    for version in [Version::Lite05, Version::Lite06] {
        story(async move {
            let server = Server::new();
            let (audio, video) = (server.track("audio"), server.track("video"));
            (0..3).for_each(|n| publish(&video, n));
            video.finish(None);
            // Another track holds the only stream there is.
            let mut viewer = server.join_over(version, memory::Options { uni_streams: 1, ..pair::options(version) }).await;
            let _audio = viewer.subscribe(0, "audio", everything()).await;
            settle().await;
            publish(&audio, 0);
            let mut holder = viewer.group().await.unwrap();
            let from_the_first = SubscribeOptions { group_start: Some(VarInt::ZERO), ..everything() };
            let (_send, mut recv) = viewer.subscribe(1, "video", from_the_first).await;
            settle().await;
            assert_eq!(drain(&mut holder.stream).await, Ok(()));
            for sequence in [2, 1, 0] {
                let mut group = viewer.group().await.unwrap();
                assert_eq!(group.sequence, sequence, "{version}");
                assert_eq!(drain(&mut group.stream).await, Ok(()));
            }

            let reply = version.dialect().reply;
            let (start, end) =
                (SubscribeReply::Start { group: VarInt::ZERO }, SubscribeReply::End { group: VarInt::from_u32(3) });
            let said = [reply.to_wire(&start), reply.to_wire(&end)].concat();
            let mut heard = BytesMut::new();
            while heard.len() < said.len() {
                heard.extend_from_slice(&soon("replies", read(&mut recv, 1)).await.unwrap());
            }
            assert_eq!(heard, said, "{version}");
            assert_eq!(soon("the end", read(&mut recv, 1)).await, Err(StreamError::Closed), "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscribe_id_in_use_is_refused_and_free_again_once_it_is_not() {
    each_version(async |version| {
        let server = Server::new();
        let video = server.track("video");
        let mut viewer = server.join(version).await;
        let first = viewer.subscribe(0, "video", everything()).await;
        let (_send, mut recv) = viewer.subscribe(0, "video", everything()).await;
        assert_eq!(reset(&mut recv).await, Some(close::stream::MALFORMED_TRACK.get()), "{version}");
        publish(&video, 0);
        assert_eq!(viewer.groups().await, [0], "{version}: once");

        drop(first);
        settle().await;
        let _again = viewer.subscribe(0, "video", everything()).await;
        assert_eq!(viewer.groups().await, [0], "{version}: again");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_given_what_came_through_it_even_if_it_never_asks_what_there_is() {
    // 04 and older name themselves when they ask for announcements, and nowhere else.
    for version in [Version::Lite05, Version::Lite06] {
        story(async move {
            let server = Server::new();
            let ring = broadcast::Producer::new(Budget::new(1 << 20).account());
            let video = ring.create_track("video", track::Info::default()).unwrap();
            publish(&video, 0);
            let (origin, through) = (hop(5), hop(99));
            let door = server.origin.producer(Path::root(), vec![Path::root()], Horizon::new());
            let hops = HopChain::try_from_iter([origin, through]).unwrap();
            let route = Route { hops, cost: Cost::new(0, 0), local: false };
            let _publication = door.publish(&path("ring"), route, ring.consume()).unwrap();

            for (name, given) in [(through, vec![]), (hop(98), vec![0])] {
                for at_once in [true, false] {
                    let mut viewer = server.join_unnamed(version, pair::options(version)).await;
                    if at_once {
                        viewer.introduce(name).await;
                    }
                    let _subscription = viewer.subscribe_to("ring", 0, "video", everything()).await;
                    settle().await;
                    if !at_once {
                        viewer.introduce(name).await;
                    }
                    assert_eq!(viewer.groups().await, given, "{version}: {name:?}, named at once: {at_once}");
                }
            }
        })
        .await;
    }
}
