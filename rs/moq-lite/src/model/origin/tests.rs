mod claims;
mod failover;
mod feed;
mod rights;

use std::{
    sync::LazyLock,
    task::{Context, Poll},
};

use futures::{FutureExt, task::noop_waker_ref};
use moq_proto::{Cost, HopChain, close};

use super::*;
use crate::model::{bell::tests::counting_waker, cache::Budget};

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn paths(texts: &[&str]) -> Vec<Path> {
    texts.iter().map(|text| path(text)).collect()
}

fn hop(id: u64) -> HopId {
    HopId::try_from(id).unwrap()
}

fn route(hops: &[u64]) -> Route {
    Route { hops: HopChain::try_from_iter(hops.iter().map(|&id| hop(id))).unwrap(), cost: Cost::LIVE, local: false }
}

const HERE: u64 = 1;

fn origin() -> Origin {
    Origin::new(hop(HERE))
}

/// A peer that may do everything.
fn publisher(origin: &Origin) -> Producer {
    origin.producer(Path::root(), vec![Path::root()], Horizon::new())
}

fn viewer(origin: &Origin) -> Consumer {
    origin.consumer(Path::root(), vec![Path::root()], Horizon::new())
}

fn broadcast() -> broadcast::Producer {
    broadcast::Producer::new(Budget::new(1 << 20).account())
}

/// One that never ends, for everything below its path as well.
fn any_broadcast() -> broadcast::Consumer {
    static FOREVER: LazyLock<broadcast::Producer> =
        LazyLock::new(|| broadcast::Producer::for_prefix(Budget::new(1 << 20).account()));
    FOREVER.consume()
}

fn publish(producer: &Producer, at: &str, route: Route) -> Publication {
    producer.publish(&path(at), route, any_broadcast()).unwrap()
}

/// What a feed tells without being waited for.
fn told(feed: &mut Announced) -> Vec<Change> {
    let mut changes = Vec::new();
    while let Poll::Ready(Some(change)) = feed.poll_next(&mut Context::from_waker(noop_waker_ref())) {
        changes.push(change);
    }
    changes
}

fn start(at: &str, route: Route) -> Change {
    Change::Start { path: path(at), route }
}

fn update(at: &str, route: Route) -> Change {
    Change::Update { path: path(at), route }
}

fn end(at: &str) -> Change {
    Change::End { path: path(at) }
}

#[test]
fn any_thread_may_use_them() {
    fn are_shared<T: Send + Sync>() {}
    are_shared::<(Origin, Producer, Publication, Consumer, Announced)>();
}

// ---- publish and consume ----

#[test]
fn what_is_published_can_be_consumed_until_it_is_withdrawn() {
    let origin = origin();
    let (producer, consumer) = (publisher(&origin), viewer(&origin));
    let room = broadcast();
    let publication = producer.publish(&path("room/alice"), route(&[7]), room.consume()).unwrap();
    let seen = consumer.consume(&path("room/alice")).unwrap();
    assert_eq!(seen.id(), room.id());
    for other in ["", "room", "room/alic", "room/alice/cam", "alice"] {
        assert!(consumer.consume(&path(other)).is_none(), "{other:?}");
    }
    drop(publication);
    assert!(consumer.consume(&path("room/alice")).is_none());
    assert_eq!(origin.announcements(), 0);
    assert!(seen.ended().is_none(), "whoever reads it goes on");
}

#[test]
fn paths_are_relative_to_the_root() {
    let origin = origin();
    let producer = origin.producer(path("demo/a"), paths(&[""]), Horizon::new());
    let _publication = publish(&producer, "room", route(&[7]));
    assert!(viewer(&origin).consume(&path("demo/a/room")).is_some());
    let table = [("demo", "a/room", true), ("demo/a/room", "", true), ("demo/b", "room", false), ("", "room", false)];
    for (root, asked, there) in table {
        let consumer = origin.consumer(path(root), paths(&[""]), Horizon::new());
        assert_eq!(consumer.consume(&path(asked)).is_some(), there, "{root:?} {asked:?}");
    }
}

#[test]
fn only_what_is_allowed_is_published_or_consumed() {
    let table: &[(&[&str], &str, bool)] = &[
        (&[""], "room/alice", true),
        (&["room"], "room/alice", true),
        (&["room"], "room", true),
        (&["room"], "roomy", false),
        (&["room"], "", false),
        (&["room/alice"], "room", false),
        (&["hall", "room/alice"], "room/alice/cam", true),
        (&["hall", "room/alice"], "room/bob", false),
        (&[], "room", false),
    ];
    for (allowed, at, expected) in table {
        let origin = origin();
        let producer = origin.producer(path("root"), paths(allowed), Horizon::new());
        let published = producer.publish(&path(at), route(&[7]), any_broadcast());
        assert_eq!(published.is_ok(), *expected, "{allowed:?} {at:?}");
        assert_eq!(origin.refusals().not_allowed, u64::from(!expected));

        let _there = publish(&publisher(&origin), &format!("root/{at}"), route(&[8]));
        let consumer = origin.consumer(path("root"), paths(allowed), Horizon::new());
        assert_eq!(consumer.consume(&path(at)).is_some(), *expected, "{allowed:?} {at:?}");
    }
}

#[test]
fn a_path_too_long_below_the_root_is_refused() {
    let origin = origin();
    let producer = origin.producer(path("root"), paths(&[""]), Horizon::new());
    let deep = path(&["x"; Path::SEGMENTS_MAX].join("/"));
    let published = producer.publish(&deep, route(&[7]), any_broadcast());
    assert_eq!(published.map(|_| ()), Err(PublishError::NotAllowed));
}

#[test]
fn what_may_be_published_is_told_without_what_it_covers() {
    let allowed = paths(&["b/c", "a", "b/c/d", "a!", "a/x", "a"]);
    let producer = origin().producer(Path::root(), allowed, Horizon::new());
    assert_eq!(producer.allowed(), paths(&["a", "a!", "b/c"]));
}

#[test]
fn the_best_route_is_used_and_the_next_one_takes_over() {
    let origin = origin();
    let consumer = viewer(&origin);
    let (far, near, newest) = (broadcast(), broadcast(), broadcast());
    let at = path("room");
    let consumed = || consumer.consume(&at).map(|broadcast| broadcast.id());

    let mut publications = vec![publisher(&origin).publish(&at, route(&[7, 8]), far.consume()).unwrap()];
    assert_eq!(consumed(), Some(far.id()));
    publications.push(publisher(&origin).publish(&at, route(&[7]), near.consume()).unwrap());
    assert_eq!(consumed(), Some(near.id()));
    publications.push(publisher(&origin).publish(&at, route(&[9]), newest.consume()).unwrap());
    assert_eq!(consumed(), Some(newest.id()));
    publications[2].update(Route { cost: Cost::MAX, ..route(&[9]) }).unwrap();
    assert_eq!(consumed(), Some(near.id()));
    publications.remove(1);
    assert_eq!(consumed(), Some(far.id()));
    assert_eq!(origin.routes(&at), [route(&[7, 8]), Route { cost: Cost::MAX, ..route(&[9]) }]);
}

#[test]
fn a_broadcast_that_has_ended_is_no_use() {
    let origin = origin();
    let consumer = viewer(&origin);
    let (best, next) = (broadcast(), broadcast());
    let _next = publisher(&origin).publish(&path("room"), route(&[7, 8]), next.consume()).unwrap();
    let _best = publisher(&origin).publish(&path("room"), route(&[7]), best.consume()).unwrap();
    drop(best);
    assert_eq!(consumer.consume(&path("room")).map(|broadcast| broadcast.id()), Some(next.id()));
    drop(next);
    assert!(consumer.consume(&path("room")).is_none());
}

#[test]
fn an_update_is_no_newer_announcement() {
    let origin = origin();
    let (consumer, newer) = (viewer(&origin), broadcast());
    let mut older = publish(&publisher(&origin), "room", route(&[7]));
    let _newer = publisher(&origin).publish(&path("room"), route(&[8]), newer.consume()).unwrap();
    older.update(route(&[9])).unwrap();
    assert_eq!(consumer.consume(&path("room")).unwrap().id(), newer.id());
}

// ---- who may see what ----

#[test]
fn a_peer_is_not_shown_what_came_from_it() {
    let origin = origin();
    let at = path("room");
    let (direct, around, other) =
        (Horizon::new(), Horizon { hop: hop(7), ..Horizon::new() }, Horizon { hop: hop(9), ..Horizon::new() });
    let (first, second) = (broadcast(), broadcast());
    let producer = origin.producer(Path::root(), paths(&[""]), direct.clone());
    let best = producer.publish(&at, route(&[7]), first.consume()).unwrap();

    let seen_by = |horizon: &Horizon| {
        let consumer = origin.consumer(Path::root(), paths(&[""]), horizon.clone());
        let announced = consumer.announced(&Path::root(), false).initial();
        let routes = announced.into_iter().map(|change| match change {
            Change::Start { route, .. } => route,
            other => panic!("{other:?}"),
        });
        let routes: Vec<Route> = routes.collect();
        assert_eq!(routes.len(), usize::from(consumer.consume(&at).is_some()), "told and served alike");
        (consumer.consume(&at).map(|broadcast| broadcast.id()), routes)
    };
    assert_eq!(seen_by(&direct), (None, vec![]), "its own session");
    assert_eq!(seen_by(&around), (None, vec![]), "on the way");
    assert_eq!(seen_by(&other), (Some(first.id()), vec![route(&[7])]));

    // What remains is the best for those who may not see the best.
    let _worse = publisher(&origin).publish(&at, route(&[5, 6]), second.consume()).unwrap();
    assert_eq!(seen_by(&direct), (Some(second.id()), vec![route(&[5, 6])]));
    assert_eq!(seen_by(&around), (Some(second.id()), vec![route(&[5, 6])]));
    assert_eq!(seen_by(&other), (Some(first.id()), vec![route(&[7])]));
    drop(best);
    assert_eq!(seen_by(&other), (Some(second.id()), vec![route(&[5, 6])]));
}

#[test]
fn a_peer_that_declares_itself_later_is_believed() {
    let origin = origin();
    let consumer = viewer(&origin);
    let _publication = publish(&publisher(&origin), "room", route(&[7, 8]));
    assert!(consumer.consume(&path("room")).is_some());
    consumer.set_hop(hop(8));
    assert!(consumer.consume(&path("room")).is_none());
    assert_eq!(consumer.announced(&Path::root(), false).initial(), []);
}

#[test]
fn loops_are_refused() {
    let table: &[(&[u64], u64, bool)] = &[
        (&[7, 8], 0, true),
        (&[7, 8], 8, true),
        (&[0, 0], 0, true),
        (&[7, HERE], 0, false),
        (&[HERE], HERE, false),
        (&[7, 8], 7, false), // the sender was there before it sent
    ];
    for (hops, peer, expected) in table {
        let origin = origin();
        let horizon = Horizon { hop: hop(*peer), ..Horizon::new() };
        let producer = origin.producer(Path::root(), paths(&[""]), horizon);
        let published = producer.publish(&path("room"), route(hops), any_broadcast());
        assert_eq!(published.err(), (!expected).then_some(PublishError::Loop), "{hops:?} from {peer}");
        assert_eq!(origin.refusals().loops, u64::from(!expected));
    }
    // The chain itself has no room for a sender twice, or for more than 32.
    assert!(route(&[7, 8]).hops.push(hop(7)).is_err());
}

#[test]
fn an_update_that_is_a_loop_changes_nothing() {
    let origin = origin();
    let mut publication = publish(&publisher(&origin), "room", route(&[7]));
    assert_eq!(publication.update(route(&[7, HERE])), Err(PublishError::Loop));
    assert_eq!(origin.routes(&path("room")), [route(&[7])]);
    assert_eq!(origin.refusals().loops, 1);
}

// ---- limits ----

#[test]
fn limits_refuse_with_a_reason_and_recover() {
    let limits = Limits { announcements: 5, ..Limits::default() };
    let origin = Origin::with_limits(hop(HERE), limits);
    let greedy = publisher(&origin).with_limit(3);
    let mut held: Vec<Publication> = (0..3).map(|name| publish(&greedy, &name.to_string(), route(&[7]))).collect();
    let one_more = |producer: &Producer| producer.publish(&path("more"), route(&[7]), any_broadcast());
    let refused = one_more(&greedy).unwrap_err();
    assert_eq!(refused, PublishError::TooMany { max: 3 });
    assert_eq!(refused.to_string(), "more than 3 broadcasts announced by one peer");
    held.pop();
    held.push(one_more(&greedy).expect("there is room again"));

    let other = publisher(&origin);
    held.extend([publish(&other, "x", route(&[7])), publish(&other, "y", route(&[7]))]);
    let refused = one_more(&other).unwrap_err();
    assert_eq!(refused, PublishError::Full { max: 5 });
    assert_eq!(refused.to_string(), "more than 5 broadcasts announced in all");
    assert_eq!(origin.announcements(), 5);
    held.pop();
    held.push(one_more(&other).expect("there is room again"));
    assert_eq!(origin.refusals(), Refusals { too_many: 1, full: 1, ..Refusals::default() });
}

#[test]
fn a_peer_announces_a_thousand_names_unless_told_otherwise() {
    let origin = origin();
    let producer = publisher(&origin);
    let shared = broadcast();
    let all: Result<Vec<Publication>, PublishError> =
        (0..=NAMES_MAX).map(|name| producer.publish(&path(&name.to_string()), route(&[7]), shared.consume())).collect();
    assert_eq!(all.map(|_| ()), Err(PublishError::TooMany { max: NAMES_MAX }));
    assert_eq!(origin.announcements(), 0, "dropped together");
}

// ---- waiting ----

#[tokio::test]
async fn a_broadcast_that_is_not_there_yet_can_be_waited_for() {
    let origin = origin();
    let consumer = origin.consumer(path("room"), paths(&[""]), Horizon::new());
    let (room, at) = (broadcast(), path("alice"));
    let mut waiting = Box::pin(consumer.consume_wait(&at));
    assert!(waiting.as_mut().now_or_never().is_none());
    let producer = publisher(&origin);
    let _above = publish(&producer, "room", route(&[7]));
    assert!(waiting.as_mut().now_or_never().is_none());
    let _there = producer.publish(&path("room/alice"), route(&[7]), room.consume()).unwrap();
    assert_eq!(waiting.await.id(), room.id());
    assert_eq!(consumer.consume_wait(&at).await.id(), room.id(), "at once");
}

// ---- other ways to the same ----

#[test]
fn alternatives_are_of_the_same_publisher_and_alive() {
    let origin = origin();
    let failed = Horizon { hop: hop(4), ..Horizon::new() };
    let (near, far, ended, other) = (broadcast(), broadcast(), broadcast(), broadcast());
    let mut publications = Vec::new();
    for (hops, broadcast) in [(&[7, 5, 6][..], &far), (&[7, 8], &ended), (&[9, 8], &other), (&[7, 4], &near)] {
        publications.push(publisher(&origin).publish(&path("room"), route(hops), broadcast.consume()).unwrap());
    }
    publications.push(publish(&publisher(&origin), "room/alice", route(&[7])));
    publications.push(publish(&publisher(&origin), "", route(&[7])));
    ended.abort(moq_proto::close::stream::CANCELLED);
    let found = |peer: &Horizon, publisher| -> Vec<broadcast::Id> {
        let producer = origin.producer(Path::root(), paths(&[""]), peer.clone());
        producer.alternatives(&path("room"), hop(publisher)).iter().map(broadcast::Consumer::id).collect()
    };
    let somebody = Horizon::new();
    assert_eq!(found(&somebody, 7), [near.id(), far.id()]);
    assert_eq!(found(&somebody, 9), [other.id()]);
    assert_eq!(found(&somebody, 0), [], "who has no name cannot be found again");
    assert_eq!(found(&failed, 7), [far.id()], "not through the one that failed");
}
