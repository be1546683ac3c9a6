//! Who is let in, and where: one table for every entrance, and a range of forgeries walked past each of them.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, SystemTime},
};

use moq_lite::{session::Error, transport::ConnectionError};
use moq_native::{ConnectError, tls::Trust};
use moq_proto::{Path, Version, close};
use moq_token::{
    Algorithm, Claims, Key, TOKEN_BYTES_MAX,
    testing::{Range, Sample},
};

use crate::{
    fetch, https,
    peer::{A_WHILE, Over, Peer, story},
    process::{Answer, OPEN, Relay, folder, wide},
};

/// Where a token can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Entrance {
    Session(Over),
    /// `?jwt=` of a page.
    Page,
    /// `Authorization` of a page.
    Header,
    /// `?jwt=` of a page with TLS.
    SecurePage,
    /// `?jwt=` of a group.
    Fetch,
}

impl Entrance {
    /// Those that answer once.
    pub(crate) const ANSWERS: [Self; 4] = [Self::Page, Self::Header, Self::SecurePage, Self::Fetch];

    /// Every one there is: all ways to a session, and what is answered once. The relay is to be started [`wide`].
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Over::ALL.into_iter().map(Self::Session).chain(Self::ANSWERS)
    }

    /// Whether the path comes with SETUP, and a refusal as the end of the session.
    pub(crate) fn is_raw(self) -> bool {
        matches!(self, Self::Session(over) if over.is_raw())
    }

    /// Asks for what is answered once: what is on air at `target`, or a group of the track `video` of the broadcast there.
    /// Returns status and body; or nothing, as too long a request may end before it is answered.
    pub(crate) async fn ask(self, relay: &Relay, target: &str, headers: &[(&str, &str)]) -> Option<(u16, String)> {
        let answer = match self {
            Self::Session(_) => unreachable!("a session has no answer"),
            Self::Page | Self::Header => relay.try_ask("GET", &format!("/announced{target}"), headers).ok()?,
            Self::SecurePage => {
                let trust = Trust::Fingerprints(vec![relay.get("/certificate.sha256").body.parse().unwrap()]);
                let answer = https::get(relay.https.unwrap(), &trust, &format!("/announced{target}")).await.ok()?;
                Answer::read(answer.as_bytes(), false).ok()?
            }
            Self::Fetch => {
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                let (status, body) = fetch::fetch(relay, &format!("/fetch{path}/video?{query}")).await;
                return (status != 0).then_some((status, body.unwrap_or_default()));
            }
        };
        Some((answer.status, answer.body))
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
    // What is on air, and to be fetched, is one below.
    let path = &if entrance == Entrance::Fetch { format!("{path}/room") } else { path.to_owned() };
    let escaped: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
    let with_query = if token.is_empty() { path.to_owned() } else { format!("{path}?jwt={escaped}") };
    let answer = match entrance {
        Entrance::Session(over) => return knock_for_session(relay, over, &with_query).await,
        // HTTP itself lets no header through with such a value, and takes space around a value away.
        Entrance::Header if token.contains(char::is_control) || token.trim() != token => return Verdict::Nothing,
        Entrance::Header => entrance.ask(relay, path, &[("authorization", &format!("Bearer {token}"))]).await,
        Entrance::Page | Entrance::SecurePage | Entrance::Fetch => entrance.ask(relay, &with_query, &[]).await,
    };
    match answer {
        None => Verdict::Nothing,
        Some((200, _)) => Verdict::In,
        Some((401, body)) => {
            assert_eq!(body, "unauthorized\n");
            Verdict::Status(401)
        }
        Some((status, _)) => Verdict::Status(status),
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
    if entrance.is_raw() { UNAUTHORIZED } else { Verdict::Status(status) }
}

pub(crate) fn key(id: &str) -> Key {
    Key::generate(Algorithm::EdDSA, Some(id.parse().unwrap()), None).unwrap()
}

/// Claims for everything below `root`, without an end.
pub(crate) fn claims(root: &str) -> Claims {
    let everything = vec![Path::root()];
    Claims { root: root.parse().unwrap(), publish: everything.clone(), subscribe: everything, ..Claims::default() }
}

/// A configuration with this in `[auth]`, and every entrance.
pub(crate) fn config(auth: &str) -> String {
    wide(OPEN).replace("public = \"\"", auth)
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
    room.video.append_group().write_all(["live"]);
    while relay.get(&format!("/announced/demo?jwt={token}")).body.is_empty() {
        tokio::time::sleep(A_WHILE / 20).await;
    }
    (publisher, room)
}

#[test]
fn every_entrance_gives_the_same_verdict() {
    let (trusted, stranger) = (key("k"), key("k"));
    let relay = Relay::start(&trusting(&trusted, "public = \"open\""));
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
            for entrance in Entrance::all() {
                // Clients read dots themselves before they send a path; and what lies below is shown, but not to be fetched.
                let is_session = matches!(entrance, Entrance::Session(_));
                if path.contains("%2e") && is_session && !entrance.is_raw() || *path == "/" && entrance == Entrance::Fetch {
                    continue;
                }
                let expected = verdict.map_or_else(|status| refusal(entrance, status), |()| Verdict::In);
                assert_eq!(knock(&relay, entrance, path, token).await, expected, "{entrance:?} {path} {token}");
            }
        }
        for entrance in Entrance::ANSWERS {
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
    // This machine is exempt, so each was looked at for itself, and not refused for those before.
    assert!(!relay.log().contains("code=penalty"), "{entrance:?}: penalised");
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
