//! What an announced path means for the paths below it.

use super::*;

/// A broadcast for everything below its path, announced there.
struct Claim {
    broadcast: broadcast::Producer,
    publication: Publication,
}

fn claim(producer: &Producer, at: &str, hops: &[u64]) -> Claim {
    let broadcast = broadcast::Producer::for_prefix(Budget::new(1 << 20).account());
    let publication = producer.publish(&path(at), route(hops), broadcast.consume()).unwrap();
    Claim { broadcast, publication }
}

/// A broadcast for its path alone.
fn exact(producer: &Producer, at: &str) -> Claim {
    let broadcast = broadcast();
    let publication = producer.publish(&path(at), route(&[7]), broadcast.consume()).unwrap();
    Claim { broadcast, publication }
}

fn of(identity: &str) -> Horizon {
    Horizon { principal: Some(Principal::new(identity.as_bytes())), ..Horizon::new() }
}

fn door(origin: &Origin, peer: &Horizon) -> Producer {
    origin.producer(Path::root(), paths(&[""]), peer.clone())
}

fn view(origin: &Origin, peer: &Horizon) -> Consumer {
    origin.consumer(Path::root(), paths(&[""]), peer.clone())
}

/// What serves a path, and that a feed of it tells the same.
fn served(consumer: &Consumer, at: &str) -> Option<broadcast::Id> {
    let served = consumer.consume(&path(at)).map(|broadcast| broadcast.id());
    let told = consumer.announced(&path(at), false).initial();
    let top = told.iter().any(|change| matches!(change, Change::Start { path, .. } if path.is_root()));
    assert_eq!(top, served.is_some(), "{at}: {told:?}");
    served
}

#[tokio::test]
async fn the_nearest_announcement_serves_what_lies_below() {
    let origin = origin();
    let (producer, consumer) = (publisher(&origin), viewer(&origin));
    let top = claim(&producer, "", &[7]);
    let room = claim(&producer, "room", &[7, 8, 9]);
    let deep = claim(&producer, "room/alice/cam", &[7, 8]);
    let rows = [
        ("", &top),
        ("hall/x", &top),
        ("roomy", &top),
        ("room", &room),
        ("room/alice", &room),
        ("room/alice/ca", &room),
        ("room/alice/cam", &deep),
        ("room/alice/cam/1/2", &deep),
    ];
    for (at, claim) in rows {
        assert_eq!(served(&consumer, at), Some(claim.broadcast.id()), "{at}");
    }
    let _asked = consumer.consume(&path("room/bob/cam")).unwrap().track("video");
    assert_eq!(room.broadcast.requested().await.unwrap().below(), &path("bob/cam"));

    drop(deep);
    assert_eq!(served(&consumer, "room/alice/cam"), Some(room.broadcast.id()));
    room.broadcast.abort(close::stream::CANCELLED);
    let served = consumer.consume(&path("room/alice/cam")).map(|broadcast| broadcast.id());
    assert_eq!(served, Some(top.broadcast.id()), "what has ended is no use");
}

#[test]
fn what_is_asked_for_has_to_be_allowed_and_what_serves_it_need_not_be() {
    let origin = origin();
    let room = claim(&publisher(&origin), "room", &[7]);
    let consumer = origin.consumer(path("room/alice"), paths(&["cam"]), Horizon::new());
    assert_eq!(consumer.consume(&path("cam/1")).map(|broadcast| broadcast.id()), Some(room.broadcast.id()));
    assert!(consumer.consume(&path("mic")).is_none());
}

#[test]
fn what_serves_only_its_own_path_serves_nothing_below_and_lets_nobody_do_so_from_above() {
    let origin = origin();
    let (producer, consumer) = (publisher(&origin), viewer(&origin));
    let top = claim(&producer, "", &[7]);
    let room = exact(&producer, "room");
    assert_eq!(served(&consumer, "room"), Some(room.broadcast.id()));
    assert_eq!(served(&consumer, "room/alice"), None);
    let mut feed = consumer.announced(&path("room/alice"), false);
    assert_eq!(told(&mut feed), []);

    let other = claim(&producer, "room", &[7, 8, 9]);
    assert_eq!(served(&consumer, "room/alice"), Some(other.broadcast.id()), "however good its route");
    assert_eq!(told(&mut feed), [start("", route(&[7, 8, 9]))]);
    drop(other);
    assert_eq!(told(&mut feed), [end("")]);
    drop(room.publication);
    assert_eq!(served(&consumer, "room/alice"), Some(top.broadcast.id()));
    assert_eq!(told(&mut feed), [start("", route(&[7]))]);
}

#[test]
fn nobody_is_served_from_above_by_itself_or_through_itself() {
    let origin = origin();
    let peer = Horizon { hop: hop(5), ..Horizon::new() };
    let consumer = view(&origin, &peer);
    let _own = claim(&door(&origin, &peer), "room", &[7]);
    let _through = claim(&publisher(&origin), "room", &[7, 5]);
    assert_eq!(served(&consumer, "room/alice"), None);
    let top = claim(&publisher(&origin), "", &[7, 8]);
    assert_eq!(served(&consumer, "room/alice"), Some(top.broadcast.id()));
}

#[test]
fn whoever_waits_for_a_path_does_not_serve_what_lies_below_it() {
    let origin = origin();
    let consumer = viewer(&origin);
    let alice = claim(&door(&origin, &of("alice")), "room", &[7, 8]);
    let mallory = claim(&door(&origin, &of("mallory")), "room", &[66]);
    assert_eq!(served(&consumer, "room/cam"), Some(alice.broadcast.id()));
    drop(alice);
    assert_eq!(served(&consumer, "room/cam"), Some(mallory.broadcast.id()));
}

#[test]
fn while_a_path_is_held_no_other_principal_serves_it_from_above() {
    let origin = origin();
    let (alice, mallory) = (of("alice"), of("mallory"));
    let consumer = viewer(&origin);
    let own = view(&origin, &alice);
    let mut feed = own.announced(&path("room/alice/cam"), false);
    let room = claim(&door(&origin, &mallory), "room", &[66]);
    assert_eq!(served(&own, "room/alice/cam"), Some(room.broadcast.id()));
    assert_eq!(told(&mut feed), [start("", route(&[66]))]);

    let held = claim(&door(&origin, &alice), "room/alice", &[7]);
    for at in ["room/alice", "room/alice/cam"] {
        assert_eq!(served(&consumer, at), Some(held.broadcast.id()), "{at}");
        assert_eq!(served(&own, at), None, "{at}: not from herself, and not from mallory");
    }
    assert_eq!(told(&mut feed), [end("")]);
    assert_eq!(served(&consumer, "room/bob"), Some(room.broadcast.id()), "it is not held");

    // The holder's own and trusted ones stand in.
    let hers = claim(&door(&origin, &of("alice")), "", &[7]);
    assert_eq!(served(&own, "room/alice"), Some(hers.broadcast.id()));
    assert_eq!(told(&mut feed), [start("", route(&[7]))]);
    let trusted = claim(&publisher(&origin), "room", &[7, 8]);
    assert_eq!(served(&own, "room/alice"), Some(trusted.broadcast.id()));
    assert_eq!(told(&mut feed), [update("", route(&[7, 8]))]);
    drop((hers, trusted));
    assert_eq!(told(&mut feed), [end("")]);

    // Neither when its broadcast ends a moment before its announcement goes.
    held.broadcast.abort(close::stream::CANCELLED);
    assert!(consumer.consume(&path("room/alice/cam")).is_none());
    drop(held.publication);
    assert_eq!(served(&consumer, "room/alice/cam"), Some(room.broadcast.id()));
    assert_eq!(told(&mut feed), [start("", route(&[66]))]);
}

#[test]
fn a_holder_does_not_hold_what_lies_below() {
    let origin = origin();
    let _room = claim(&door(&origin, &of("alice")), "room", &[7]);
    let bob = claim(&door(&origin, &of("bob")), "room/bob", &[8]);
    assert_eq!(served(&viewer(&origin), "room/bob/cam"), Some(bob.broadcast.id()));
}

#[test]
fn reserved_names_are_served_from_above_by_those_alone_who_may_announce_them() {
    let origin = origin();
    let reserved = paths(&[".stats", "in/side"]);
    let client = publisher(&origin).except(reserved.clone());
    for above in ["", "in"] {
        let refused = client.publish(&path(above), route(&[7]), any_broadcast()).map(|_| ());
        assert_eq!(refused, Err(PublishError::Reserved), "{above:?}");
    }
    let knows = viewer(&origin).except(reserved);
    assert!(knows.consume(&path("in/side/a")).is_none());
    let relay = claim(&publisher(&origin), "in", &[7]);
    assert_eq!(knows.consume(&path("in/side/a")).map(|broadcast| broadcast.id()), Some(relay.broadcast.id()));
}
