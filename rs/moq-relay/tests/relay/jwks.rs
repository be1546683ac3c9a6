//! Keys that the relay fetches from servers.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{fs, time::Duration};

use moq_lite::{session::Error, transport::ConnectionError};
use moq_proto::{Version, close};
use moq_token::Key;

use crate::{
    auth::{claims, config, key},
    peer::{Over, Peer, story},
    process::{PATIENCE, Relay, folder},
    server::{Reply, Server},
};

/// A set of the public halves.
fn set(keys: &[&Key]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.public().unwrap().to_json().to_string()).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn token(key: &Key) -> String {
    key.sign(&claims("demo")).unwrap()
}

fn status(relay: &Relay, token: &str) -> u16 {
    relay.get(&format!("/announced/demo?jwt={token}")).status
}

/// Waits until a token is answered so.
fn until(relay: &Relay, token: &str, expected: u16) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while status(relay, token) != expected {
        assert!(std::time::Instant::now() < deadline, "{}", relay.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_new_key_is_fetched_over_https_as_soon_as_a_token_names_it_and_made_up_ones_are_not() {
    let (old, new, stranger) = (key("old"), key("new"), key("stranger"));
    let first = set(&[&old]);
    let (server, ca) = Server::https(move |_| Reply::ok(first.clone()));
    let relay = Relay::start(&config(&format!("jwks = \"{}/keys?tenant=7\"\nca = {ca:?}", server.url)));
    assert_eq!((status(&relay, &token(&old)), server.asked().len()), (200, 1));

    let second = set(&[&old, &new]);
    server.set(move |_| Reply::ok(second.clone()));
    assert_eq!(status(&relay, &token(&new)), 200, "{}", relay.log());
    assert_eq!((status(&relay, &token(&old)), server.asked().len()), (200, 2));

    for number in 0..20 {
        assert_eq!(status(&relay, &token(&key(&format!("made-up-{number}")))), 401);
    }
    assert_eq!(status(&relay, &token(&stranger)), 401);
    assert_eq!(server.asked().len(), 2, "asked for nothing that somebody made up within 30 s");
    let asked = &server.asked()[0];
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", "/keys?tenant=7"));
}

#[test]
fn a_server_that_nobody_vouches_for_is_not_believed() {
    let key = key("k");
    let keys = set(&[&key]);
    let (server, _) = Server::https(move |_| Reply::ok(keys.clone()));
    let (_, other_ca) = Server::https(|_| Reply::status(404));
    let relay = Relay::start(&config(&format!("jwks = \"{}\"\nca = {other_ca:?}", server.url)));

    assert_eq!(status(&relay, &token(&key)), 401);
    assert!(relay.log().contains("no keys fetched"), "{}", relay.log());
    assert!(server.asked().is_empty());
}

#[test]
fn a_key_gone_from_the_set_ends_its_sessions_on_every_transport() {
    let (old, new) = (key("old"), key("new"));
    let both = set(&[&old, &new]);
    let server = Server::http(move |_| Reply::ok(both.clone()).with("cache-control", "public, max-age=1"));
    let auth = format!("jwks = \"{}\"\nrefresh = \"1h\"\nrefresh_min = \"1s\"\npublic.publish = \"\"", server.url);
    let relay = Relay::start(&config(&auth));
    story(async {
        let publisher = Peer::join(&relay, Over::Quic, Version::Lite05, "/demo").await;
        let _room = publisher.publish("room");
        let mut by_old = Vec::new();
        for over in Over::ALL {
            let target = format!("/demo?jwt={}", token(&old));
            let mut peer = Peer::join(&relay, over, Version::Lite05, &target).await;
            peer.hears().await.unwrap();
            by_old.push((over, peer));
        }

        let second = set(&[&new]);
        server.set(move |_| Reply::ok(second.clone()));

        for (over, peer) in by_old {
            match peer.ended().await {
                Err(Error::Connection(ConnectionError::Closed { code, reason })) => {
                    assert_eq!(code, close::session::UNAUTHORIZED.get(), "{over:?}");
                    assert_eq!(reason, "unauthorized: the key of the token was removed", "{over:?}");
                }
                ended => panic!("{over:?}: {ended:?}"),
            }
        }
        assert_eq!((status(&relay, &token(&old)), status(&relay, &token(&new))), (401, 200));
    });
}

#[test]
fn what_was_fetched_stays_whatever_a_server_says_afterwards() {
    let (good, evil) = (key("good"), key("evil"));
    let elsewhere = {
        let keys = set(&[&evil]);
        Server::http(move |_| Reply::ok(keys.clone()))
    };
    let keys = set(&[&good]);
    let first = keys.clone();
    let server = Server::http(move |_| Reply::ok(first.clone()));
    let relay = Relay::start(&config(&format!("jwks = \"{}\"\nrefresh = \"1s\"\nrefresh_min = \"1s\"", server.url)));
    assert_eq!(status(&relay, &token(&good)), 200);

    let padding = " ".repeat(600 * 1024);
    let answers = [
        Reply::status(500),
        Reply::status(404),
        Reply::ok(""),
        Reply::ok("<html>"),
        Reply::ok(r#"{"keys":[]}"#),
        Reply::ok(format!("{}{padding}", set(&[&evil]))),
        Reply::status(302).with("location", elsewhere.url.clone()),
        Reply { status: 206, ..Reply::ok(set(&[&evil])) },
    ];
    for answer in answers {
        let before = server.asked().len();
        let told = format!("{} {:.20}", answer.status, answer.body);
        server.set(move |_| answer.clone());
        // The second question comes after the first answer was read.
        while server.asked().len() < before + 2 {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!((status(&relay, &token(&good)), status(&relay, &token(&evil))), (200, 401), "{told}");
    }
    assert!(elsewhere.asked().is_empty(), "redirects are not followed");
    assert_eq!(relay.log().matches("no keys fetched").count(), 1, "told once: {}", relay.log());

    server.set(move |_| Reply::ok(keys.clone()));
    relay.logs("keys are fetched again");
}

#[test]
fn a_relay_starts_without_the_server_and_takes_its_keys_when_it_comes() {
    let key = key("k");
    let server = Server::http(|_| Reply::status(503));
    let relay = Relay::start(&config(&format!("key = \"{}/key.jwk\"", server.url)));
    assert_eq!(status(&relay, &token(&key)), 401);
    assert!(relay.log().contains("no keys fetched"), "{}", relay.log());

    // A single key is as good as a set.
    let alone = key.public().unwrap().to_json().to_string();
    server.set(move |_| Reply::ok(alone.clone()));
    until(&relay, &token(&key), 200);
}

#[test]
fn keys_of_files_folders_and_servers_count_together() {
    let folder = folder();
    let keys = ["file", "folder", "first", "second"].map(key);
    let [file, listed, first, second] = &keys;
    fs::write(folder.join("file.json"), file.public().unwrap().to_json().as_str()).unwrap();
    let sub = folder.join("keys");
    fs::create_dir(&sub).unwrap();
    fs::write(sub.join("folder.jwk"), listed.public().unwrap().to_json().as_str()).unwrap();
    // One of them claims an id that a file has.
    let impostor = key("file");
    let (one, two) = (set(&[first, &impostor]), set(&[second]));
    let servers = [Server::http(move |_| Reply::ok(one.clone())), Server::http(move |_| Reply::ok(two.clone()))];
    let relay = Relay::start(&config(&format!(
        "key = {:?}\nkey_dir = {sub:?}\njwks = [\"{}\", \"{}\"]",
        folder.join("file.json"),
        servers[0].url,
        servers[1].url
    )));

    assert!(keys.iter().all(|key| status(&relay, &token(key)) == 200), "{}", relay.log());
    assert_eq!(status(&relay, &token(&impostor)), 401);
    assert!(relay.log().contains("a fetched key is not taken"), "{}", relay.log());
}
