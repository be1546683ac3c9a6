//! Who is let in, and where: one table for every entrance, and a range of forgeries walked past each of them.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, SystemTime},
};

use moq_lite::{session::Error, transport::ConnectionError};
use moq_native::ConnectError;
use moq_proto::{Path, Version, close};
use moq_token::{
    Algorithm, Claims, Key, TOKEN_BYTES_MAX,
    testing::{Range, Sample},
};

use crate::{
    peer::{A_WHILE, Over, Peer, story},
    process::{OPEN, Relay, folder, streams},
};

/// Where a token can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Entrance {
    Session(Over),
    /// `?jwt=` of a page.
    Page,
    /// `Authorization` of a page.
    Header,
}

impl Entrance {
    /// Every one there is: all ways to a session, and the pages.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Over::ALL.into_iter().map(Self::Session).chain([Self::Page, Self::Header])
    }
}

/// What came of showing a token.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Let in; something that is on air was heard of.
    In,
    /// Refused with this status.
    Status(u16),
    /// Refused with this code, where there is no status.
    Code(u32),
    /// Not let in, and nothing was said that counts.
    Nothing,
}

const UNAUTHORIZED: Verdict = Verdict::Code(close::session::UNAUTHORIZED.get());

/// Asks to come in at `path`, with `token` as it is.
async fn knock(relay: &Relay, entrance: Entrance, path: &str, token: &str) -> Verdict {
    let escaped: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
    let with_query = if token.is_empty() { path.to_owned() } else { format!("{path}?jwt={escaped}") };
    let answer = match entrance {
        Entrance::Session(over) => return knock_for_session(relay, over, &with_query).await,
        Entrance::Page => relay.try_ask("GET", &format!("/announced{with_query}"), &[]),
        // HTTP itself lets no header through with such a value, and takes space around a value away.
        Entrance::Header if token.contains(char::is_control) || token.trim() != token => return Verdict::Nothing,
        Entrance::Header => relay.try_ask("GET", &format!("/announced{path}"), &[("authorization", &format!("Bearer {token}"))]),
    };
    // Too long a request may end before it is answered.
    let Ok(answer) = answer else { return Verdict::Nothing };
    match answer.status {
        200 => Verdict::In,
        401 => {
            assert_eq!(answer.body, "unauthorized\n");
            Verdict::Status(401)
        }
        status => Verdict::Status(status),
    }
}

async fn knock_for_session(relay: &Relay, over: Over, target: &str) -> Verdict {
    let mut peer = match Peer::try_join(relay, over, &[Version::Lite05], target).await {
        Ok(peer) => peer,
        Err(ConnectError::Refused(status)) => return Verdict::Status(status.as_u16()),
        Err(_) => return Verdict::Nothing,
    };
    match peer.hears().await {
        Ok(_) => Verdict::In,
        Err(Err(Error::Connection(ConnectionError::Closed { code, reason }))) => {
            let told = ["unauthorized", "forbidden", "unusable path"].contains(&reason.as_str());
            assert!(told || code != close::session::UNAUTHORIZED.get(), "{reason}");
            Verdict::Code(code)
        }
        Err(_) => Verdict::Nothing,
    }
}

/// What each entrance says instead of `status`.
fn refusal(entrance: Entrance, status: u16) -> Verdict {
    if matches!(entrance, Entrance::Session(over) if over.is_raw()) { UNAUTHORIZED } else { Verdict::Status(status) }
}

pub(crate) fn key(id: &str) -> Key {
    Key::generate(Algorithm::EdDSA, Some(id.parse().unwrap()), None).unwrap()
}

/// Claims for everything below `root`, without an end.
pub(crate) fn claims(root: &str) -> Claims {
    let everything = vec![Path::root()];
    Claims { root: root.parse().unwrap(), publish: everything.clone(), subscribe: everything, ..Claims::default() }
}

/// A configuration with this in `[auth]`.
pub(crate) fn config(auth: &str) -> String {
    OPEN.replace("public = \"\"", auth)
}

/// Configuration that trusts the key, whose file it writes.
fn trusting(key: &Key, more: &str) -> String {
    let path = folder().join("k.jwk");
    fs::write(&path, key.public().unwrap().to_json().as_str()).unwrap();
    config(&format!("key = {path:?}\n{more}"))
}

/// Puts something on air below `demo`, for as long as it is kept.
async fn on_air(relay: &Relay, token: &str) -> (Peer, crate::peer::Published) {
    let publisher = Peer::join(relay, Over::WebSocket, Version::Lite05, &format!("/demo?jwt={token}")).await;
    let room = publisher.publish("room");
    while relay.get(&format!("/announced/demo?jwt={token}")).body.is_empty() {
        tokio::time::sleep(A_WHILE / 20).await;
    }
    (publisher, room)
}

#[test]
fn every_entrance_gives_the_same_verdict() {
    let (trusted, stranger) = (key("k"), key("k"));
    let relay = Relay::start(&trusting(&trusted, "public = \"open\"").replace("[server]\n", &streams()));
    let now = SystemTime::now();
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(24 * 3600));
    let sign = |claims: Claims| trusted.sign(&claims).unwrap();
    let good = sign(claims("demo"));
    let writer = sign(Claims { subscribe: vec![], ..claims("demo") });

    let rows: &[(&str, String, Result<(), u16>)] = &[
        ("/demo", good.clone(), Ok(())),
        ("/demo", sign(Claims { publish: vec![], ..claims("demo") }), Ok(())),
        ("/demo", sign(Claims { expires: Some(now + hour), issued: Some(now), ..claims("") }), Ok(())),
        ("/demo", sign(Claims { cluster: true, ..claims("") }), Ok(())),
        ("//demo/", good.clone(), Ok(())),
        ("/%64emo", good.clone(), Ok(())),
        // Above its root a token shows what lies below.
        ("/", good.clone(), Ok(())),
        ("/demo", String::new(), Err(401)),
        ("/demo", "abc".into(), Err(401)),
        ("/demo", stranger.sign(&claims("demo")).unwrap(), Err(401)),
        ("/demo", sign(Claims { expires: Some(now - day), ..claims("demo") }), Err(401)),
        ("/demo", sign(Claims { not_before: Some(now + day), ..claims("demo") }), Err(401)),
        ("/demo", sign(Claims { audience: vec!["somebody else".into()], ..claims("demo") }), Err(401)),
        ("/demos", good.clone(), Err(403)),
        ("/news", good.clone(), Err(403)),
        // What is public does not help a token, good or bad.
        ("/open", good.clone(), Err(403)),
        ("/open", "abc".into(), Err(401)),
        ("/open", stranger.sign(&claims("open")).unwrap(), Err(401)),
        ("/demo/a%2Fb", good.clone(), Err(400)),
        ("/demo/%2e%2e", good.clone(), Err(400)),
    ];
    story(async {
        let _on_air = on_air(&relay, &good).await;
        for (path, token, verdict) in rows {
            for entrance in Entrance::all().chain([Over::Tcp, Over::Unix].map(Entrance::Session)) {
                // Clients read dots themselves before they send a path.
                if path.contains("%2e") && matches!(entrance, Entrance::Session(over) if !over.is_raw()) {
                    continue;
                }
                let expected = verdict.map_or_else(|status| refusal(entrance, status), |()| Verdict::In);
                assert_eq!(knock(&relay, entrance, path, token).await, expected, "{entrance:?} {path} {token}");
            }
        }
        for entrance in [Entrance::Page, Entrance::Header] {
            assert_eq!(knock(&relay, entrance, "/demo", &writer).await, Verdict::Status(403), "{entrance:?}: only writes");
        }
        let two = relay.ask("GET", &format!("/announced/demo?jwt={good}"), &[("authorization", &format!("Bearer {writer}"))]);
        assert_eq!(two.status, 401, "two tokens");
        assert_eq!(relay.get(&format!("/announced/demo?jwt=abc&jwt={good}")).status, 200, "the last one counts");
        assert_eq!(relay.get("/announced/open?jwt=").status, 200, "an empty one is none");
    });
    let log = relay.log();
    for code in ["no-token", "malformed", "signature", "expired", "not-yet", "audience", "elsewhere", "path", "two-tokens"] {
        assert!(log.contains(&format!("turned away peer=127.0.0.1 code={code} ")), "{code}");
    }
    assert!(rows.iter().all(|(_, token, _)| token.len() < 40 || !log.contains(token)), "a token is logged");
}

#[test]
fn a_token_allows_what_it_says_and_no_more() {
    let key = key("k");
    let relay = Relay::start(&trusting(&key, ""));
    let sign = |claims: Claims| key.sign(&claims).unwrap();
    let good = sign(claims("demo"));
    let rows = [
        ("reads and writes", claims("demo"), true, true),
        ("reads", Claims { publish: vec![], ..claims("demo") }, true, false),
        ("writes", Claims { subscribe: vec![], ..claims("demo") }, false, true),
        ("writes elsewhere", Claims { publish: vec!["other".parse().unwrap()], ..claims("demo") }, true, false),
        ("reads elsewhere", Claims { subscribe: vec!["other".parse().unwrap()], ..claims("demo") }, false, true),
    ];
    story(async {
        let (admin, _room) = on_air(&relay, &good).await;
        for (number, (what, claims, reads, writes)) in rows.into_iter().enumerate() {
            for over in Over::ALL {
                let name = format!("{number}-{over:?}");
                let target = format!("/demo?jwt={}", sign(claims.clone()));
                let mut peer = Peer::join(&relay, over, Version::Lite05, &target).await;
                if reads {
                    assert_eq!(peer.hears().await.unwrap().as_str(), "room", "{over:?} {what}");
                } else {
                    let heard = tokio::time::timeout(A_WHILE, peer.hears()).await;
                    assert!(heard.is_err(), "{over:?} {what}: {heard:?}");
                }
                let _probe = peer.publish(&name);
                let view = admin.view();
                let path = name.parse().unwrap();
                let heard = view.consume_wait(&path);
                let wrote = tokio::time::timeout(if writes { crate::process::PATIENCE } else { A_WHILE }, heard).await;
                assert_eq!(wrote.is_ok(), writes, "{over:?} {what}");
            }
        }
    });
}

/// Walks every forgery, or every `step`th, past an entrance.
fn range(entrance: Entrance, step: usize) {
    let range = Range::new(SystemTime::now());
    let path = folder().join("keys.json");
    fs::write(&path, range.trusted().to_json().as_str()).unwrap();
    // What is public everywhere must not help either.
    let relay = Relay::start(&config(&format!("keys = {path:?}\npublic = \"\"")));
    let mut verdicts = BTreeMap::new();
    story(async {
        let _on_air = on_air(&relay, &range.honest[0].token).await;
        for Sample { name, token } in range.forged.iter().step_by(step).filter(|forged| !forged.token.is_empty()) {
            let verdict = knock(&relay, entrance, "/demo", token).await;
            let uniform = [refusal(entrance, 401), refusal(entrance, 403)].contains(&verdict);
            assert!(uniform || token.len() > TOKEN_BYTES_MAX || verdict == Verdict::Nothing, "{entrance:?} {name}: {verdict:?}");
            assert_ne!(verdict, Verdict::In, "{entrance:?} {name}");
            *verdicts.entry(format!("{verdict:?}")).or_insert(0) += 1;
        }
        for Sample { name, token } in &range.honest {
            assert_eq!(knock(&relay, entrance, "/demo", token).await, Verdict::In, "{entrance:?} {name}");
        }
    });
    let refused: usize = verdicts.iter().filter(|(verdict, _)| *verdict != "Nothing").map(|(_, count)| count).sum();
    assert!(refused >= 400, "{verdicts:?}");
}

#[test]
fn no_forgery_passes_any_entrance() {
    // A session takes longer than a page, so sessions are tried with every second forgery.
    let step = |entrance| if matches!(entrance, Entrance::Session(_)) { 2 } else { 1 };
    let walks: Vec<_> = Entrance::all().map(|entrance| thread::spawn(move || range(entrance, step(entrance)))).collect();
    for walk in walks {
        walk.join().expect("no forgery passes");
    }
}
