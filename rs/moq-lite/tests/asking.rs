//! What a publisher is asked for on behalf of everybody who watches: enough for each, in numbers that it can read.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::time::Duration;

use bare::{Peer, Server, drain, everything, read, settle, soon};
use moq_lite::testing::{
    memory::{RecvStream, SendStream},
    pair::{each_version, story},
};
use moq_proto::{
    VarInt, Version,
    lite::message::{Subscribe, SubscribeOptions, SubscribeUpdate},
};
use tokio::time::timeout;

/// What JavaScript reads of an integer.
const JAVASCRIPT_MAX: u64 = (1 << 53) - 1;

/// The versions that say more than a priority when they subscribe.
const BOUNDED: [Version; 4] = [Version::Lite03, Version::Lite04, Version::Lite05, Version::Lite06];

/// A viewer, and what it holds to watch.
type Watching = (Peer, SendStream, RecvStream);

/// Watches what a peer publishes at "cam".
async fn watch(server: &Server, version: Version, options: SubscribeOptions) -> Watching {
    let mut viewer = server.join(version).await;
    let (send, recv) = viewer.subscribe_to("cam", 0, "video", options).await;
    settle().await;
    (viewer, send, recv)
}

/// A peer that publishes "cam".
async fn publisher(server: &Server, version: Version) -> (Peer, impl Sized + use<>) {
    let mut publisher = server.join(version).await;
    let announced = publisher.announce("cam").await;
    server.heard("cam").await;
    (publisher, announced)
}

/// What the publisher is asked for when the first viewer comes.
async fn first(
    server: &Server,
    publisher: &mut Peer,
    options: SubscribeOptions,
) -> (Watching, Subscribe, (SendStream, RecvStream)) {
    let (watching, (request, streams)) = tokio::join!(watch(server, Version::Lite06, options), publisher.asked_for());
    (watching, request, streams)
}

/// What the publisher is asked for from now on. `None`: it is not told.
async fn then(version: Version, stream: &mut RecvStream) -> Option<SubscribeOptions> {
    let wire = timeout(Duration::from_secs(1), read(stream, 1)).await.ok()?.unwrap();
    // The last that came counts.
    let (mut last, mut wire) = (None, &wire[..]);
    while let Some((size, rest)) = wire.split_first() {
        let (body, rest) = rest.split_at(usize::from(*size));
        let SubscribeUpdate(options) = version.dialect().subscribe_update.decode(body).unwrap();
        (last, wire) = (Some(options), rest);
    }
    last
}

fn number(value: u64) -> Option<VarInt> {
    Some(VarInt::saturating(value))
}

#[tokio::test(start_paused = true)]
async fn no_number_is_larger_than_javascript_reads() {
    let huge = 1 << 60;
    for version in BOUNDED {
        story(async {
            let server = Server::new();
            let (mut publisher, _announced) = publisher(&server, version).await;
            let options = SubscribeOptions {
                max_age: number(huge),
                group_start: number(huge),
                group_end: number(huge + 1),
                ..everything()
            };
            let (_watching, request, _streams) = first(&server, &mut publisher, options).await;
            let SubscribeOptions { max_age, group_start, group_end, .. } = request.options;
            assert_eq!(max_age, number(JAVASCRIPT_MAX), "{version}");
            // Up to moq-lite-05 one more than the number is on the wire.
            assert_eq!([group_start, group_end], [number(JAVASCRIPT_MAX - 1); 2], "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_groups_of_any_age_is_asked_for_with_the_largest_that_javascript_reads() {
    for version in BOUNDED {
        story(async {
            let server = Server::new();
            let (mut publisher, _announced) = publisher(&server, version).await;
            // moq-lite-02 cannot say an age.
            let watching = watch(&server, Version::Lite02, everything());
            let (_watching, (request, _streams)) = tokio::join!(watching, publisher.asked_for());
            assert_eq!(request.options.max_age, number(JAVASCRIPT_MAX), "{version}");
        })
        .await;
    }
}

fn bounds(priority: u8, max_age: u64, start: u64, end: u64) -> SubscribeOptions {
    let (max_age, group_start, group_end) = (number(max_age), number(start), number(end));
    SubscribeOptions { priority, max_age, group_start, group_end, ..SubscribeOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn one_request_is_enough_for_all_who_watch() {
    for version in BOUNDED {
        story(async {
            let server = Server::new();
            let (mut publisher, _announced) = publisher(&server, version).await;
            let (one, request, (_reply, mut stream)) = first(&server, &mut publisher, bounds(3, 3000, 8, 20)).await;
            assert_eq!(request.options, bounds(3, 3000, 8, 20), "{version}");

            let two = watch(&server, Version::Lite06, bounds(9, 1000, 5, 30)).await;
            assert_eq!(then(version, &mut stream).await, Some(bounds(9, 3000, 5, 30)), "{version}: the most of each");
            let same = watch(&server, Version::Lite06, bounds(4, 2000, 6, 25)).await;
            assert_eq!(then(version, &mut stream).await, None, "{version}: nothing new");

            let unbounded = SubscribeOptions { group_start: None, group_end: None, ..bounds(1, 0, 0, 0) };
            let all = watch(&server, Version::Lite06, unbounded).await;
            let expected = SubscribeOptions { group_start: None, group_end: None, ..bounds(9, 3000, 0, 0) };
            assert_eq!(then(version, &mut stream).await, Some(expected), "{version}: no bounds");
            drop(all);
            settle().await;
            assert_eq!(then(version, &mut stream).await, Some(bounds(9, 3000, 5, 30)), "{version}: bounds again");

            drop((two, same));
            assert_eq!(then(version, &mut stream).await, Some(bounds(3, 3000, 8, 20)), "{version}: as at first");
            drop(one);
            assert_eq!(soon("an end", drain(&mut stream)).await, Ok(()), "{version}: nobody is left");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn before_03_a_publisher_is_not_told_of_another_priority_which_it_could_not_read() {
    each_version(async |version| {
        if !version.has_legacy_setup() {
            return;
        }
        let server = Server::new();
        let (mut publisher, _announced) = publisher(&server, version).await;
        let (_one, request, (_reply, mut stream)) = first(&server, &mut publisher, bounds(3, 0, 0, 9)).await;
        assert_eq!(request.options.priority, 3, "{version}");
        let _two = watch(&server, Version::Lite06, bounds(9, 0, 0, 9)).await;
        assert_eq!(then(version, &mut stream).await, None, "{version}");
    })
    .await;
}

/// What is kept need not come again, and what lies between it and the newest may.
#[tokio::test(start_paused = true)]
async fn whoever_comes_back_to_a_track_asks_from_the_newest_that_is_kept_where_that_can_be_said() {
    each_version(async |version| {
        let server = Server::new();
        let (mut publisher, _announced) = publisher(&server, version).await;
        let (one, request, streams) = first(&server, &mut publisher, everything()).await;
        assert_eq!(request.options.group_start, None, "{version}: at first");
        for sequence in 0..3 {
            publisher.send_group(request.id, sequence, sequence * 1000).await;
        }
        settle().await;
        drop((one, streams));
        settle().await;
        let (_again, request, _streams) = first(&server, &mut publisher, everything()).await;
        let expected = if version >= Version::Lite06 { number(2) } else { None };
        assert_eq!(request.options.group_start, expected, "{version}: again");
    })
    .await;
}
