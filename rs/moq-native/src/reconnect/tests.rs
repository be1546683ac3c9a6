use std::{cell::RefCell, rc::Rc};

use moq_lite::{
    model::{cache::Budget, demand, origin::Horizon},
    testing::{
        memory,
        pair::{self, Peer, Relay, story},
    },
};
use moq_proto::{HopId, Path, Version};
use proptest::{collection::vec, prelude::*};
use tokio::{
    task::spawn_local,
    time::{sleep, timeout},
};

use super::*;

mod moves;

const SOON: Duration = Duration::from_secs(5);

#[test]
fn waits_grow_to_the_longest_and_begin_anew() {
    let mut chance = [0.0, 0.0, 0.5, 1.0, 0.0, 0.0].into_iter();
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(500), move || chance.next().unwrap());
    let waits = [(); 5].map(|()| backoff.wait().as_millis());
    assert_eq!(waits, [100, 200, 300, 250, 500]);
    backoff.reset();
    assert_eq!(backoff.wait().as_millis(), 100);
}

proptest! {
    #[test]
    fn no_wait_is_longer_than_the_longest_or_shorter_than_half_its_time(
        first in 1_u64..=u64::MAX,
        longest in 1_u64..=u64::MAX,
        chances in vec(-1.0..2.0, 1..80),
    ) {
        let (first, longest) = (Duration::from_nanos(first), Duration::from_nanos(longest));
        let (mut chance, tries) = (chances.clone().into_iter(), chances.len());
        let mut backoff = Backoff::new(first, longest, move || chance.next().unwrap());
        let mut whole = first.min(longest);
        for _ in 0..tries {
            let wait = backoff.wait();
            // The share of chance is reckoned in floating point.
            let slack = whole / 1_000_000 + Duration::from_nanos(1);
            prop_assert!(wait <= whole && wait + slack >= whole / 2, "{wait:?} of {whole:?}");
            whole = (whole * 2).min(longest);
        }
    }
}

#[test]
fn a_wait_without_end_is_one() {
    let mut backoff = Backoff::new(Duration::MAX, Duration::MAX, || 0.0);
    assert_eq!([(); 2].map(|()| backoff.wait()), [Duration::MAX; 2]);
}

#[test]
fn what_was_refused_is_not_tried_again() {
    let refused = |status: u16| Retry::from(&ConnectError::Refused(http::StatusCode::from_u16(status).unwrap()));
    assert_eq!([401, 403, 404].map(refused), [Retry::Never; 3]);
    assert_eq!([408, 429, 503].map(refused), [Retry::Again; 3]);
    let closed = |code: u32| Retry::from(&session::Error::Connection(ConnectionError::Closed { code, reason: String::new() }));
    assert_eq!(closed(close::session::UNAUTHORIZED.get()), Retry::Never);
    assert_eq!(closed(close::session::INTERNAL_ERROR.get()), Retry::Again);
    assert_eq!(Retry::from(&ConnectError::Late(SOON)), Retry::Again);
}

/// Why a test's dial fails.
#[derive(Debug, thiserror::Error)]
#[error("no relay")]
struct NoRelay(Retry);

impl From<&NoRelay> for Retry {
    fn from(error: &NoRelay) -> Self {
        error.0
    }
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_secs(2), || 0.0)
}

fn home() -> Place {
    url::Url::parse("https://a.example/").unwrap().into()
}

fn reconnect(origin: &Origin, patience: Duration) -> Reconnect {
    Reconnect { origin: origin.clone(), place: home(), backoff: backoff(), patience }
}

fn roles(origin: &Origin, hop: HopId) -> Roles<memory::Connection> {
    let (horizon, root) = (Horizon::new(), Path::root());
    Roles { inbound: Some(origin.producer(root.clone(), vec![root], horizon)), budget: Budget::new(1 << 20), ..Roles::new(hop) }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_survives_its_sessions() {
    let versions = Version::ALL.iter().copied().filter(|version| *version >= Version::Lite04);
    for version in versions {
        story(async {
            let relay = Relay::new();
            let publisher: Peer = relay.join(version).await;
            let room = publisher.publish("room");
            let video = room.create_track("video");

            // The relay's end of each session, to be cut.
            let ends = Rc::new(RefCell::new(Vec::new()));
            let (dialled, relaying) = (ends.clone(), relay.clone());
            let dial = async move |_: &Place| {
                let (there, here) = memory::connect(pair::options(version));
                dialled.borrow_mut().push(there.clone());
                let versions = [version];
                let (session, _) = tokio::join!(Session::connect(there, &versions), relaying.serve(here, version));
                session.map_err(|_| NoRelay(Retry::Again))
            };
            let hop = session::random_hop();
            let origin = Origin::new(hop);
            let first = dial(&home()).await.unwrap();
            let (reconnect, inside) = (reconnect(&origin, Duration::from_secs(30)), origin.clone());
            let states = Rc::new(RefCell::new(Vec::new()));
            let told = states.clone();
            let running = spawn_local(async move {
                reconnect
                    .run(
                        first,
                        dial,
                        || roles(&inside, hop),
                        |state| told.borrow_mut().push(matches!(state, State::Connected { .. })),
                    )
                    .await
            });
            let view = origin.consumer(Path::root(), vec![Path::root()], Horizon::new());
            let broadcast = timeout(SOON, view.consume_wait(&"room".parse().unwrap())).await.unwrap();
            let track = broadcast.track("video").await.unwrap();
            let mut groups = track.subscribe(demand::Ask { start: demand::Start::At(0), ..demand::Ask::default() });

            for round in 0..10 {
                let mut group = video.append_group();
                group.write_frame("before", None).unwrap();
                let mut seen = timeout(SOON, groups.next()).await.expect("a group in time").expect("no end");
                assert_eq!(seen.sequence(), round, "{version}");
                assert_eq!(seen.next_frame().await.unwrap().unwrap().payload, "before", "{version}");
                ends.borrow().last().unwrap().lose();
                group.write_frame("after", None).unwrap();
                group.finish();
                let frame = timeout(SOON, seen.next_frame()).await.expect("not stuck").unwrap().unwrap();
                assert_eq!(frame.payload, "after", "{version}: in the middle of the group");
            }
            assert!(!running.is_finished());
            assert_eq!(states.borrow()[..3], [true, false, true]);
            assert_eq!(states.borrow().len(), 21);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_no_relay_gives_up_in_time() {
    story(async {
        let relay = Relay::new();
        let (there, here) = memory::connect(pair::options(Version::Lite05));
        let (first, _) = tokio::join!(Session::connect(there.clone(), &[Version::Lite05]), relay.serve(here, Version::Lite05));
        let hop = session::random_hop();
        let origin = Origin::new(hop);
        let mut tries = 0;
        let dial = async |_: &Place| {
            tries += 1;
            Err(NoRelay(Retry::Again))
        };
        let reconnect = reconnect(&origin, Duration::from_secs(10));
        let began = Instant::now();
        let lose = async {
            sleep(Duration::from_millis(10)).await;
            there.lose();
        };
        let (lost, ()) = tokio::join!(reconnect.run(first.unwrap(), dial, || roles(&origin, hop), |_| {}), lose);
        assert!(matches!(lost, Lost::Dial(NoRelay(_))));
        let took = began.elapsed();
        assert!((Duration::from_secs(10)..Duration::from_secs(13)).contains(&took), "{took:?}");
        // 0.1 + 0.2 + 0.4 + 0.8 + 1.6, then every two seconds.
        assert_eq!(tries, 9);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_has_all_the_patience_there_is_goes_on_trying() {
    story(async {
        let relay = Relay::new();
        let (there, here) = memory::connect(pair::options(Version::Lite05));
        let (first, _) = tokio::join!(Session::connect(there.clone(), &[Version::Lite05]), relay.serve(here, Version::Lite05));
        let hop = session::random_hop();
        let origin = Origin::new(hop);
        let dial = async |_: &Place| Err(NoRelay(Retry::Again));
        let reconnect = reconnect(&origin, Duration::MAX);
        there.lose();
        let running = reconnect.run(first.unwrap(), dial, || roles(&origin, hop), |_| {});
        assert!(timeout(Duration::from_secs(24 * 60 * 60), running).await.is_err());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_patience_the_first_loss_is_the_last() {
    story(async {
        let relay = Relay::new();
        let (there, here) = memory::connect(pair::options(Version::Lite05));
        let (first, _) = tokio::join!(Session::connect(there.clone(), &[Version::Lite05]), relay.serve(here, Version::Lite05));
        let hop = session::random_hop();
        let origin = Origin::new(hop);
        let dial = async |_: &Place| -> Result<_, NoRelay> { panic!("not wanted") };
        let reconnect = reconnect(&origin, Duration::ZERO);
        there.lose();
        let lost = reconnect.run(first.unwrap(), dial, || roles(&origin, hop), |_| {}).await;
        assert!(matches!(lost, Lost::Session(Some(session::Error::Connection(ConnectionError::Lost(_))))));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_at_last_waits_for_nobody() {
    story(async {
        let relay = Relay::new();
        let publisher: Peer = relay.join(Version::Lite05).await;
        let room = publisher.publish("room");
        let video = room.create_track("video");
        video.append_group().finish();
        let (there, here) = memory::connect(pair::options(Version::Lite05));
        let (first, _) = tokio::join!(Session::connect(there.clone(), &[Version::Lite05]), relay.serve(here, Version::Lite05));
        let hop = session::random_hop();
        let (origin, first) = (Origin::new(hop), first.unwrap());
        let reconnect = reconnect(&origin, Duration::from_secs(3600));
        let watch = async {
            let view = origin.consumer(Path::root(), vec![Path::root()], Horizon::new());
            let broadcast = timeout(SOON, view.consume_wait(&"room".parse().unwrap())).await.unwrap();
            let track = broadcast.track("video").await.unwrap();
            let mut groups = track.subscribe(demand::Ask { start: demand::Start::At(0), ..demand::Ask::default() });
            timeout(SOON, groups.next()).await.expect("a group in time").expect("no end");
            there.lose();
            assert!(timeout(SOON, groups.next()).await.expect("an end in time").is_none());
            track.ended()
        };
        let dial = async |_: &Place| Err(NoRelay(Retry::Never));
        let (lost, ended) = tokio::join!(reconnect.run(first, dial, || roles(&origin, hop), |_| {}), watch);
        assert!(matches!(lost, Lost::Dial(NoRelay(_))));
        assert_eq!(ended, Some(Err(close::stream::SESSION_CLOSED)));
    })
    .await;
}
