//! Publishers of one name that die in the middle of what they say: their viewers go on with the next, and see neither a wrong
//! nor a repeated byte.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{cell::Cell, rc::Rc, sync::atomic::Ordering::Relaxed, time::Duration};

use bytes::Bytes;
use moq_lite::{
    model::{
        demand,
        group::{self, GroupError},
        track,
    },
    testing::{
        memory,
        pair::{self, Peer, Published, Relay, story},
    },
};
use moq_proto::{CloseCode, HopId, Timestamp, Version, close};
use tokio::{
    task::{JoinHandle, spawn_local, yield_now},
    time::{sleep, timeout},
};

const SOON: Duration = Duration::from_secs(5);

/// Frames of each group.
const FRAMES: u64 = 12;

/// The versions that name the original publisher of a broadcast.
fn named() -> impl Iterator<Item = Version> {
    Version::ALL.iter().copied().filter(|version| *version >= Version::Lite04)
}

fn hop() -> HopId {
    HopId::try_from(0xfee1).unwrap()
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What every publisher of the name says in this frame.
fn payload(group: u64, frame: u64) -> Bytes {
    let mut dice = Dice((group + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (frame + 1).wrapping_mul(0xd1b5_4a32_d192_ed03));
    let size = match dice.below(4) {
        0 => dice.below(3),
        1 => dice.below(200),
        _ => dice.below(9000),
    };
    let salt = dice.below(1 << 32);
    (0..size).map(|at| ((salt + at * 31) >> 3) as u8).collect()
}

/// Where the show is: the next frame to be said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moment {
    group: u64,
    frame: u64,
}

impl Moment {
    fn next(self) -> Self {
        if self.frame + 1 == FRAMES { Self { group: self.group + 1, frame: 0 } } else { Self { frame: self.frame + 1, ..self } }
    }
}

/// One process that publishes what all of the name do.
struct Publisher {
    peer: Peer,
    _room: Published,
    track: track::Producer,
    open: Option<group::Producer>,
}

#[derive(Clone, Copy, Debug)]
enum Death {
    /// Its network goes away.
    Lost,
    /// It closes its session.
    Closed,
    /// It resets its groups and its subscriptions, and its session goes on.
    Reset,
}

impl Publisher {
    /// Starts at `now`, with this group and the one before it at hand.
    async fn start(relay: &Relay, version: Version, now: Moment) -> Self {
        // Small windows, so that frames are under way for a while.
        let options = memory::Options { window: 700, ..pair::options(version) };
        let peer = relay.join_as(version, options, hop()).await;
        let room = peer.publish("room/alice");
        let track = room.create_track("video");
        let mut publisher = Self { peer, _room: room, track, open: None };
        let mut at = Moment { group: now.group.saturating_sub(1), frame: 0 };
        while at != now {
            publisher.say(at);
            at = at.next();
        }
        publisher
    }

    fn say(&mut self, Moment { group, frame }: Moment) {
        let open = self.open.get_or_insert_with(|| self.track.create_group(group).unwrap());
        let time = Timestamp::try_from(group * 400 + frame * 30).unwrap();
        open.write_frame(payload(group, frame), Some(time)).unwrap();
        if frame + 1 == FRAMES {
            self.open.take().unwrap().finish();
        }
    }

    fn die(&mut self, death: Death) {
        match death {
            Death::Lost => self.peer.connection.lose(),
            Death::Closed => self.peer.closer.close(close::session::NO_ERROR, "bye"),
            Death::Reset => {
                let code = CloseCode::new(99);
                if let Some(open) = self.open.take() {
                    open.abort(code);
                }
                self.track.abort(code);
            }
        }
    }
}

/// Somebody who watches from the first group on, and keeps count of the groups seen.
struct Viewer {
    _peer: Peer,
    whole: Rc<Cell<u64>>,
    watching: JoinHandle<()>,
}

impl Viewer {
    async fn start(relay: &Relay, version: Version) -> Self {
        Self::of(relay.join(version).await).await
    }

    async fn of(peer: Peer) -> Self {
        let version = peer.version;
        let track = peer.consume("room/alice").await.track("video").await.unwrap();
        let ask = demand::Ask { max_age: Some(Duration::from_secs(60)), start: demand::Start::At(0), ..demand::Ask::default() };
        let mut groups = track.subscribe(ask);
        let whole = Rc::new(Cell::new(0));
        let count = whole.clone();
        let watching = spawn_local(async move {
            while let Some(mut group) = groups.next().await {
                let sequence = group.sequence();
                assert_eq!(sequence, count.get(), "{version}: every group once, and in order");
                for frame in 0..FRAMES {
                    let seen = timeout(SOON, group.next_frame()).await;
                    let seen = seen.unwrap_or_else(|_| panic!("{version}: stuck in group {sequence} before frame {frame}"));
                    let seen = seen.unwrap_or_else(|error| panic!("{version}: {error}"));
                    let seen = seen.unwrap_or_else(|| panic!("{version}: group {sequence} ends before frame {frame}"));
                    assert!(seen.payload == payload(sequence, frame), "{version}: group {sequence}, frame {frame}");
                }
                assert_eq!(timeout(SOON, group.next_frame()).await.unwrap(), Ok(None), "{version}: group {sequence} ends");
                count.set(sequence + 1);
            }
        });
        Self { _peer: peer, whole, watching }
    }

    /// Waits until it has seen all groups below `end`.
    async fn has_seen(&self, end: u64, what: &str) {
        for _ in 0..2000 {
            assert!(!self.watching.is_finished(), "{what}: a viewer gave up after {} of {end} groups", self.whole.get());
            if self.whole.get() >= end {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
        panic!("{what}: stuck after {} of {end} groups", self.whole.get());
    }
}

async fn both_are_known(relay: &Relay) {
    let path = "room/alice".parse().unwrap();
    while relay.origin.routes(&path).len() != 2 {
        sleep(Duration::from_micros(100)).await;
    }
}

/// Two publishers of one name. One after the other is killed, and comes back at what is then the present.
async fn kill_in_turn(version: Version, deaths: &[Death], kills: u64, seed: u64) {
    let relay = Relay::new();
    let mut dice = Dice(seed);
    let mut now = Moment::default();
    let mut fed = Publisher::start(&relay, version, now).await;
    let viewers = [Viewer::start(&relay, version).await, Viewer::start(&relay, Version::Lite04).await];
    let mut other = Publisher::start(&relay, version, now).await;
    both_are_known(&relay).await;
    for kill in 0..kills {
        let death = deaths[(kill % deaths.len() as u64) as usize];
        for _ in 0..=dice.below(2 * FRAMES) {
            for publisher in [&mut fed, &mut other] {
                publisher.say(now);
            }
            now = now.next();
            // Mostly there is time for all of it to arrive, seldom for some.
            match dice.below(4) {
                0 => {}
                _ => sleep(Duration::from_millis(1)).await,
            }
        }
        // Somewhere in the middle of the last frames, often of their bytes.
        for _ in 0..dice.below(12) {
            yield_now().await;
        }
        fed.die(death);
        for _ in 0..dice.below(30) {
            yield_now().await;
        }
        let fresh = Publisher::start(&relay, version, now).await;
        fed = std::mem::replace(&mut other, fresh);
        both_are_known(&relay).await;
        if dice.below(2) == 0 {
            for viewer in &viewers {
                viewer.has_seen(now.group, &format!("{version}, kill {kill} ({death:?}), seed {seed}")).await;
            }
        }
    }
    while now.frame > 0 {
        fed.say(now);
        now = now.next();
    }
    for viewer in &viewers {
        viewer.has_seen(now.group, &format!("{version}, {deaths:?}, seed {seed}")).await;
        assert!(!viewer.watching.is_finished());
    }
    let handovers = relay.stats.counters().handovers.load(Relaxed);
    assert!(handovers >= kills, "{version}: {handovers} handovers of {kills}");
    assert!(relay.stats.counters().continued_groups.load(Relaxed) > kills / 2, "{version}: groups were continued");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_lost_in_the_middle_is_continued_by_its_twin() {
    for version in named() {
        story(kill_in_turn(version, &[Death::Lost], 100, 7)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_leaves_or_breaks_off_in_the_middle_is_continued_by_its_twin() {
    for version in named() {
        story(kill_in_turn(version, &[Death::Reset], 100, 11)).await;
        story(kill_in_turn(version, &[Death::Closed, Death::Reset, Death::Lost], 100, 13)).await;
    }
}

/// Somebody who watches the newest group, and then whatever comes.
async fn watch(peer: &Peer) -> track::Subscription {
    let track = peer.consume("room/alice").await.track("video").await.unwrap();
    track.subscribe(demand::Ask { max_age: Some(SOON), ..demand::Ask::default() })
}

async fn next(groups: &mut track::Subscription) -> group::Consumer {
    timeout(SOON, groups.next()).await.expect("a group in time").expect("a group")
}

#[tokio::test(start_paused = true)]
async fn a_twin_that_says_something_else_does_not_continue_a_group() {
    for version in named() {
        story(async {
            let relay = Relay::new();
            let viewer = relay.join(version).await;
            let mut first = Publisher::start(&relay, version, Moment::default()).await;
            let mut groups = watch(&viewer).await;
            let mut open = first.track.create_group(0).unwrap();
            open.write_frame("said", None).unwrap();
            let mut seen = next(&mut groups).await;
            assert_eq!(seen.next_frame().await.unwrap().unwrap().payload, "said");

            let second = Publisher::start(&relay, version, Moment::default()).await;
            let mut other = second.track.create_group(0).unwrap();
            other.write_frame("sair", None).unwrap();
            other.write_frame("wrong", None).unwrap();
            both_are_known(&relay).await;
            first.die(Death::Lost);

            let cut = timeout(SOON, seen.next_frame()).await.expect("not stuck").unwrap_err();
            assert_eq!(cut, GroupError::Reset { sequence: 0, code: close::stream::SESSION_CLOSED }, "{version}");
            second.track.create_group(1).unwrap().write_all(["right"]);
            let after = next(&mut groups).await;
            assert_eq!(
                (after.sequence(), after.frames().await),
                (1, vec!["right".into()]),
                "{version}: it goes on with the next"
            );
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn another_publisher_of_the_path_is_not_its_twin() {
    for version in named() {
        story(async {
            let relay = Relay::new();
            let (viewer, other) = (relay.join(version).await, relay.join(version).await);
            let room = other.publish("room/alice");
            let _video = room.create_track("video");
            let mut first = Publisher::start(&relay, version, Moment::default()).await;
            both_are_known(&relay).await;
            let mut groups = watch(&viewer).await;
            first.say(Moment::default());
            next(&mut groups).await;
            first.die(Death::Lost);

            assert!(timeout(SOON, groups.next()).await.expect("not stuck").is_none(), "{version}");
            assert_eq!(relay.stats.counters().handovers.load(Relaxed), 0, "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_the_twin_has_no_more_is_cut_and_the_next_one_comes() {
    for version in named() {
        story(async {
            let relay = Relay::new();
            let viewer = relay.join(version).await;
            let mut first = Publisher::start(&relay, version, Moment::default()).await;
            let mut groups = watch(&viewer).await;
            first.say(Moment::default());
            let mut seen = next(&mut groups).await;
            seen.next_frame().await.unwrap().unwrap();
            let second = Publisher::start(&relay, version, Moment::default()).await;
            both_are_known(&relay).await;
            first.die(Death::Lost);
            second.track.create_group(5).unwrap().write_all(["later"]);

            assert!(timeout(SOON, seen.next_frame()).await.expect("not stuck").is_err(), "{version}");
            assert_eq!(next(&mut groups).await.sequence(), 5, "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_was_restarted_and_counts_anew_is_another_track() {
    for version in named() {
        story(async {
            let relay = Relay::new();
            let viewer = relay.join(version).await;
            let mut first = Publisher::start(&relay, version, Moment { group: 500, frame: 0 }).await;
            let mut groups = watch(&viewer).await;
            first.say(Moment { group: 500, frame: 0 });
            while next(&mut groups).await.sequence() < 500 {}
            let restarted = Publisher::start(&relay, version, Moment { group: 3, frame: 0 }).await;
            both_are_known(&relay).await;
            first.die(Death::Lost);

            let over = timeout(4 * SOON, async { while groups.next().await.is_some() {} }).await;
            over.unwrap_or_else(|_| panic!("{version}: stuck"));
            let mut anew = watch(&viewer).await;
            assert_eq!(next(&mut anew).await.sequence(), 2, "{version}");
            restarted.track.create_group(3).unwrap().write_all(["more"]);
            assert_eq!(next(&mut anew).await.sequence(), 3, "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_twin_that_is_late_is_waited_for() {
    for version in named() {
        story(async {
            let relay = Relay::new();
            let viewer = relay.join(version).await;
            let mut first = Publisher::start(&relay, version, Moment { group: 500, frame: 0 }).await;
            let mut groups = watch(&viewer).await;
            first.say(Moment { group: 500, frame: 0 });
            while next(&mut groups).await.sequence() < 500 {}
            let twin = Publisher::start(&relay, version, Moment { group: 496, frame: 0 }).await;
            both_are_known(&relay).await;
            first.die(Death::Lost);

            sleep(2 * SOON).await;
            for group in 496..502 {
                twin.track.create_group(group).unwrap().write_all(["more"]);
                sleep(SOON / 5).await;
            }
            while next(&mut groups).await.sequence() < 501 {}
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn twins_that_all_refuse_a_track_are_not_asked_forever() {
    for version in named() {
        story(async {
            let relay = Relay::new();
            let viewer = relay.join(version).await;
            let mut first = Publisher::start(&relay, version, Moment::default()).await;
            let mut groups = watch(&viewer).await;
            first.say(Moment::default());
            next(&mut groups).await;
            // Both know the broadcast and none of its tracks.
            let mute = [
                relay.join_as(version, pair::options(version), hop()).await,
                relay.join_as(version, pair::options(version), hop()).await,
            ];
            let rooms: Vec<_> = mute.iter().map(|peer| peer.publish("room/alice")).collect();
            let refuse = rooms.iter().map(|room| async {
                while let Some(request) = room.broadcast().requested().await {
                    request.reject(close::stream::NOT_FOUND);
                }
            });
            let refusing = futures::future::join_all(refuse);
            let story = async {
                let path = "room/alice".parse().unwrap();
                while relay.origin.routes(&path).len() != 3 {
                    sleep(Duration::from_millis(1)).await;
                }
                first.die(Death::Lost);
                assert!(timeout(SOON, groups.next()).await.expect("not stuck").is_none(), "{version}");
                let handovers = relay.stats.counters().handovers.load(Relaxed);
                assert!((2..10).contains(&handovers), "{version}: {handovers} handovers");
            };
            tokio::select! { _ = refusing => {}, () = story => {} }
        })
        .await;
    }
}

/// A publisher is lost again and again, and comes back a moment later.
async fn come_and_go(relay: &Relay, viewer: &Viewer, version: Version, mut publisher: Publisher) {
    let (mut dice, mut now) = (Dice(17), Moment::default());
    for kill in 0..20 {
        // No further than what the publisher has at hand when it comes back.
        for _ in 0..dice.below(FRAMES) {
            publisher.say(now);
            now = now.next();
        }
        for _ in 0..dice.below(40) {
            yield_now().await;
        }
        publisher.die(Death::Lost);
        sleep(Duration::from_millis(dice.below(500))).await;
        publisher = Publisher::start(relay, version, now).await;
        viewer.has_seen(now.group, &format!("{version}, return {kill}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_may_keep_tracks_until_their_publisher_is_back() {
    for version in named() {
        story(async {
            let relay = Relay::new();
            relay.origin.keep_orphans(Duration::from_secs(10));
            let publisher = Publisher::start(&relay, version, Moment::default()).await;
            let viewer = Viewer::start(&relay, version).await;
            come_and_go(&relay, &viewer, version, publisher).await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_viewer_may_keep_tracks_that_its_relay_does_not() {
    for version in named() {
        story(async {
            let relay = Relay::new();
            let publisher = Publisher::start(&relay, version, Moment::default()).await;
            let peer = relay.join(version).await;
            peer.origin.keep_orphans(Duration::from_secs(10));
            let viewer = Viewer::of(peer).await;
            come_and_go(&relay, &viewer, version, publisher).await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_lets_go_of_publishers_before_viewers_cuts_no_group() {
    for version in named() {
        story(async {
            let relay = Relay::new();
            let mut publisher = Publisher::start(&relay, version, Moment::default()).await;
            let viewer = relay.join(version).await;
            viewer.origin.keep_orphans(Duration::from_secs(60));
            let mut groups = watch(&viewer).await;
            publisher.say(Moment::default());
            let mut seen = next(&mut groups).await;
            seen.next_frame().await.unwrap().unwrap();

            publisher.die(Death::Lost);
            // The viewer hears of its group's end, and no more of its track's.
            sleep(Duration::from_millis(1)).await;
            viewer.connection.lose();
            assert!(timeout(SOON, seen.next_frame()).await.is_err(), "{version}: the group waits");
            assert!(timeout(SOON, groups.next()).await.is_err(), "{version}: so does the track");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn tracks_whose_publisher_stays_away_end() {
    for version in named() {
        story(async {
            let relay = Relay::new();
            relay.origin.keep_orphans(Duration::from_secs(10));
            let viewer = relay.join(version).await;
            let mut publisher = Publisher::start(&relay, version, Moment::default()).await;
            let mut groups = watch(&viewer).await;
            publisher.say(Moment::default());
            let mut seen = next(&mut groups).await;
            seen.next_frame().await.unwrap().unwrap();
            publisher.die(Death::Lost);

            let tend = async {
                loop {
                    relay.origin.tend(tokio::time::Instant::now().into_std());
                    sleep(Duration::from_secs(1)).await;
                }
            };
            let story = async {
                assert!(timeout(SOON, seen.next_frame()).await.is_err(), "{version}: the group waits");
                assert!(timeout(SOON, groups.next()).await.is_err(), "{version}: so does the track");
                assert!(timeout(SOON, seen.next_frame()).await.expect("but not forever").is_err(), "{version}");
                assert!(timeout(SOON, groups.next()).await.expect("nor does the track").is_none(), "{version}");
            };
            tokio::select! { () = tend => {}, () = story => {} }
        })
        .await;
    }
}
