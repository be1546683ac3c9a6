//! A server that decides who may come in.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{
    fs,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use moq_lite::{session::Error, transport::ConnectionError};
use moq_native::ConnectError;
use moq_proto::{Version, close};
use serde_json::json;

use crate::{
    auth::{claims, config, key},
    peer::{A_WHILE, Over, Peer, soon, story},
    process::{PATIENCE, Relay, folder},
    server::{Asked, Reply, Server},
};

/// A relay that asks the server, with this in `[auth]` as well.
fn relay(server: &Server, more: &str) -> Relay {
    Relay::start(&config(&format!("url = \"{}\"\n{more}", server.url)))
}

fn grant(publish: &[&str], subscribe: &[&str]) -> serde_json::Value {
    json!({ "publish": publish, "subscribe": subscribe })
}

/// Everything, to whoever says the password in the query or in a header.
fn by_password(asked: &Asked) -> Reply {
    let in_query = asked.member("query").as_str().is_some_and(|query| query.contains("jwt=open-sesame"));
    // base64url of "open-sesame".
    let in_header = asked.member("token")["value"] == "b3Blbi1zZXNhbWU";
    if in_query || in_header { Reply::ok(grant(&["**"], &["**"]).to_string()) } else { Reply::status(403) }
}

fn seconds_from_now(seconds: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds
}

fn status(relay: &Relay, target: &str) -> u16 {
    relay.get(&format!("/announced{target}")).status
}

/// Waits for the end of a session, and checks that it learns why.
async fn ends(over: Over, peer: Peer, why: &str) {
    match peer.ended().await {
        Err(Error::Connection(ConnectionError::Closed { code, reason })) => {
            assert_eq!((code, reason.as_str()), (close::session::UNAUTHORIZED.get(), why), "{over:?}");
        }
        ended => panic!("{over:?}: {ended:?}"),
    }
}

#[test]
fn the_server_is_told_of_everybody_and_decides() {
    let server = Server::http(by_password);
    let relay = relay(&server, "");
    story(async {
        let publisher = Peer::join(&relay, Over::Quic, Version::Lite05, "/demo?jwt=open-sesame").await;
        let _room = publisher.publish("room");
        for (over, transport) in [(Over::WebTransport, "quic"), (Over::WebSocket, "websocket"), (Over::Quic, "quic")] {
            let target = format!("/demo?jwt=open-sesame&over={over:?}");
            let mut peer = Peer::join(&relay, over, Version::Lite05, &target).await;
            assert_eq!(peer.hears().await.unwrap().as_str(), "room", "{over:?}");
            let query = &target["/demo?".len()..];
            let asked = server.is_asked("about the session", |asked| asked.member("query") == query).await;
            assert_eq!((asked.method.as_str(), asked.member("event")), ("POST", json!("connect")));
            assert_eq!((asked.member("transport"), asked.member("path")), (json!(transport), json!("/demo")));
            let id = asked.member("id");
            assert!(id.as_str().unwrap().len() == 32 && asked.member("remote").as_str().unwrap().starts_with("127.0.0.1:"));
            assert!(!asked.member("node").as_str().unwrap().is_empty());

            peer.closer.close(close::session::NO_ERROR, "bye");
            let told = server.is_asked("the end", |asked| asked.member("event") == "end" && asked.member("id") == id).await;
            assert_eq!(told.member("reason"), "closed");
            assert!(told.member("duration").as_f64().unwrap() >= 0.0);
            for way in ["sent", "received"] {
                assert!(told.member("bytes")[way].as_u64().unwrap() > 0, "{over:?}: {way}");
            }

            match Peer::try_join(&relay, over, &[Version::Lite05], "/demo?jwt=guess").await {
                Err(ConnectError::Refused(status)) => assert_eq!(status.as_u16(), 401),
                Ok(mut peer) => assert!(peer.hears().await.is_err(), "{over:?}"),
                Err(error) => panic!("{over:?}: {error}"),
            }
        }
    });
    assert_eq!(
        (status(&relay, "/demo?jwt=open-sesame"), status(&relay, "/demo?jwt=guess"), status(&relay, "/demo")),
        (200, 401, 401)
    );
    assert_eq!(relay.ask("GET", "/announced/demo", &[("authorization", "Bearer open-sesame")]).status, 200);
    let page = server.asked().into_iter().find(|asked| asked.member("transport") == "http").unwrap();
    assert_eq!(page.member("role"), "subscriber");
}

#[test]
fn what_the_relay_knows_by_itself_it_does_not_ask() {
    let (key, path) = (key("k"), folder().join("k.jwk"));
    fs::write(&path, key.public().unwrap().to_json().as_str()).unwrap();
    let server = Server::http(|_| Reply::ok(grant(&["**"], &["**"]).to_string()));
    let relay = relay(&server, &format!("key = {path:?}\npublic = \"open\""));
    let past = Some(SystemTime::now() - Duration::from_secs(60));
    let expired = key.sign(&moq_token::Claims { expires: past, ..claims("demo") }).unwrap();

    assert_eq!(status(&relay, "/open"), 200);
    assert_eq!(status(&relay, &format!("/demo?jwt={}", key.sign(&claims("demo")).unwrap())), 200);
    assert_eq!(status(&relay, &format!("/demo?jwt={expired}")), 401, "a key of ours has signed it, so ours is the last word");
    assert_eq!(status(&relay, &format!("/demo?jwt={}", "x".repeat(9000))), 401);
    assert!(server.asked().is_empty());
    assert_eq!(status(&relay, "/demo?jwt=somebody-elses"), 200);
}

#[test]
fn an_answer_that_cannot_be_honoured_lets_nobody_in() {
    let server = Server::http(|_| Reply::status(200));
    let relay = relay(&server, "");
    let past = seconds_from_now(0) - 10;
    let soon = seconds_from_now(60);
    let with = |more: serde_json::Value| {
        let mut grant = grant(&["**"], &["**"]);
        grant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        grant.to_string()
    };
    let rows = [
        String::new(),
        "[]".into(),
        "{}".into(),
        "<html>".into(),
        grant(&[], &[]).to_string(),
        grant(&[], &["a/*/b"]).to_string(),
        grant(&[], &["../x"]).to_string(),
        with(json!({ "expires": past })),
        with(json!({ "expires": "tomorrow" })),
        with(json!({ "revalidate": 10 })),
        with(json!({ "revalidate": 0, "expires": soon })),
        with(json!({ "root": "a/../b" })),
        with(json!({ "mounts": { "a": "b" } })),
    ];
    for body in rows {
        let reply = body.clone();
        server.set(move |_| Reply::ok(reply.clone()));
        assert_eq!(status(&relay, "/demo?jwt=x"), 401, "{body}");
    }
    for code in [401, 403, 404] {
        server.set(move |_| Reply::status(code));
        assert_eq!(status(&relay, "/demo?jwt=x"), 401, "{code}");
    }
    let good = with(json!({ "expires": soon, "revalidate": 30, "tier": "gold" }));
    server.set(move |_| Reply::ok(good.clone()));
    assert_eq!(status(&relay, "/demo?jwt=x"), 200);
}

#[test]
fn rights_taken_back_end_the_session_and_wider_ones_do_not() {
    let lasting = |subscribe: &[&str]| {
        let mut grant = grant(&[], subscribe);
        grant["expires"] = json!(seconds_from_now(3600));
        grant["revalidate"] = json!(1);
        grant.to_string()
    };
    let server = Server::http(move |_| Reply::ok(lasting(&["room"])));
    let relay = relay(&server, "public.publish = \"\"");
    let is_again = |asked: &Asked| asked.member("event") == "revalidate";
    story(async {
        let mut peers = Vec::new();
        for over in Over::ALL {
            peers.push((over, Peer::join(&relay, over, Version::Lite05, "/demo?jwt=x").await));
        }
        server.set(move |_| Reply::ok(lasting(&["**"])));
        let before = server.asked().into_iter().filter(is_again).count();
        server.are_asked("again, twice about each", before + 2 * Over::ALL.len(), is_again).await;
        assert!(!relay.log().contains("rights ended"), "{}", relay.log());

        server.set(move |_| Reply::ok(lasting(&["room/alice"])));
        for (over, peer) in peers {
            ends(over, peer, "unauthorized: rights were taken back").await;
        }
        server.is_asked("the end", |asked| asked.member("event") == "end" && asked.member("reason") == "refused").await;
    });
}

#[test]
fn a_grant_ends_when_the_server_says() {
    let server = Server::http(|_| {
        let mut grant = grant(&[], &["**"]);
        grant["expires"] = json!(seconds_from_now(2));
        Reply::ok(grant.to_string())
    });
    let relay = relay(&server, "");
    story(async {
        let mut peers = Vec::new();
        for over in Over::ALL {
            peers.push((over, Peer::join(&relay, over, Version::Lite05, "/demo?jwt=x").await));
        }
        for (over, peer) in peers {
            ends(over, peer, "unauthorized: the token has expired").await;
        }
    });
}

#[test]
fn while_the_server_is_down_newcomers_wait_and_those_inside_stay_for_the_grace() {
    let (key, path) = (key("k"), folder().join("k.jwk"));
    fs::write(&path, key.public().unwrap().to_json().as_str()).unwrap();
    let server = Server::http(|_| {
        let mut grant = grant(&[], &["**"]);
        grant["expires"] = json!(seconds_from_now(3600));
        grant["revalidate"] = json!(1);
        Reply::ok(grant.to_string())
    });
    let relay = relay(&server, &format!("key = {path:?}\npublic = \"open\"\ngrace = \"4s\""));
    story(async {
        let peer = Peer::join(&relay, Over::WebTransport, Version::Lite05, "/demo?jwt=x").await;
        server.set(|_| Reply::status(503));
        let down = Instant::now();

        assert_eq!(status(&relay, "/demo?jwt=x"), 503);
        assert_eq!(relay.get("/announced/demo?jwt=x").body, "try again later\n");
        match Peer::try_join(&relay, Over::WebTransport, &[Version::Lite05], "/demo?jwt=x").await {
            Err(ConnectError::Refused(status)) => assert_eq!(status.as_u16(), 503),
            joined => panic!("{:?}", joined.map(|_| ())),
        }
        for _ in 0..20 {
            assert_eq!(status(&relay, "/demo?jwt=x"), 503);
        }
        assert!(server.asked().len() < 15, "a server that is down is left alone: {}", server.asked().len());
        assert!(relay.log().contains("it is left alone for a while"), "{}", relay.log());
        assert_eq!(status(&relay, "/open"), 200);
        assert_eq!(status(&relay, &format!("/demo?jwt={}", key.sign(&claims("demo")).unwrap())), 200);

        ends(Over::WebTransport, peer, "unauthorized: rights could not be confirmed").await;
        assert!(down.elapsed() > Duration::from_secs(3), "{:?}", down.elapsed());

        server.set(|_| Reply::ok(grant(&[], &["**"]).to_string()));
        let back = Instant::now();
        while status(&relay, "/demo?jwt=x") != 200 {
            assert!(back.elapsed() < PATIENCE, "{}", relay.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}

#[test]
fn a_slow_server_is_not_waited_for_for_long_nor_asked_too_much_at_once() {
    let answering = |after| move |_: &Asked| Reply { after, ..Reply::ok(grant(&[], &["**"]).to_string()) };
    let all = |relay: &Relay, expected| {
        std::thread::scope(|threads| {
            let askers: Vec<_> = (0..12).map(|_| threads.spawn(|| status(relay, "/demo?jwt=x"))).collect();
            askers.into_iter().for_each(|asker| assert_eq!(asker.join().unwrap(), expected));
        });
    };
    let server = Server::http(answering(A_WHILE / 2));
    all(&relay(&server, "concurrency = 3"), 200);
    assert_eq!(server.at_once_max(), 3);

    let server = Server::http(answering(Duration::from_secs(60)));
    let start = Instant::now();
    all(&relay(&server, "timeout = \"300ms\""), 503);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn an_answer_has_a_bound_and_redirects_lead_nowhere() {
    let elsewhere = Server::http(|_| Reply::ok(grant(&["**"], &["**"]).to_string()));
    let url = elsewhere.url.clone();
    let server = Server::http(move |_| Reply::status(307).with("location", url.clone()));
    let relay = relay(&server, "");

    assert_eq!(status(&relay, "/demo?jwt=x"), 503);
    assert!(elsewhere.asked().is_empty());
    let large = format!("{}{}", grant(&["**"], &["**"]), " ".repeat(64 * 1024));
    server.set(move |_| Reply::ok(large.clone()));
    assert_eq!(status(&relay, "/demo?jwt=x"), 503);
}

#[test]
fn the_server_may_be_behind_tls_or_a_unix_socket() {
    let (tls, ca) = Server::https(by_password);
    let tls_relay = relay(&tls, &format!("ca = {ca:?}"));
    assert_eq!((status(&tls_relay, "/demo?jwt=open-sesame"), status(&tls_relay, "/demo?jwt=guess")), (200, 401));

    // The path of a socket has at most 108 bytes.
    let socket = std::env::temp_dir().join(format!("moq-relay-{}.sock", std::process::id()));
    let _ = fs::remove_file(&socket);
    let unix = Server::unix(&socket, by_password);
    let unix_relay = relay(&unix, "");
    assert_eq!((status(&unix_relay, "/demo?jwt=open-sesame"), status(&unix_relay, "/demo?jwt=guess")), (200, 401));
    fs::remove_file(socket).unwrap();
}

#[test]
fn by_get_the_server_names_keys_and_the_relay_judges() {
    let (ours, theirs) = (key("ours"), key("ours"));
    let jwk: serde_json::Value = serde_json::from_str(&ours.public().unwrap().to_json()).unwrap();
    let server = Server::http(move |asked| {
        let mut reply = json!({ "public": { "subscribe": ["lobby"] } });
        if asked.target.contains("kid=ours") {
            reply["key"] = jwk.clone();
        }
        Reply::ok(reply.to_string())
    });
    let relay = relay(&server, "contract = \"get\"");
    let good = ours.sign(&claims("demo/room 1")).unwrap();

    assert_eq!(status(&relay, &format!("/demo/room%201?jwt={good}")), 200, "{}", relay.log());
    let target = server.asked().last().unwrap().target.clone();
    assert_eq!(target, "/?root=demo%2Froom+1&kid=ours&transport=http");
    assert_eq!(status(&relay, &format!("/news?jwt={good}")), 403);
    assert_eq!(status(&relay, &format!("/demo/room%201?jwt={}", theirs.sign(&claims("")).unwrap())), 401);
    assert_eq!(status(&relay, "/demo?jwt=nonsense"), 401);
    assert_eq!(status(&relay, "/demo"), 200, "the lobby of demo is public");
    assert!(server.asked().iter().all(|asked| asked.method == "GET" && !asked.target.contains(&good)));

    server.set(|_| Reply::ok("{}"));
    assert_eq!(status(&relay, "/demo"), 401);
}

#[test]
fn by_get_an_alias_is_where_the_session_is_and_a_key_taken_away_ends_it() {
    let key = key("k");
    let jwk: serde_json::Value = serde_json::from_str(&key.public().unwrap().to_json()).unwrap();
    let with_key =
        move |alias: &str| json!({ "alias": alias, "key": jwk, "public": { "publish": [""], "subscribe": [""] } }).to_string();
    let reply = with_key("canonical/room");
    let server = Server::http(move |_| Reply::ok(reply.clone()).with("cache-control", "max-age=0"));
    let relay = relay(&server, "contract = \"get\"\nrefresh = \"1s\"\nrefresh_min = \"1s\"");
    let target = format!("/vanity/room?jwt={}", key.sign(&claims("vanity/room")).unwrap());
    story(async {
        let publisher = Peer::join(&relay, Over::Quic, Version::Lite05, &target).await;
        let _talk = publisher.publish("talk");
        let mut viewer = Peer::join(&relay, Over::WebSocket, Version::Lite05, "/canonical/room").await;
        assert_eq!(soon("talk", viewer.hears()).await.unwrap().as_str(), "talk");

        server.set(|_| Reply::ok("{}"));
        ends(Over::Quic, publisher, "unauthorized: rights were taken back").await;
    });
    let deeper = with_key("a/b/c");
    server.set(move |_| Reply::ok(deeper.clone()));
    assert_eq!(status(&relay, &target), 401);
}
