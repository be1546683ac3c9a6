//! Rights that end while somebody uses them, and files that change under a running relay.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use moq_lite::{session::Error, transport::ConnectionError};
use moq_proto::{Version, close};
use moq_token::{Claims, Key};

use crate::{
    auth::{claims, config, key},
    peer::{A_WHILE, Over, Peer, next, story},
    process::{Relay, folder},
};

/// What a right may outlive its end by. The relay promises it.
const AT_ONCE: Duration = Duration::from_secs(1);
/// What a machine that does other things may add.
const MARGIN: Duration = Duration::from_secs(1);

/// Writes the public half into `folder`, under the id of the key.
fn write(folder: &Path, key: &Key) -> PathBuf {
    let path = folder.join(format!("{}.jwk", key.id().unwrap()));
    fs::write(&path, key.public().unwrap().to_json().as_str()).unwrap();
    path
}

/// A token to subscribe to `demo`.
fn token(key: &Key, more: Claims) -> String {
    key.sign(&Claims { publish: vec![], ..more }).unwrap()
}

fn named(id: &str) -> Claims {
    Claims { id: Some(id.into()), ..claims("demo") }
}

async fn join(relay: &Relay, over: Over, token: &str) -> Peer {
    let mut peer = Peer::join(relay, over, Version::Lite05, &format!("/demo?jwt={token}")).await;
    assert_eq!(peer.hears().await.unwrap().as_str(), "room", "{over:?}");
    peer
}

/// A session that is still there hears of what is new.
async fn go_on(publisher: &Peer, peers: Vec<(Over, Peer)>) {
    let room = publisher.publish("still");
    for (over, peer) in peers {
        let mut groups = peer.watch("still").await;
        room.video.append_group().write_all(["live"]);
        assert_eq!(next(&mut groups).await, ["live"], "{over:?}");
    }
}

/// Waits for the end of every session, and checks that each learns why.
async fn all_end(peers: Vec<(Over, Peer)>, why: &str) {
    for (over, peer) in peers {
        match peer.ended().await {
            Err(Error::Connection(ConnectionError::Closed { code, reason })) => {
                assert_eq!((code, reason.as_str()), (close::session::UNAUTHORIZED.get(), why), "{over:?}");
            }
            ended => panic!("{over:?}: {ended:?}"),
        }
    }
}

fn is_open(relay: &Relay, token: &str) -> bool {
    match relay.get(&format!("/announced/demo?jwt={token}")).status {
        200 => true,
        401 => false,
        status => panic!("{status}"),
    }
}

/// Waits until a token is, or is not, taken any more; returns how long that took.
fn until(relay: &Relay, token: &str, open: bool) -> Duration {
    let start = Instant::now();
    while is_open(relay, token) != open {
        assert!(start.elapsed() < AT_ONCE + MARGIN, "{}", relay.log());
        std::thread::sleep(A_WHILE / 20);
    }
    start.elapsed()
}

#[test]
fn an_expired_token_ends_its_session_within_a_second_on_every_transport() {
    let (folder, key) = (folder(), key("k"));
    let relay = Relay::start(&config(&format!("key = {:?}\npublic.publish = \"\"", write(&folder, &key))));
    story(async {
        let publisher = Peer::join(&relay, Over::Quic, Version::Lite05, "/demo").await;
        let _room = publisher.publish("room");
        // Whole seconds, and time enough for everybody to come in before.
        let expires = UNIX_EPOCH + Duration::from_secs(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3);
        let (mut short, mut long) = (Vec::new(), Vec::new());
        for over in Over::ALL {
            short.push((over, join(&relay, over, &token(&key, Claims { expires: Some(expires), ..claims("demo") })).await));
            let later = Some(expires + Duration::from_secs(3600));
            long.push((over, join(&relay, over, &token(&key, Claims { expires: later, ..claims("demo") })).await));
        }

        all_end(short, "unauthorized: the token has expired").await;

        let late = SystemTime::now().duration_since(expires).expect("nobody ends early");
        assert!(late < AT_ONCE + MARGIN, "{late:?}");
        println!("ended {late:?} after the token");
        go_on(&publisher, long).await;
    });
    assert_eq!(relay.log().matches("rights ended code=expired").count(), Over::ALL.len(), "{}", relay.log());
}

#[test]
fn a_removed_key_ends_its_sessions_within_a_second_on_every_transport() {
    let (folder, old, new) = (folder(), key("old"), key("new"));
    let file = write(&folder, &old);
    write(&folder, &new);
    let relay = Relay::start(&config(&format!("key_dir = {folder:?}\npublic.publish = \"\"")));
    story(async {
        let publisher = Peer::join(&relay, Over::Quic, Version::Lite05, "/demo").await;
        let _room = publisher.publish("room");
        let (mut by_old, mut by_new) = (Vec::new(), Vec::new());
        for over in Over::ALL {
            by_old.push((over, join(&relay, over, &token(&old, claims("demo"))).await));
            by_new.push((over, join(&relay, over, &token(&new, claims("demo"))).await));
        }

        fs::remove_file(file).unwrap();
        let removed = Instant::now();
        all_end(by_old, "unauthorized: the key of the token was removed").await;

        let late = removed.elapsed();
        assert!(late < AT_ONCE + MARGIN, "{late:?}");
        println!("ended {late:?} after the key");
        assert!(!is_open(&relay, &token(&old, claims("demo"))));
        go_on(&publisher, by_new).await;
    });
}

#[test]
fn a_revoked_token_ends_its_sessions_within_a_second_on_every_transport() {
    let (folder, key) = (folder(), key("k"));
    let (file, revoked) = (write(&folder, &key), folder.join("revoked"));
    fs::write(&revoked, "# nothing yet\n").unwrap();
    let relay = Relay::start(&config(&format!("key = {file:?}\nrevoked = {revoked:?}\npublic.publish = \"\"")));
    story(async {
        let publisher = Peer::join(&relay, Over::Quic, Version::Lite05, "/demo").await;
        let _room = publisher.publish("room");
        let (mut leaked, mut other) = (Vec::new(), Vec::new());
        for over in Over::ALL {
            leaked.push((over, join(&relay, over, &token(&key, named("leaked"))).await));
            other.push((over, join(&relay, over, &token(&key, named("other"))).await));
        }

        fs::write(&revoked, "jti leaked\n").unwrap();
        let written = Instant::now();
        all_end(leaked, "unauthorized: the token was revoked").await;

        let late = written.elapsed();
        assert!(late < AT_ONCE + MARGIN, "{late:?}");
        println!("ended {late:?} after the revocation");
        assert!(!is_open(&relay, &token(&key, named("leaked"))));
        go_on(&publisher, other).await;
    });
}

#[test]
fn keys_come_and_go_without_a_restart() {
    let (folder, file) = (folder(), folder().join("set.json"));
    let (old, new) = (key("old"), key("new"));
    let [by_old, by_new] = [&old, &new].map(|key| token(key, claims("demo")));
    let set = |keys: &[&Key]| {
        let keys: Vec<_> = keys.iter().map(|key| key.public().unwrap().to_json().to_string()).collect();
        fs::write(&file, format!(r#"{{"keys":[{}]}}"#, keys.join(","))).unwrap();
    };
    set(&[&old]);
    let relay = Relay::start(&config(&format!("keys = [{file:?}]\nkey_dir = {folder:?}")));
    assert!(is_open(&relay, &by_old) && !is_open(&relay, &by_new));

    set(&[&old, &new]);
    until(&relay, &by_new, true);
    assert!(is_open(&relay, &by_old), "both count for a while");
    set(&[&new]);
    until(&relay, &by_old, false);
    assert!(is_open(&relay, &by_new));
    write(&folder, &old);
    until(&relay, &by_old, true);
}

#[test]
fn a_broken_file_keeps_what_was_good_and_says_so() {
    let (folder, key) = (folder(), key("k"));
    let (file, revoked) = (write(&folder, &key), folder.join("revoked"));
    fs::write(&revoked, "jti leaked\n").unwrap();
    let relay = Relay::start(&config(&format!("key = {file:?}\nrevoked = {revoked:?}")));
    let [good, leaked] = ["good", "leaked"].map(|id| token(&key, named(id)));
    let whole = fs::read_to_string(&file).unwrap();

    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    relay.logs("k.jwk: ");
    assert!(is_open(&relay, &good));
    fs::write(&revoked, "jti leaked\njt").unwrap();
    relay.logs("revoked: line 2");
    assert!(is_open(&relay, &good) && !is_open(&relay, &leaked));
    fs::remove_file(&revoked).unwrap();
    relay.logs("revoked: No such file");
    assert!(is_open(&relay, &good) && !is_open(&relay, &leaked));

    fs::write(&file, &whole).unwrap();
    fs::write(&revoked, "jti good\n").unwrap();
    until(&relay, &good, false);
    until(&relay, &leaked, true);
}

#[test]
fn sighup_reads_the_files_at_once() {
    let (folder, key) = (folder(), key("k"));
    let mut relay = Relay::start(&config(&format!("key = {:?}", write(&folder, &key))));

    relay.signal("HUP");
    relay.logs("keys and revocations read again keys=1 ended=0");

    assert!(is_open(&relay, &token(&key, claims("demo"))));
    relay.signal("TERM");
    assert_eq!(relay.wait().code(), Some(0));
}

#[test]
fn sighup_does_not_end_a_relay_without_keys() {
    let relay = Relay::start(crate::process::OPEN);

    relay.signal("HUP");
    relay.logs("keys and revocations read again keys=0");

    assert_eq!(relay.get("/").status, 200);
}
