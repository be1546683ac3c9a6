//! What readers are told.

use std::{
    collections::{BTreeMap, VecDeque},
    thread,
    time::Instant,
};

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

#[test]
fn a_feed_begins_with_what_there_is_and_goes_on_with_what_changes() {
    let origin = origin();
    let producer = publisher(&origin);
    let mut alice = publish(&producer, "room/alice", route(&[7]));
    let bob = publish(&producer, "room/bob", route(&[8]));
    let _elsewhere = publish(&producer, "hall", route(&[7]));
    let mut feed = viewer(&origin).announced(&path("room"), false);
    assert_eq!(feed.initial(), [start("alice", route(&[7])), start("bob", route(&[8]))]);
    assert_eq!(told(&mut feed), []);

    alice.update(route(&[7, 9])).unwrap();
    assert_eq!(told(&mut feed), [update("alice", route(&[7, 9]))]);
    drop(bob);
    let carol = publish(&producer, "room/carol", route(&[5]));
    assert_eq!(told(&mut feed), [end("bob"), start("carol", route(&[5]))], "in the order it happened");
    drop((alice, carol));
    assert_eq!(told(&mut feed), [end("alice"), end("carol")]);
}

#[test]
fn a_feed_that_is_only_read_tells_what_there_is_first() {
    let origin = origin();
    let _alice = publish(&publisher(&origin), "alice", route(&[7]));
    let mut feed = viewer(&origin).announced(&Path::root(), false);
    let _bob = publish(&publisher(&origin), "bob", route(&[7]));
    assert_eq!(told(&mut feed), [start("alice", route(&[7])), start("bob", route(&[7]))]);
    assert_eq!(feed.initial(), []);
}

#[test]
fn what_came_and_went_between_two_looks_is_not_told() {
    let origin = origin();
    let producer = publisher(&origin);
    let alice = publish(&producer, "alice", route(&[7]));
    let mut feed = viewer(&origin).announced(&Path::root(), false);
    feed.initial();
    drop(publish(&producer, "bob", route(&[8])));
    drop(alice);
    let mut alice = publish(&producer, "alice", route(&[7]));
    assert_eq!(told(&mut feed), [], "and what is as it was is not told either");
    alice.update(route(&[7, 8])).unwrap();
    alice.update(route(&[7, 9])).unwrap();
    assert_eq!(told(&mut feed), [update("alice", route(&[7, 9]))]);
}

#[test]
fn another_publisher_is_an_update_that_names_it() {
    let origin = origin();
    let _old = publish(&publisher(&origin), "alice", route(&[7]));
    let mut feed = viewer(&origin).announced(&Path::root(), false);
    feed.initial();
    let _new = publish(&publisher(&origin), "alice", route(&[8]));
    assert_eq!(told(&mut feed), [update("alice", route(&[8]))]);
}

#[test]
fn another_publisher_that_looks_the_same_is_an_end_and_a_start() {
    let origin = origin();
    let _old = publish(&publisher(&origin), "alice", Route::local());
    let mut feed = viewer(&origin).announced(&Path::root(), false);
    feed.initial();
    let mut new = publish(&publisher(&origin), "alice", Route::local());
    assert_eq!(told(&mut feed), [end("alice"), start("alice", Route::local())]);
    new.update(Route { cost: Cost::MAX, ..Route::local() }).unwrap();
    assert_eq!(told(&mut feed), [end("alice"), start("alice", Route::local())], "the old one again");
}

/// Root, allowed, prefix, hidden, and what is told of which announcement.
type Row<'a> = (&'a str, &'a [&'a str], &'a str, bool, &'a [(&'a str, &'a str)]);

#[test]
fn permissions_and_prefixes_decide_what_is_told_and_how() {
    // Announced at each of these, with itself as the publisher.
    let announced = ["", "a", "a/x", "a/x/y", "ab", "b/.c/d", "b/.c/.d", "c"];
    #[rustfmt::skip]
    let table: &[Row<'_>] = &[
        ("", &[""], "", false, &[("", ""), ("a", "a"), ("a/x", "a/x"), ("a/x/y", "a/x/y"), ("ab", "ab"), ("c", "c")]),
        ("", &[""], "", true, &[("", ""), ("a", "a"), ("a/x", "a/x"), ("a/x/y", "a/x/y"), ("ab", "ab"), ("b/.c/.d", "b/.c/.d"), ("b/.c/d", "b/.c/d"), ("c", "c")]),
        ("", &[""], "a", false, &[("", "a"), ("x", "a/x"), ("x/y", "a/x/y")]),
        ("", &[""], "a/x/z", false, &[("", "a/x")]),
        ("", &["a/x"], "a", false, &[("x", "a/x"), ("x/y", "a/x/y")]),
        ("", &["a"], "", false, &[("a", "a"), ("a/x", "a/x"), ("a/x/y", "a/x/y")]),
        ("", &["a"], "a/x", false, &[("", "a/x"), ("y", "a/x/y")]),
        ("", &["a/x", "c"], "", false, &[("a/x", "a/x"), ("a/x/y", "a/x/y"), ("c", "c")]),
        ("", &["a/q", "c"], "", false, &[("a/q", "a"), ("c", "c")]),
        ("", &["a"], "b", false, &[]),
        ("", &[], "", false, &[]),
        ("a", &[""], "", false, &[("", "a"), ("x", "a/x"), ("x/y", "a/x/y")]),
        ("a", &["x"], "", false, &[("x", "a/x"), ("x/y", "a/x/y")]),
        ("d", &[""], "", false, &[("", "")]),
        // What is hidden is so below what was asked for.
        ("", &[""], "b", false, &[("", "")]),
        ("", &[""], "b/.c", false, &[("", ""), ("d", "b/.c/d")]),
        ("b", &[""], ".c", false, &[("", ""), ("d", "b/.c/d")]),
        ("b/.c", &[""], "", false, &[("", ""), ("d", "b/.c/d")]),
        ("", &["b/.c"], "", false, &[]),
    ];
    for (root, allowed, prefix, hidden, expected) in table {
        let origin = origin();
        let consumer = origin.consumer(path(root), paths(allowed), Horizon::new());
        let (mut early, producer) = (consumer.announced(&path(prefix), *hidden), publisher(&origin));
        early.initial();
        let publishers = announced.iter().zip(10..);
        let publications: Vec<_> = publishers.clone().map(|(at, id)| publish(&producer, at, route(&[id]))).collect();
        let publisher_of = |at: &str| publishers.clone().find(|(other, _)| **other == at).unwrap().1;
        let expected: BTreeMap<Path, Route> =
            expected.iter().map(|(told, at)| (path(told), route(&[publisher_of(at)]))).collect();
        let case = format!("root {root:?}, allowed {allowed:?}, prefix {prefix:?}, hidden {hidden}");

        assert_eq!(Held::of(consumer.announced(&path(prefix), *hidden).initial()).routes, expected, "{case}");
        assert_eq!(Held::of(told(&mut early)).routes, expected, "{case}");
        drop(publications);
        assert_eq!(told(&mut early).len(), expected.len(), "{case}: all of it ends");
    }
}

#[test]
fn of_routes_above_the_prefix_the_nearest_is_told() {
    let origin = origin();
    let producer = publisher(&origin);
    let mut feed = viewer(&origin).announced(&path("a/b"), false);
    let _top = publish(&producer, "", route(&[7]));
    assert_eq!(told(&mut feed), [start("", route(&[7]))]);
    let above = publish(&producer, "a", route(&[7, 8, 9]));
    assert_eq!(told(&mut feed), [update("", route(&[7, 8, 9]))], "as it would be used");
    let exact = publish(&producer, "a/b", route(&[6]));
    drop(above);
    assert_eq!(told(&mut feed), [update("", route(&[6]))]);
    drop(exact);
    assert_eq!(told(&mut feed), [update("", route(&[7]))]);
}

#[test]
fn readers_are_woken_by_what_concerns_them_and_once() {
    let origin = origin();
    let (producer, consumer) = (publisher(&origin), viewer(&origin));
    let (waker, wakes) = counting_waker();
    let mut feed = consumer.announced(&path("room/a"), false);
    let mut poll = || feed.poll_next(&mut Context::from_waker(&waker)).is_ready();
    assert!(!poll());
    let unrelated: Vec<_> = ["hall", "room/ab", "room/b/a"].iter().map(|at| publish(&producer, at, route(&[7]))).collect();
    drop(unrelated);
    assert_eq!(wakes.get(), 0);
    let mut above = publish(&producer, "room", route(&[7]));
    above.update(route(&[8])).unwrap();
    let _below = publish(&producer, "room/a/b", route(&[7]));
    assert_eq!(wakes.get(), 1, "until it looks");
    assert!(poll() && poll() && !poll());
    drop(above);
    assert_eq!(wakes.get(), 2);
}

#[test]
fn readers_leave_nothing_behind() {
    let origin = origin();
    let consumer = origin.consumer(Path::root(), paths(&["a", "b/c"]), Horizon::new());
    let feeds = [consumer.announced(&Path::root(), false), consumer.announced(&path("a"), false)];
    drop(feeds);
    drop(publish(&publisher(&origin), "a", route(&[7])));
    let places = origin.shared.read();
    assert!(places.is_bare());
}

#[test]
fn a_reader_that_never_comes_back_is_told_that_its_feed_is_over() {
    let limits = Limits { changes: 4, ends: 2000, ..Limits::default() };
    let origin = Origin::with_limits(hop(HERE), limits);
    let (producer, consumer) = (publisher(&origin), viewer(&origin));
    let mut slow = consumer.announced(&Path::root(), false);
    let mut quiet = consumer.announced(&path("quiet"), false);
    assert_eq!([slow.initial(), quiet.initial()], [[], []]);
    let churn = |times| (0..times).for_each(|_| drop(publish(&producer, "busy", route(&[7]))));
    churn(1500);
    assert_eq!(told(&mut slow), [], "slow, but not too slow");
    churn(3000);
    let mut next = || slow.poll_next(&mut Context::from_waker(noop_waker_ref()));
    assert_eq!(next(), Poll::Ready(None));
    assert_eq!(next(), Poll::Ready(None), "for good");
    let _quiet = publish(&producer, "quiet", route(&[7]));
    assert_eq!(told(&mut quiet), [start("", route(&[7]))], "who missed nothing is none the worse");
}

#[test]
fn ends_that_everybody_has_read_are_forgotten() {
    let origin = Origin::with_limits(hop(HERE), Limits { changes: 4, ..Limits::default() });
    let producer = publisher(&origin);
    let mut feed = viewer(&origin).announced(&Path::root(), false);
    for _ in 0..10_000 {
        let _busy = publish(&producer, "busy", route(&[7]));
        told(&mut feed);
    }
    assert!(origin.shared.read().changes.remembered() < 2000);
}

#[test]
fn a_hundred_thousand_announcements_cost_a_walk_each() {
    const COUNT: usize = 100_000;
    let origin = origin();
    let producer = publisher(&origin).with_limit(COUNT);
    let names: Vec<Path> = (0..COUNT).map(|name| path(&format!("room{}/user{name}", name % 300))).collect();
    let shared = broadcast();
    let (waker, wakes) = counting_waker();
    let mut feed = viewer(&origin).announced(&Path::root(), false);
    feed.initial();
    let mut slow: Vec<_> = (0..1000).map(|_| viewer(&origin).announced(&Path::root(), false)).collect();
    slow.iter_mut().for_each(|feed| assert_eq!(feed.initial(), []));
    let mut others: Vec<_> = (0..100).map(|name| viewer(&origin).announced(&path(&format!("hall/{name}")), false)).collect();
    for other in &mut others {
        assert!(other.poll_next(&mut Context::from_waker(&waker)).is_pending());
    }

    let began = Instant::now();
    let publications: Vec<_> = names.iter().map(|at| producer.publish(at, route(&[7]), shared.consume()).unwrap()).collect();
    assert_eq!(told(&mut feed).len(), COUNT);
    drop(publications);
    assert_eq!(told(&mut feed).len(), COUNT);
    let took = began.elapsed();
    assert_eq!(wakes.get(), 0, "nobody else is woken");
    assert_eq!(told(&mut slow[0]), [], "nothing is left to tell");
    // Far above what it takes, far below what anything quadratic would.
    assert!(took.as_secs() < 20, "{took:?}");
}

// ---- whatever happens ----

/// What somebody holds who applies a feed.
#[derive(Debug, Default)]
struct Held {
    routes: BTreeMap<Path, Route>,
}

impl Held {
    fn of(changes: Vec<Change>) -> Self {
        let mut held = Self::default();
        held.apply(changes);
        held
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Start { path, route } => assert_eq!(self.routes.insert(path, route), None, "started twice"),
                Change::Update { path, route } => {
                    let old = self.routes.insert(path, route.clone()).expect("updated before it started");
                    assert_ne!(old, route, "updated to what it was");
                }
                Change::End { path } => assert!(self.routes.remove(&path).is_some(), "ended before it started"),
            }
        }
    }
}

#[test]
fn nothing_is_missed_between_threads() {
    const ROUNDS: u64 = 3000;
    let origin = Origin::with_limits(hop(HERE), Limits { changes: 16, ..Limits::default() });
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (mut feed, mut held) = (viewer(&origin).announced(&Path::root(), false), Held::default());
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    while !(0..2).all(|name| held.routes.contains_key(&path(&format!("done/{name}")))) {
                        held.apply(runtime.block_on(feed.next()).into_iter().collect());
                    }
                    held.apply(told(&mut feed));
                    held.routes
                })
            })
            .collect();
        let writers: Vec<_> = (0..2)
            .map(|name| {
                let producer = publisher(&origin);
                scope.spawn(move || {
                    let mut kept = VecDeque::new();
                    for round in 0..ROUNDS {
                        kept.push_back(publish(&producer, &format!("room/{}", round % 7), route(&[10 + round % 3])));
                        if kept.len() > 5 {
                            kept.pop_front();
                        }
                    }
                    kept.push_back(publish(&producer, &format!("done/{name}"), route(&[10])));
                    kept
                })
            })
            .collect();
        let kept: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        let now = Held::of(viewer(&origin).announced(&Path::root(), false).initial()).routes;
        for reader in readers {
            assert_eq!(reader.join().unwrap(), now);
        }
        drop(kept);
    });
}

#[derive(Clone, Debug)]
enum Step {
    Publish { session: usize, at: Path, hops: Vec<u64>, cost: u64 },
    Update { which: usize, hops: Vec<u64>, cost: u64 },
    Withdraw { which: usize },
    Read { reader: usize },
}

const SESSIONS: usize = 3;

fn place() -> impl Strategy<Value = Path> {
    let segment = select(&["a", "b", ".c"][..]);
    vec(segment, 0..4).prop_map(|segments| path(&segments.join("/")))
}

fn hops() -> impl Strategy<Value = Vec<u64>> {
    vec(prop_oneof![2 => 10..14u64, 1 => Just(0)], 0..4).prop_map(|hops| {
        let mut chain = HopChain::new();
        // One that is there already is left out.
        hops.into_iter().filter(|&id| chain.push(hop(id)).is_ok()).collect()
    })
}

fn step(readers: usize) -> impl Strategy<Value = Step> {
    let publish = (0..SESSIONS, place(), hops(), 0..2u64);
    let publish = publish.prop_map(|(session, at, hops, cost)| Step::Publish { session, at, hops, cost });
    let update = (any::<usize>(), hops(), 0..2u64).prop_map(|(which, hops, cost)| Step::Update { which, hops, cost });
    let withdraw = any::<usize>().prop_map(|which| Step::Withdraw { which });
    let read = (0..readers).prop_map(|reader| Step::Read { reader });
    prop_oneof![4 => publish, 2 => update, 3 => withdraw, 1 => read]
}

/// Who reads: the session it belongs to (one beyond the last publishes nothing), what it may see and what it asked for.
#[derive(Clone, Debug)]
struct Asked {
    session: usize,
    hop: u64,
    root: Path,
    allowed: Vec<Path>,
    prefix: Path,
    hidden: bool,
}

fn asked() -> impl Strategy<Value = Asked> {
    let allowed = prop_oneof![Just(vec![Path::root()]), vec(place(), 0..4)];
    let root = prop_oneof![3 => Just(Path::root()), 1 => place()];
    let prefix = prop_oneof![2 => Just(Path::root()), 1 => place()];
    (0..=SESSIONS, select(&[0, 10, 11][..]), root, allowed, prefix, any::<bool>())
        .prop_map(|(session, hop, root, allowed, prefix, hidden)| Asked { session, hop, root, allowed, prefix, hidden })
}

proptest! {
    #[test]
    fn whoever_applies_the_feed_holds_what_a_newcomer_is_told(
        changes in 0..12usize,
        asked in vec(asked(), 4),
        steps in vec(step(4), 0..120),
    ) {
        let origin = Origin::with_limits(hop(HERE), Limits { changes, ..Limits::default() });
        // The first is trusted, and each other one has a principal of its own.
        let principal = |session: usize| (session > 0).then(|| Principal::new(&[session as u8]));
        let horizon = |session| Horizon { principal: principal(session), ..Horizon::new() };
        let sessions: Vec<Horizon> = (0..=SESSIONS).map(horizon).collect();
        let producer = |session: usize| origin.producer(Path::root(), vec![Path::root()], sessions[session].clone());
        let producers: Vec<Producer> = (0..SESSIONS).map(producer).collect();
        // One for its own path, and one for what lies below as well.
        let exact = broadcast();
        let shared = [exact.consume(), any_broadcast()];
        let mut publications: Vec<Publication> = Vec::new();
        let view = |asked: &Asked| {
            let horizon = Horizon { hop: hop(asked.hop), ..sessions[asked.session].clone() };
            origin.consumer(asked.root.clone(), asked.allowed.clone(), horizon)
        };
        let feed = |asked: &Asked| view(asked).announced(&asked.prefix, asked.hidden);
        let mut readers: Vec<(Announced, Held)> = asked.iter().map(|asked| (feed(asked), Held::default())).collect();
        let priced = |hops: &[u64], cost: u64| Route { cost: Cost::new(cost, cost), ..route(hops) };
        let check = |reader: &mut (Announced, Held), asked: &Asked| {
            reader.1.apply(told(&mut reader.0));
            assert_eq!(reader.1.routes, Held::of(feed(asked).initial()).routes, "{asked:?}");
            let is_served = view(asked).consume(&asked.prefix).is_some();
            assert!(!is_served || reader.1.routes.contains_key(&Path::root()), "{asked:?}: what is served is told");
            for told in reader.1.routes.keys() {
                let at = asked.prefix.join(told).unwrap();
                assert!(view(asked).consume(&at).is_some(), "{asked:?}: what is told at {told:?} is served");
            }
        };
        for step in steps {
            match step {
                Step::Publish { session, at, hops, cost } => {
                    publications.push(producers[session].publish(&at, priced(&hops, cost), shared[hops.len() % 2].clone()).unwrap());
                }
                Step::Update { .. } | Step::Withdraw { .. } if publications.is_empty() => {}
                Step::Update { which, hops, cost } => {
                    let which = which % publications.len();
                    publications[which].update(priced(&hops, cost)).unwrap();
                }
                Step::Withdraw { which } => drop(publications.swap_remove(which % publications.len())),
                Step::Read { reader } => check(&mut readers[reader], &asked[reader]),
            }
        }
        for (reader, asked) in readers.iter_mut().zip(&asked) {
            check(reader, asked);
        }
        drop(publications);
        for (reader, asked) in readers.iter_mut().zip(&asked) {
            check(reader, asked);
            assert!(reader.1.routes.is_empty());
        }
    }
}
