//! Publishers of one name as processes of their own, killed in the middle of what they say: whoever watches sees neither a
//! wrong nor a repeated byte, and is never stuck.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{
    cell::RefCell,
    collections::{BTreeSet, VecDeque},
    env, fs,
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use moq_lite::{
    model::{demand, group, route::Route, track},
    session::Session,
};
use moq_native::{Client, ClientConfig, tls::Trust};
use moq_proto::{HopId, Timestamp, Version};
use tokio::time::sleep;
use url::Url;

use crate::{
    peer::{Over, Peer, Published, soon, story, until},
    process::{OPEN, Relay, folder},
};

/// Where a publisher that is a process of its own finds the relay, and its own sign of life.
const RELAY: &str = "FAILOVER_RELAY";
const FINGERPRINT: &str = "FAILOVER_FINGERPRINT";
const ALIVE: &str = "FAILOVER_ALIVE";

/// Time from frame to frame.
const FRAME: Duration = Duration::from_millis(8);

/// Frames of each group: a quarter of a second.
const FRAMES: u64 = 32;

/// How long groups are kept, and wanted.
const KEPT: Duration = Duration::from_secs(30);

/// What every publisher of the name says in this frame: up to 40 kB, so that many are cut in the middle.
fn payload(group: u64, frame: u64) -> Vec<u8> {
    let salt = (group * FRAMES + frame + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..(salt >> 20) % 40_000).map(|at| ((salt >> 7).wrapping_add(at * 31) >> 3) as u8).collect()
}

/// The frame that is due, by the clock that all processes share.
fn due() -> u64 {
    (SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() / FRAME.as_nanos()) as u64
}

/// Says what all of the name do, from the beginning of the group before the present one on, for as long as it lives.
async fn say(track: &track::Producer) {
    let mut next = (due() / FRAMES - 1) * FRAMES;
    let mut open: Option<group::Producer> = None;
    loop {
        while next <= due() {
            let (group, frame) = (next / FRAMES, next % FRAMES);
            let time = Timestamp::try_from(next * FRAME.as_millis() as u64).unwrap();
            let producer = open.get_or_insert_with(|| track.create_group(group).unwrap());
            producer.write_frame(payload(group, frame), Some(time)).unwrap();
            if frame + 1 == FRAMES {
                open.take().unwrap().finish();
            }
            next += 1;
        }
        track.tend(tokio::time::Instant::now().into_std());
        sleep(FRAME / 4).await;
    }
}

/// Not a test of its own: the publishers that the tests start are this binary, told to run this.
#[test]
#[ignore = "a part of other tests"]
fn publisher() {
    let Ok(url) = env::var(RELAY) else { return };
    let (fingerprint, alive) = (env::var(FINGERPRINT).unwrap(), env::var(ALIVE).unwrap());
    story(async {
        let version = Version::Lite05;
        let mut config = ClientConfig::default();
        config.trust = Trust::Fingerprints(vec![fingerprint.parse().unwrap()]);
        config.protocols = vec![version.alpn().to_owned()];
        config.websocket_after = None;
        let connection = Client::new(config).unwrap().connect(&url.parse::<Url>().unwrap()).await.unwrap();
        let session = Session::connect(connection, &[version]).await.unwrap();
        let peer = Peer::run_as(session, HopId::try_from(0xfee1).unwrap());
        // Two deaths in a row, each noticed after seconds, make no group too old.
        let info = track::Info { max_age: KEPT, ..track::Info::default() };
        let Published { video, .. } = &peer.publish_with("room", Route::local(), info);
        let speaking = say(video);
        // Announcements stay in order: once this one is heard, the other is.
        let _sign = peer.publish(&alive);
        speaking.await;
    });
}

/// A publisher that is a process of its own.
struct Publisher(Child);

impl Publisher {
    /// Starts one and waits until the relay knows it.
    async fn start(relay: &Relay, over: Over, number: u64) -> Self {
        // Behind `room` in the order of the alphabet too, which is that of a first answer.
        let alive = format!("sign-of-life-{number}");
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "failover::publisher", "--ignored"])
            .env(RELAY, over.url(relay, "/").as_str())
            .env(FINGERPRINT, relay.get("/certificate.sha256").body)
            .env(ALIVE, &alive)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder().join("publisher.log")).unwrap())
            .spawn()
            .unwrap();
        let publisher = Self(child);
        until("the publisher is known", || relay.get("/announced").body.lines().any(|line| line == alive)).await;
        publisher
    }
}

impl Drop for Publisher {
    /// Kills it as a power cut does.
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Watches from the present on; never returns. `seen`: the groups, which may overtake each other on the way.
async fn watch(mut groups: track::Subscription, seen: &RefCell<BTreeSet<u64>>) -> ! {
    loop {
        let mut group = soon("the next group", groups.next()).await.expect("the track goes on");
        let sequence = group.sequence();
        for frame in 0..FRAMES {
            let found = soon("the next frame", group.next_frame()).await;
            let found = found.unwrap_or_else(|error| panic!("{error}, before frame {frame}")).expect("a whole group");
            assert!(found.payload == payload(sequence, frame), "group {sequence}, frame {frame}");
        }
        assert_eq!(soon("the end of the group", group.next_frame()).await, Ok(None));
        assert!(seen.borrow_mut().insert(sequence), "group {sequence} comes twice");
    }
}

/// Kills one of two publishers after the other, so many times, and starts it anew.
fn kill_in_turn(over: Over, kills: u64) {
    // A process that is killed says no goodbye over QUIC: the relay notices by the silence.
    let relay = Relay::start(&format!("{OPEN}\n[server.quic]\nidle_timeout = \"3s\"\nkeep_alive = \"500ms\"\n"));
    story(async {
        let mut publishers = VecDeque::new();
        publishers.push_back(Publisher::start(&relay, over, 0).await);
        let viewers = [
            Peer::join(&relay, Over::WebTransport, Version::Lite06, "/").await,
            Peer::join(&relay, Over::WebSocket, Version::Lite04, "/").await,
        ];
        // What is said while a death is not noticed is wanted too.
        let ask = demand::Ask { max_age: Some(KEPT), ..demand::Ask::default() };
        let [first, second] = [viewers[0].watch_as("room", ask).await, viewers[1].watch_as("room", ask).await];
        let seen: [RefCell<BTreeSet<u64>>; 2] = Default::default();
        let newest = || seen.each_ref().map(|seen| seen.borrow().last().copied().unwrap_or_default());
        let kill = async {
            publishers.push_back(Publisher::start(&relay, over, 1).await);
            for kill in 0..kills {
                // Another moment of the group each time.
                sleep(Duration::from_millis(kill * 37 % 250)).await;
                let before = newest();
                drop(publishers.pop_front());
                // The group that was cut, and one that only the other publisher has said.
                until("the other publisher is seen", || {
                    newest().iter().zip(before).all(|(newest, before)| *newest >= before + 2)
                })
                .await;
                publishers.push_back(Publisher::start(&relay, over, kill + 2).await);
            }
            // The newest goes first; what was said while the last death was not noticed comes after it.
            let ends = newest();
            until("the groups before the newest", || {
                let is_whole = |(seen, end): (&RefCell<BTreeSet<u64>>, u64)| {
                    let seen = seen.borrow();
                    seen.first().is_some_and(|first| (*first..end).all(|group| seen.contains(&group)))
                };
                seen.iter().zip(ends).all(is_whole)
            })
            .await;
        };
        tokio::select! {
            () = kill => {}
            _ = watch(first, &seen[0]) => {}
            _ = watch(second, &seen[1]) => {}
        }
        for seen in &seen {
            let seen = seen.borrow();
            eprintln!("{kills} kills over {over:?}: {} groups seen, all whole", seen.len());
        }
    });
}

#[test]
fn viewers_see_nothing_of_a_publisher_that_is_killed() {
    kill_in_turn(Over::WebSocket, 10);
}

#[test]
#[ignore = "takes minutes"]
fn viewers_see_nothing_of_a_hundred_kills() {
    kill_in_turn(Over::WebSocket, 100);
}

#[test]
#[ignore = "takes minutes, since the death of a process is noticed by its silence"]
fn viewers_see_nothing_of_kills_over_quic() {
    kill_in_turn(Over::WebTransport, 10);
}
