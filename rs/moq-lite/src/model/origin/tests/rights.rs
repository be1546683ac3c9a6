//! Names that are left to others, and paths that are held.

use super::*;

fn principal(name: &str) -> Option<Principal> {
    Some(Principal::new(name.as_bytes()))
}

/// Another session of `who`, which may announce everywhere.
fn session(origin: &Origin, who: &str) -> Producer {
    origin.producer(Path::root(), paths(&[""]), Horizon { principal: principal(who), ..Horizon::new() })
}

/// Announces a broadcast of its own; `hops` say how good the route is.
fn announce(producer: &Producer, hops: &[u64]) -> (broadcast::Producer, Publication) {
    let broadcast = broadcast();
    let publication = producer.publish(&path("room"), route(hops), broadcast.consume()).unwrap();
    (broadcast, publication)
}

fn served(origin: &Origin) -> Option<broadcast::Id> {
    viewer(origin).consume(&path("room")).map(|broadcast| broadcast.id())
}

/// What is served, after checking that a feed, a newcomer and the list of routes tell the same.
struct Watch {
    origin: Origin,
    feed: Announced,
    held: Option<Route>,
}

impl Watch {
    fn new(origin: &Origin) -> Self {
        Self { origin: origin.clone(), feed: viewer(origin).announced(&Path::root(), false), held: None }
    }

    fn check(&mut self) -> Option<broadcast::Id> {
        for change in told(&mut self.feed) {
            self.held = match change {
                Change::Start { route, .. } | Change::Update { route, .. } => Some(route),
                Change::End { .. } => None,
            };
        }
        let newcomer = viewer(&self.origin).announced(&Path::root(), false).initial();
        assert_eq!(newcomer, Vec::from_iter(self.held.clone().map(|route| start("room", route))));
        assert_eq!(self.origin.routes(&path("room")).first(), self.held.as_ref());
        served(&self.origin)
    }
}

// ---- held paths ----

#[test]
fn nobody_displaces_the_publisher_of_another_principal() {
    let origin = origin();
    let mut watch = Watch::new(&origin);
    let (alice, mallory) = (session(&origin, "alice"), session(&origin, "mallory"));
    let (live, publication) = announce(&alice, &[7, 8, 9]);
    assert_eq!(watch.check(), Some(live.id()));

    // Better by every measure, newest, again, and after an update of the holder's.
    let (other, mut others) = announce(&mallory, &[66]);
    assert_eq!(watch.check(), Some(live.id()));
    others.update(Route { cost: Cost::LIVE, ..route(&[67]) }).unwrap();
    assert_eq!(watch.check(), Some(live.id()));
    let mut publication = publication;
    publication.update(Route { cost: Cost::MAX, ..route(&[0, 0]) }).unwrap();
    assert_eq!(watch.check(), Some(live.id()));

    drop(publication);
    assert_eq!(watch.check(), Some(other.id()), "what waited is heard once the holder is gone");
    let (_back, _publication) = announce(&alice, &[7]);
    assert_eq!(watch.check(), Some(other.id()), "and holds the path then");
    drop(others);
    assert_eq!(watch.check(), Some(_back.id()));
}

#[test]
fn a_publisher_that_comes_back_takes_over_at_once_and_keeps_its_path() {
    let origin = origin();
    let mut watch = Watch::new(&origin);
    let (_lost, lingers) = announce(&session(&origin, "alice"), &[7]);
    let (_other, _waits) = announce(&session(&origin, "mallory"), &[66]);

    let (back, _publication) = announce(&session(&origin, "alice"), &[8]);
    assert_eq!(watch.check(), Some(back.id()));
    drop(lingers);
    assert_eq!(watch.check(), Some(back.id()), "the path is the principal's, not the session's");
}

#[test]
fn a_broadcast_that_ended_gives_the_path_to_nobody_before_its_announcement_goes() {
    let origin = origin();
    let (live, publication) = announce(&session(&origin, "alice"), &[7]);
    let (other, _waits) = announce(&session(&origin, "mallory"), &[66]);
    drop(live);
    assert_eq!(served(&origin), None);
    drop(publication);
    assert_eq!(served(&origin), Some(other.id()));
}

#[test]
fn who_holds_a_path_is_not_shown_who_waits_for_it() {
    let origin = origin();
    let alice = Horizon { principal: principal("alice"), ..Horizon::new() };
    let _alices = announce(&origin.producer(Path::root(), paths(&[""]), alice.clone()), &[7]);
    let _mallorys = announce(&session(&origin, "mallory"), &[66]);

    let own = origin.consumer(Path::root(), paths(&[""]), alice);
    assert!(own.consume(&path("room")).is_none());
    assert_eq!(own.announced(&Path::root(), false).initial(), []);
}

#[test]
fn trusted_routes_compete_by_rank_alone() {
    let origin = origin();
    let mut watch = Watch::new(&origin);
    let (first, _first) = announce(&publisher(&origin), &[7, 8]);
    let (alices, _alices) = announce(&session(&origin, "alice"), &[7]);
    assert_eq!(watch.check(), Some(alices.id()), "nearer");
    let (nearest, nearest_publication) = announce(&publisher(&origin), &[9]);
    assert_eq!(watch.check(), Some(nearest.id()), "newer");

    let (other, _other) = announce(&session(&origin, "mallory"), &[66]);
    drop(nearest_publication);
    drop(_alices);
    assert_eq!(watch.check(), Some(other.id()));
    drop(_other);
    assert_eq!(watch.check(), Some(first.id()));
}

#[test]
fn a_slow_feed_is_told_the_same_as_a_quick_one() {
    // Few changes are remembered, so that most is found out by looking.
    for changes in [2, 1000] {
        let origin = Origin::with_limits(hop(HERE), Limits { changes, ..Limits::default() });
        let names = ["alice", "mallory", "eve"];
        let (mut quick, mut slow) = (Watch::new(&origin), Watch::new(&origin));
        let mut held: Vec<(broadcast::Producer, Publication)> = Vec::new();
        let mut state = 7u64;
        for step in 0..2000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let dice = (state >> 33) as usize;
            match (dice % 3, held.len()) {
                (0, 1..) => drop(held.remove(dice / 3 % held.len())),
                (1, 1..) => {
                    let at = dice / 3 % held.len();
                    let _ = held[at].1.update(route(&[100 + step, 2]));
                }
                (_, ..6) => {
                    let who = names[dice / 3 % names.len()];
                    let session = if dice.is_multiple_of(7) { publisher(&origin) } else { session(&origin, who) };
                    held.push(announce(&session, &[100 + step]));
                }
                _ => {}
            }
            quick.check();
            if step % 9 == 0 {
                slow.check();
            }
        }
    }
}

#[test]
fn a_held_path_can_be_refused_to_others_and_is_free_again() {
    let origin = origin();
    let (_live, alices) = announce(&session(&origin, "alice"), &[7]);
    let mallory = session(&origin, "mallory").unless_held();
    let ask = || mallory.publish(&path("room"), route(&[66]), any_broadcast());

    let refused = ask().unwrap_err();
    assert_eq!((refused, refused.to_string().as_str()), (PublishError::Held, "another publisher holds this path"));
    assert_eq!(origin.refusals(), Refusals { held: 1, ..Refusals::default() });
    let again = session(&origin, "alice").unless_held();
    drop(announce(&again, &[8]));
    drop(announce(&publisher(&origin).unless_held(), &[9]));
    drop(alices);
    assert!(ask().is_ok());
}

#[test]
fn alternatives_are_of_the_same_principal_or_trusted() {
    let origin = origin();
    let (_first, _lost) = announce(&session(&origin, "alice"), &[7]);
    let (second, _second) = announce(&session(&origin, "alice"), &[7, 5]);
    let (trusted, _trusted) = announce(&publisher(&origin), &[7, 5, 6]);
    let _forged = announce(&session(&origin, "mallory"), &[7]);
    let found = |producer: Producer| -> Vec<broadcast::Id> {
        producer.alternatives(&path("room"), hop(7)).iter().map(broadcast::Consumer::id).collect()
    };

    let alice = found(session(&origin, "alice"));
    assert_eq!(alice.len(), 3);
    assert!(alice.contains(&second.id()) && alice.contains(&trusted.id()));
    assert_eq!(found(session(&origin, "mallory")), [trusted.id()]);
    assert_eq!(found(publisher(&origin)), [trusted.id()], "a relay is not continued by whoever takes its hop");
}

#[test]
fn a_principal_is_never_printed() {
    let horizon = Horizon { principal: principal("sesame"), ..Horizon::new() };
    assert!(!format!("{horizon:?}").contains("sesame"));
    assert!(!format!("{horizon:?}").contains("115"), "nor as bytes");
}

// ---- reserved names ----

#[test]
fn reserved_names_are_refused_wherever_the_producer_is_rooted() {
    let rows = [
        ("", ".stats", false),
        ("", ".stats/node/a", false),
        (".stats", "", false),
        (".stats", "node", false),
        (".stats/node", "x/y", false),
        ("", "in/side/evil", false),
        ("in", "side/evil", false),
        ("in", "side", false),
        // What lies above claims what lies below.
        ("", "in", false),
        ("in", "", false),
        ("", "", false),
        ("", ".statsy", true),
        ("", "a/.stats", true),
        ("", "in/sidecar", true),
        ("in", "room", true),
        ("", "inside", true),
    ];
    for (root, at, allowed) in rows {
        let origin = origin();
        let producer = origin.producer(path(root), paths(&[""]), Horizon::new()).except(paths(&[".stats", "in/side"]));
        let published = producer.publish(&path(at), route(&[7]), any_broadcast());
        assert_eq!(published.map(|_| ()).err(), (!allowed).then_some(PublishError::Reserved), "{root:?} {at:?}");
        assert_eq!(origin.refusals(), Refusals { reserved: u64::from(!allowed), ..Refusals::default() });
        assert!(
            origin.producer(path(root), paths(&[""]), Horizon::new()).publish(&path(at), route(&[7]), any_broadcast()).is_ok()
        );
    }
}

#[test]
fn reserved_names_are_in_no_feed_and_are_found_by_who_knows_them() {
    let origin = origin();
    let names = [".stats/node", "in/side", "in/side/a", "in/room"];
    let _there: Vec<Publication> = names.iter().map(|name| publish(&publisher(&origin), name, route(&[7]))).collect();
    let rows: [(&str, &str, &[&str]); 6] = [
        ("", "", &["in/room"]),
        ("in", "", &["room"]),
        ("", "in/side", &[]),
        ("in/side", "", &[]),
        (".stats", "", &[]),
        ("in/side/a/b", "", &[]),
    ];
    for (root, prefix, seen) in rows {
        let door = || origin.consumer(path(root), paths(&[""]), Horizon::new());
        let consumer = door().except(paths(&[".stats", "in/side"]));
        let mut feed = consumer.announced(&path(prefix), true);
        assert_eq!(told(&mut feed), Vec::from_iter(seen.iter().map(|at| start(at, route(&[7])))), "{root:?} {prefix:?}");
        let more = publish(&publisher(&origin), "in/side/later", route(&[7]));
        drop(more);
        assert_eq!(told(&mut feed), []);
        assert!(!told(&mut door().announced(&path(prefix), true)).is_empty(), "{root:?} {prefix:?}: others see them");
    }
    let knows = viewer(&origin).except(paths(&[".stats", "in/side"]));
    assert!(knows.consume(&path("in/side/a")).is_some());
}
