//! Where a viewer is told that its track begins: with what its publisher has, whichever group came first; and of what was
//! promised and does not come, that it does not.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::time::Duration;

use bare::{
    Server, everything, hop,
    on_air::{ENDING, OnAir, Viewer, dropped, each_pair, end, start},
    publish, settle, soon, younger_than,
};
use bytes::Bytes;
use moq_lite::{
    model::demand::{self, Ask},
    testing::{
        memory,
        pair::{self, story},
    },
    transport::SendStream as _,
};
use moq_proto::{
    VarInt, Version,
    lite::message::{SubscribeOk, SubscribeOptions, SubscribeReply},
};
use tokio::time::{Instant, sleep};

/// As long as nothing takes that is not waited for.
const AT_ONCE: Duration = Duration::from_millis(150);

/// Everything there is.
fn from(group: u32) -> SubscribeOptions {
    SubscribeOptions { group_start: Some(VarInt::from_u32(group)), ..everything() }
}

#[tokio::test(start_paused = true)]
async fn the_publishers_first_group_is_promised_though_a_later_one_came_first() {
    each_pair(async |publisher, version| {
        let mut live = OnAir::new(publisher).await;
        let mut viewer = live.viewer_of(version, from(0)).await;
        live.say(start(0)).await;
        live.group(1).await;
        viewer.hears(&[start(0)]).await;
        live.say(end(2)).await;
        live.send.finish().unwrap();
        viewer.hears(&[end(2)]).await;
        sleep(Duration::from_secs(5)).await;
        live.group(0).await;
        assert_eq!(viewer.ends().await, Ok(()), "{publisher} to {version}");
        assert_eq!(viewer.groups(), [1, 0], "{publisher} to {version}");
        assert_eq!(live.rest().await.0, [1, 0], "{publisher} to {version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn it_is_promised_through_any_number_of_relays() {
    each_pair(async |publisher, version| {
        let mut live = OnAir::new(publisher).await;
        let far = Server::named(hop(0xfa4));
        far.link(&live.server, version).await;
        let mut viewer = Viewer::join(&far, version, from(0)).await;
        let track = soon("the track", far.heard("live").await.track("video")).await.unwrap();
        let mut groups = track.subscribe(Ask { start: demand::Start::At(0), max_age: None, ..Ask::default() });
        settle().await;
        live.say(start(0)).await;
        live.group(1).await;
        live.say(end(2)).await;
        live.send.finish().unwrap();
        viewer.hears(&[start(0), end(2)]).await;
        sleep(Duration::from_secs(5)).await;
        live.group(0).await;
        let began = Instant::now();
        assert_eq!(viewer.ends().await, Ok(()), "{publisher} to {version}");
        assert_eq!(viewer.groups(), [1, 0], "{publisher} to {version}");
        let mut sequences = Vec::new();
        while let Some(group) = soon("the end", groups.next()).await {
            sequences.push(group.sequence());
        }
        assert_eq!(sequences, [1, 0], "{publisher} to {version}");
        assert!(began.elapsed() < AT_ONCE, "{publisher} to {version}: {:?}", began.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_start_that_groups_have_overtaken_is_waited_for_but_not_for_ever() {
    each_pair(async |publisher, version| {
        let mut live = OnAir::new(publisher).await;
        let mut viewer = live.viewer_of(version, from(0)).await;
        live.group(1).await;
        settle().await;
        assert_eq!(viewer.groups(), [1], "{publisher} to {version}: its groups come all the same");
        assert!(viewer.hears_nothing(), "{publisher} to {version}");
        live.say(start(0)).await;
        viewer.hears(&[start(0)]).await;

        let mut live = OnAir::new(publisher).await;
        let mut viewer = live.viewer_of(version, from(0)).await;
        live.group(1).await;
        live.group(2).await;
        let began = Instant::now();
        viewer.hears(&[start(1)]).await;
        assert!(began.elapsed().abs_diff(Duration::from_secs(1)) < AT_ONCE, "{publisher} to {version}: {:?}", began.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_waited_for_that_this_viewer_does_not_want() {
    each_pair(async |publisher, version| {
        let mut live = OnAir::new(publisher).await;
        live.group(5).await;
        live.group(6).await;
        settle().await;
        let began = Instant::now();
        // What came before group 5 ended a second before the newest at the latest.
        let recent = SubscribeOptions { group_start: Some(VarInt::ZERO), ..younger_than(500) };
        for (options, first) in [(recent, 5), (from(5), 5)] {
            let mut viewer = live.viewer_of(version, options).await;
            viewer.hears(&[start(first)]).await;
        }
        assert!(began.elapsed() < AT_ONCE, "{publisher} to {version}: {:?}", began.elapsed());
        live.say(start(0)).await;
        settle().await;
        for (options, first) in [(recent, 5), (from(5), 5), (from(3), 3), (from(0), 0)] {
            let mut viewer = live.viewer_of(version, options).await;
            viewer.hears(&[start(first)]).await;
        }
    })
    .await;
}

/// A viewer that names no group on moq-lite-05 begins with the newest, whatever else there is.
#[tokio::test(start_paused = true)]
async fn whoever_names_no_group_begins_with_the_newest_on_05_and_with_all_there_is_on_06() {
    for (version, first) in [(Version::Lite05, 1), (Version::Lite06, 0)] {
        story(async move {
            let mut live = OnAir::new(Version::Lite06).await;
            let mut viewer = live.viewer(version).await;
            live.say(start(0)).await;
            live.group(1).await;
            viewer.hears(&[start(first)]).await;
        })
        .await;
    }
}

/// A publisher on moq-lite-04 or older says nothing of where it begins.
#[tokio::test(start_paused = true)]
async fn nothing_is_promised_for_a_publisher_that_promises_nothing() {
    for version in ENDING {
        story(async move {
            let mut live = OnAir::new(Version::Lite04).await;
            let mut viewer = live.viewer_of(version, from(0)).await;
            live.group(1).await;
            let began = Instant::now();
            viewer.hears(&[start(1)]).await;
            assert!(began.elapsed() < AT_ONCE, "{version}: {:?}", began.elapsed());
            live.group(0).await;
            live.send.finish().unwrap();
            viewer.hears(&[end(2)]).await;
            assert_eq!(viewer.ends().await, Ok(()), "{version}");
            assert_eq!(viewer.groups(), [1, 0], "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_viewer_hears_of_what_was_promised_and_does_not_come() {
    each_pair(async |publisher, version| {
        let mut live = OnAir::new(publisher).await;
        let mut viewer = live.viewer_of(version, from(0)).await;
        live.say(start(0)).await;
        live.group(2).await;
        live.group(4).await;
        viewer.hears(&[start(0)]).await;
        for left_out in [dropped(0, 1), dropped(3, 3), dropped(5, 5), end(6)] {
            live.say(left_out).await;
        }
        live.send.finish().unwrap();
        viewer.hears(&[end(6), dropped(0, 1), dropped(3, 3), dropped(5, 5)]).await;
        assert_eq!(viewer.ends().await, Ok(()), "{publisher} to {version}");
        assert_eq!(viewer.groups(), [2, 4], "{publisher} to {version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_keeps_no_reader_behind_another_relay_waiting() {
    each_pair(async |publisher, version| {
        let mut live = OnAir::new(publisher).await;
        let far = Server::named(hop(0xfa4));
        far.link(&live.server, version).await;
        let track = soon("the track", far.heard("live").await.track("video")).await.unwrap();
        let mut groups = track.subscribe(Ask { start: demand::Start::At(0), max_age: None, ..Ask::default() });
        settle().await;
        live.say(start(0)).await;
        live.group(1).await;
        let mut cut = live.publisher.open_group(live.id, 2).await;
        settle().await;
        cut.reset(77);
        live.group(3).await;
        settle().await;
        live.say(dropped(0, 0)).await;
        live.say(end(4)).await;
        live.send.finish().unwrap();
        let began = Instant::now();
        while soon("the end", groups.next()).await.is_some() {}
        assert!(began.elapsed() < AT_ONCE, "{publisher} to {version}: {:?}", began.elapsed());
        assert_eq!(track.ended(), Some(Ok(4)), "{publisher} to {version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_viewer_hears_what_became_too_old_for_it() {
    each_pair(async |publisher, version| {
        let mut live = OnAir::new(publisher).await;
        let recent = SubscribeOptions { group_start: Some(VarInt::ZERO), ..younger_than(1500) };
        let mut viewer = live.viewer_of(version, recent).await;
        live.say(start(0)).await;
        live.group(1).await;
        viewer.hears(&[start(0)]).await;
        live.group(4).await;
        settle().await;
        live.group(5).await;
        live.group(9).await;
        settle().await;
        // By now the newest is so far ahead that nothing else is wanted.
        live.group(0).await;
        live.group(2).await;
        for left_out in [dropped(3, 3), dropped(6, 8), end(10)] {
            live.say(left_out).await;
        }
        live.send.finish().unwrap();
        viewer.hears(&[end(10), dropped(0, 0), dropped(2, 3), dropped(6, 8)]).await;
        assert_eq!(viewer.ends().await, Ok(()), "{publisher} to {version}");
        assert_eq!(viewer.groups(), [1, 4, 5, 9], "{publisher} to {version}");
    })
    .await;
}

/// JavaScript viewers of moq-lite-03 and 04 read nothing after the answer, and take what they have not read for no end.
#[tokio::test(start_paused = true)]
async fn viewers_that_are_told_no_start_are_told_of_nothing_left_out() {
    for version in [Version::Lite03, Version::Lite04] {
        story(async move {
            let mut live = OnAir::new(Version::Lite06).await;
            let mut viewer = live.viewer_of(version, from(0)).await;
            let (priority, ordered, max_age) = (everything().priority, false, VarInt::ZERO);
            let ok = SubscribeOk { priority, ordered, max_age, group_start: None, group_end: None };
            viewer.hears(&[SubscribeReply::Ok(ok)]).await;
            live.say(start(0)).await;
            live.group(1).await;
            settle().await;
            live.say(dropped(0, 0)).await;
            live.say(end(2)).await;
            live.send.finish().unwrap();
            assert_eq!(viewer.ends().await, Ok(()), "{version}");
            assert_eq!(viewer.groups(), [1], "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_viewer_hears_of_what_was_taken_back_before_it_arrived() {
    for version in ENDING {
        story(async move {
            let server = Server::new();
            let video = server.track("video");
            let silent = memory::Options { acks_unread: false, is_strained: true, ..pair::options(version) };
            let recent = SubscribeOptions { group_start: Some(VarInt::ZERO), ..younger_than(500) };
            let mut viewer = Viewer::of(server.join_over(version, silent).await, "room", recent).await;
            // The second makes the first old; it is when the third begins that this shows.
            for time in [0, 100, 700] {
                publish(&video, time);
                settle().await;
            }
            video.finish(None);
            viewer.hears(&[start(0), end(3)]).await;
            drop(viewer.peer.bare.accept_uni().await);
            for sequence in [1, 2] {
                assert_eq!(viewer.peer.see().await.sequence, sequence, "{version}");
            }
            viewer.hears(&[dropped(0, 0)]).await;
            assert_eq!(viewer.ends().await, Ok(()), "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_went_in_a_datagram_is_not_left_out_and_what_did_not_fit_is() {
    for version in ENDING {
        story(async move {
            let server = Server::new();
            let video = server.track("video");
            let mut viewer = Viewer::of(server.join(version).await, "room", from(0)).await;
            for (sequence, size) in [(0, 10), (1, 5000), (2, 10)] {
                let payload = Bytes::from(vec![0x55; size]);
                video.datagram(sequence, 0.try_into().unwrap(), payload, Instant::now().into_std()).unwrap();
            }
            settle().await;
            video.finish(None);
            viewer.hears(&[start(0), end(3), dropped(1, 1)]).await;
            assert_eq!(viewer.ends().await, Ok(()), "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_floor_that_is_lowered_later_is_where_it_begins() {
    each_pair(async |publisher, version| {
        let server = Server::new();
        let mut peer = server.join(publisher).await;
        let _announced = peer.announce("live").await;
        let live = server.heard("live").await;
        let ask = Ask { start: demand::Start::At(5), max_age: None, ..Ask::default() };
        let (_reader, (id, (mut send, _recv))) =
            tokio::join!(async { soon("the track", live.track("video")).await.unwrap().subscribe(ask) }, peer.asked());
        peer.reply(&mut send, &start(5)).await;
        peer.send_group(id, 5, 5000).await;
        settle().await;
        let mut viewer = Viewer::join(&server, version, from(3)).await;
        peer.send_group(id, 4, 4000).await;
        peer.reply(&mut send, &end(6)).await;
        settle().await;
        send.finish().unwrap();
        sleep(Duration::from_millis(500)).await;
        peer.send_group(id, 3, 3000).await;
        viewer.hears(&[start(3), end(6)]).await;
        assert_eq!(viewer.ends().await, Ok(()), "{publisher} to {version}");
        assert_eq!(viewer.groups(), [5, 4, 3], "{publisher} to {version}");
    })
    .await;
}

/// Nothing of it will come, but what comes all the same is taken.
#[tokio::test(start_paused = true)]
async fn a_group_below_its_publishers_start_is_passed_on_if_it_comes() {
    each_pair(async |publisher, version| {
        let mut live = OnAir::new(publisher).await;
        let mut viewer = live.viewer_of(version, from(0)).await;
        live.say(start(1)).await;
        live.group(1).await;
        viewer.hears(&[start(1)]).await;
        live.group(0).await;
        settle().await;
        live.say(end(2)).await;
        live.send.finish().unwrap();
        viewer.hears(&[end(2)]).await;
        assert_eq!(viewer.ends().await, Ok(()), "{publisher} to {version}");
        assert_eq!(viewer.groups(), [1, 0], "{publisher} to {version}");
        assert_eq!(live.rest().await.0, [1, 0], "{publisher} to {version}");
    })
    .await;
}
