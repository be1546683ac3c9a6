//! Servers that ask their clients to leave.

use std::collections::HashMap;

use moq_lite::{
    model::{group, track},
    session::Closer,
    testing::pair::Published,
};
use tokio::task::JoinHandle;

use super::*;

/// The relays a.example and b.example, and what a client did there.
struct Net {
    version: Version,
    relays: HashMap<&'static str, Rc<Relay>>,
    began: Instant,
    /// Where it tried, and when.
    dials: RefCell<Vec<(Duration, String)>>,
    /// The relay's end of each session, and the client's.
    sessions: RefCell<Vec<(Closer<memory::Connection>, memory::Connection)>>,
    down: RefCell<HashMap<String, Retry>>,
}

/// The same in each relay.
struct Twin {
    _peer: Peer,
    _room: Published,
    _video: track::Producer,
    group: group::Producer,
}

/// What was told: the place of a session, or `None` between two.
type Told = Rc<RefCell<Vec<Option<String>>>>;

impl Net {
    fn new(version: Version) -> Rc<Self> {
        let relays = HashMap::from([("a.example", Relay::new()), ("b.example", Relay::new())]);
        let (dials, sessions, down) = Default::default();
        Rc::new(Self { version, relays, began: Instant::now(), dials, sessions, down })
    }

    async fn dial(&self, place: &Place) -> Result<Session<memory::Connection>, NoRelay> {
        self.dials.borrow_mut().push((self.began.elapsed(), place.url().to_string()));
        let host = place.url().host_str().unwrap();
        if let Some(retry) = self.down.borrow().get(host) {
            return Err(NoRelay(*retry));
        }
        let (there, here) = memory::connect(pair::options(self.version));
        let versions = [self.version];
        let serve = self.relays[host].serve(here, self.version);
        let (session, closer) = tokio::join!(Session::connect(there.clone(), &versions), serve);
        self.sessions.borrow_mut().push((closer, there));
        session.map_err(|_| NoRelay(Retry::Again))
    }

    /// A client that watches, from a.example on.
    async fn client(self: &Rc<Self>, patience: Duration) -> (Origin, Told, JoinHandle<Lost<NoRelay>>) {
        let hop = session::random_hop();
        let origin = Origin::new(hop);
        let (reconnect, first) = (reconnect(&origin, patience), self.dial(&home()).await.unwrap());
        let (net, inside, told) = (self.clone(), origin.clone(), Told::default());
        let tell = told.clone();
        let running = spawn_local(async move {
            let told = |state: State<'_>| {
                tell.borrow_mut().push(match state {
                    State::Connected { place } => Some(place.to_string()),
                    State::Reconnecting { .. } => None,
                });
            };
            reconnect.run(first, async |place: &Place| net.dial(place).await, || roles(&inside, hop), told).await
        });
        (origin, told, running)
    }

    /// Somebody who publishes in both relays: what a cluster has of one publisher.
    async fn twins(&self) -> [Twin; 2] {
        let hop = HopId::try_from(0xfee1).unwrap();
        let mut twins = Vec::new();
        for host in ["a.example", "b.example"] {
            let peer = self.relays[host].join_as(self.version, pair::options(self.version), hop).await;
            let room = peer.publish("room");
            let video = room.create_track("video");
            let mut group = video.append_group();
            group.write_frame("before", None).unwrap();
            twins.push(Twin { _peer: peer, _room: room, _video: video, group });
        }
        twins.try_into().unwrap_or_else(|_| unreachable!())
    }

    /// The latest session's server asks to leave.
    fn go_away(&self, uri: &str) {
        self.sessions.borrow().last().unwrap().0.go_away(uri);
    }

    fn tried(&self) -> Vec<String> {
        self.dials.borrow().iter().map(|(_, url)| url.clone()).collect()
    }
}

fn at(host: &str) -> Option<String> {
    Some(format!("https://{host}/"))
}

async fn watch(origin: &Origin) -> group::Consumer {
    let view = origin.consumer(Path::root(), vec![Path::root()], Horizon::new());
    let broadcast = timeout(SOON, view.consume_wait(&"room".parse().unwrap())).await.unwrap();
    let track = broadcast.track("video").await.unwrap();
    let mut groups = track.subscribe(demand::Ask { start: demand::Start::At(0), ..demand::Ask::default() });
    let mut group = timeout(SOON, groups.next()).await.expect("a group in time").expect("no end");
    assert_eq!(group.next_frame().await.unwrap().unwrap().payload, "before");
    // Asked for as long as the test runs.
    spawn_local(async move { while groups.next().await.is_some() {} });
    group
}

#[tokio::test(start_paused = true)]
async fn a_subscription_goes_along_before_the_old_session_ends() {
    for version in Version::ALL.iter().copied().filter(|version| *version >= Version::Lite04) {
        story(async {
            let net = Net::new(version);
            let [_left, mut right] = net.twins().await;
            let (origin, told, running) = net.client(Duration::from_secs(30)).await;
            let mut group = watch(&origin).await;
            let asked = Instant::now();
            net.go_away("https://b.example/");
            while told.borrow().len() < 2 {
                sleep(Duration::from_millis(1)).await;
            }
            assert!(asked.elapsed() < Duration::from_millis(10), "{version}: at once");
            let first = net.sessions.borrow()[0].1.clone();
            let mut watched = first.clone();
            let closed = std::future::poll_fn(|cx| moq_lite::transport::Connection::poll_closed(&mut watched, cx));
            assert!(timeout(Duration::from_millis(500), closed).await.is_err(), "{version}: the old one is still open");

            // Only the new relay has the rest.
            right.group.write_frame("after", None).unwrap();
            right.group.finish();
            let after = timeout(SOON, group.next_frame()).await.expect("not stuck");
            assert_eq!(after.unwrap().unwrap().payload, "after", "{version}: in the middle of the group");
            assert_eq!(timeout(SOON, group.next_frame()).await.expect("not stuck"), Ok(None), "{version}");
            let closed = std::future::poll_fn(|cx| moq_lite::transport::Connection::poll_closed(&mut watched, cx)).await;
            assert_eq!(closed, ConnectionError::Closed { code: 0, reason: "moved".into() }, "{version}");
            assert_eq!(*told.borrow(), [at("a.example"), at("b.example")], "{version}: no session is lost");
            assert!(!running.is_finished());
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_follows_it_is_the_old_place_again() {
    for uri in ["", "ftp://b.example/", "https://me@b.example/", "http://b.example/", "nonsense"] {
        story(async {
            let net = Net::new(Version::Lite05);
            let (_origin, told, _running) = net.client(Duration::from_secs(30)).await;
            net.go_away(uri);
            sleep(SOON).await;
            assert_eq!(net.tried(), ["https://a.example/"; 2], "{uri}");
            assert_eq!(*told.borrow(), [at("a.example"), at("a.example")], "{uri}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_cannot_be_reached_is_given_up_for_the_first_while_the_session_goes_on() {
    for retry in [Retry::Again, Retry::Never] {
        story(async {
            let net = Net::new(Version::Lite05);
            let [mut left, _right] = net.twins().await;
            let (origin, told, _running) = net.client(Duration::from_secs(1)).await;
            let mut group = watch(&origin).await;
            net.down.borrow_mut().extend([("a.example".into(), Retry::Again), ("b.example".into(), retry)]);
            net.go_away("https://b.example/");
            // Longer than its patience, which begins when there is no session.
            sleep(SOON).await;
            assert_eq!(net.tried()[1..3], ["https://b.example/", "https://a.example/"]);
            left.group.write_frame("after", None).unwrap();
            assert_eq!(timeout(SOON, group.next_frame()).await.expect("not stuck").unwrap().unwrap().payload, "after");
            net.down.borrow_mut().clear();
            sleep(SOON).await;
            assert_eq!(*told.borrow(), [at("a.example"), at("a.example")]);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_leaves_before_the_next_is_found_is_a_session_lost() {
    story(async {
        let net = Net::new(Version::Lite05);
        let (_origin, told, running) = net.client(Duration::from_secs(3)).await;
        net.down.borrow_mut().extend([("a.example".into(), Retry::Again), ("b.example".into(), Retry::Again)]);
        net.go_away("https://b.example/");
        sleep(SOON).await;
        net.sessions.borrow()[0].1.lose();
        let lost = timeout(SOON, running).await.expect("it gives up").unwrap();
        assert!(matches!(lost, Lost::Dial(NoRelay(Retry::Again))), "{lost:?}");
        assert_eq!(*told.borrow(), [at("a.example"), None]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_after_a_long_leave_is_looked_for_at_once() {
    story(async {
        let net = Net::new(Version::Lite05);
        let (_origin, told, _running) = net.client(Duration::from_secs(30)).await;
        net.down.borrow_mut().insert("a.example".into(), Retry::Again);
        net.go_away("");
        // Long enough for the waits to have grown to two seconds, and for the last of them to have just begun.
        sleep(Duration::from_secs(20)).await;
        let tries = net.tried().len();
        while net.tried().len() == tries {
            sleep(Duration::from_millis(1)).await;
        }
        net.down.borrow_mut().clear();
        net.sessions.borrow()[0].1.lose();
        let lost = Instant::now();
        while told.borrow().len() < 3 {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(*told.borrow(), [at("a.example"), None, at("a.example")]);
        assert!(
            lost.elapsed() < Duration::from_millis(150),
            "after a first wait, not the rest of a long one: {:?}",
            lost.elapsed()
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_where_it_was_sent_comes_back() {
    story(async {
        let net = Net::new(Version::Lite05);
        let (_origin, told, _running) = net.client(Duration::from_secs(30)).await;
        net.go_away("https://b.example/");
        sleep(SOON).await;
        net.sessions.borrow()[1].0.close(close::session::UNAUTHORIZED, "not here");
        sleep(SOON).await;
        assert_eq!(*told.borrow(), [at("a.example"), at("b.example"), None, at("a.example")]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_is_sent_round_and_round_takes_its_time() {
    story(async {
        let net = Net::new(Version::Lite05);
        let (_origin, _told, running) = net.client(Duration::from_secs(30)).await;
        for round in 1.. {
            net.go_away(if round % 2 == 1 { "https://b.example/" } else { "https://a.example/" });
            while net.sessions.borrow().len() == round {
                sleep(Duration::from_millis(1)).await;
            }
            if net.began.elapsed() > Duration::from_secs(9) {
                break;
            }
        }
        let times: Vec<_> = net.dials.borrow().iter().map(|(when, _)| *when).collect();
        let pauses: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis() / 100).collect();
        assert_eq!(pauses, [0, 0, 0, 1, 2, 4, 8, 16, 20, 20, 20], "as often as one that cannot be reached");
        let is_open = |(_, there): &&(_, memory::Connection)| {
            let mut there = there.clone();
            let closed = std::future::poll_fn(|cx| moq_lite::transport::Connection::poll_closed(&mut there, cx));
            futures::FutureExt::now_or_never(closed).is_none()
        };
        assert!(net.sessions.borrow().iter().filter(is_open).count() <= 2, "two at a time at most");
        assert!(!running.is_finished());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_patience_nobody_is_followed() {
    story(async {
        let net = Net::new(Version::Lite05);
        let (_origin, told, running) = net.client(Duration::ZERO).await;
        net.go_away("https://b.example/");
        sleep(SOON).await;
        assert_eq!((net.tried().len(), told.borrow().len()), (1, 1));
        net.sessions.borrow()[0].0.close(close::session::NO_ERROR, "going away");
        assert!(matches!(timeout(SOON, running).await.unwrap().unwrap(), Lost::Session(None)));
    })
    .await;
}
