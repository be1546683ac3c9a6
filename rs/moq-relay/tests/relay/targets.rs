//! Odd targets over real sockets: a sample of those that the relay's own tests show to every entrance in memory.
//!
//! Clients read an address as a URL before they send it, so every entrance gets what is left of a target after that.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{fs, thread};

use moq_proto::Version;
use moq_token::{
    Claims, KeySet,
    testing::{
        Target, Targets,
        reference::{self, Rights},
    },
};

use crate::{
    auth::{Entrance, claims, config, key},
    peer::{Peer, story, until},
    process::{Relay, folder},
};

/// How many targets are sent to each entrance.
const SAMPLE: usize = 300;

/// What came of a request: a path, where the relay says which; or a refusal, which raw transports have one of.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    In(Option<String>),
    Out(Option<u16>),
}

struct World {
    /// Tokens, and what the good ones allow.
    tokens: Vec<(String, Option<Rights>)>,
    public: Rights,
}

impl World {
    fn relay() -> (Self, Relay) {
        let (trusted, stranger) = (key("k"), key("k"));
        let below = |root: &str, publish: &[&str], subscribe: &[&str]| {
            let paths = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
            Claims { publish: paths(publish), subscribe: paths(subscribe), ..claims(root) }
        };
        let good = [claims(""), below("room", &["alice"], &[""]), below("demo/room", &[], &["alice"]), below("room", &[""], &[])];
        let mut tokens: Vec<_> = good.iter().map(|claims| (trusted.sign(claims).unwrap(), Some(Rights::of(claims)))).collect();
        tokens.push((stranger.sign(&good[0]).unwrap(), None));
        tokens.push(("abc".into(), None));
        let path = folder().join("keys.json");
        fs::write(&path, KeySet::try_from_iter([trusted.public().unwrap()]).unwrap().to_json().as_str()).unwrap();
        let relay = Relay::start(&config(&format!("keys = {path:?}\npublic = {{ subscribe = \"demo\", publish = \"demo\" }}")));
        (Self { tokens, public: Rights::of(&claims("demo")) }, relay)
    }

    fn expected(&self, entrance: Entrance, target: &str, header: Option<&str>) -> Verdict {
        let out = |status| Verdict::Out((!entrance.is_raw()).then_some(status));
        let (path, token) = reference::read(target);
        let Some(path) = path else { return out(400) };
        let (rights, otherwise) = match header.map(str::to_owned).or(token.clone()) {
            _ if token.is_some() && header.is_some_and(|header| token.as_deref() != Some(header)) => return out(401),
            None => (&self.public, 401),
            Some(token) => match self.tokens.iter().find(|(known, _)| *known == token) {
                Some((_, Some(rights))) => (rights, 403),
                _ => return out(401),
            },
        };
        let left = rights.at(&path);
        match entrance {
            _ if left.is_empty() => out(otherwise),
            Entrance::Session(_) => Verdict::In(Some(path.join("/"))),
            _ if left.subscribe.is_empty() => out(otherwise),
            _ => Verdict::In(None),
        }
    }
}

/// The places of all sessions opened so far, as the log tells them.
fn opened(relay: &Relay) -> Vec<String> {
    let log = relay.log();
    let roots = log.lines().filter_map(|line| line.split_once("session open ")?.1.split_once("root="));
    roots.filter_map(|(_, root)| Some(root.split_once(" publish=")?.0.to_owned())).collect()
}

async fn knock(relay: &Relay, entrance: Entrance, target: &str, header: Option<&str>) -> Verdict {
    let Entrance::Session(over) = entrance else {
        let value = header.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = value.iter().map(|value| ("authorization", value.as_str())).collect();
        return match entrance.ask(relay, target, &headers).await {
            Some((200, _)) => Verdict::In(None),
            // Nothing is on air here; who may not know of it is not told so.
            Some((404, _)) if entrance == Entrance::Fetch => Verdict::In(None),
            Some((status, _)) => Verdict::Out(Some(status)),
            None => panic!("{entrance:?} {target}: no answer"),
        };
    };
    let before = opened(relay).len();
    let peer = match Peer::try_join(relay, over, &[Version::Lite05], target).await {
        Ok(peer) => peer,
        Err(moq_native::ConnectError::Refused(status)) => return Verdict::Out(Some(status.as_u16())),
        Err(error) => panic!("{over:?} {target}: {error}"),
    };
    tokio::select! {
        _ = peer.ended() => Verdict::Out(None),
        () = until("a session in the log", || opened(relay).len() > before) => Verdict::In(opened(relay).pop()),
    }
}

fn walk(entrance: Entrance) {
    let (world, relay) = World::relay();
    story(async {
        let (mut inside, mut outside) = (0, 0);
        for Target { path, noise, token } in Targets::new(7).take(SAMPLE) {
            let token = token.map(|place| world.tokens[place % world.tokens.len()].0.as_str());
            let (query, header) = if entrance == Entrance::Header { (None, token) } else { (token, None) };
            let target = Target { path, noise, token: None }.with_query(query);
            let Ok(url) = format!("https://relay{target}").parse() else { continue };
            let mut target = moq_native::request_target(&url).into_owned();
            if entrance == Entrance::Fetch {
                // The root itself is no broadcast that one could fetch.
                target.insert_str(target.find('?').unwrap_or(target.len()), "/room");
            }

            let verdict = knock(&relay, entrance, &target, header).await;

            assert_eq!(verdict, world.expected(entrance, &target, header), "{entrance:?} {target} {header:?}");
            *if matches!(verdict, Verdict::In(_)) { &mut inside } else { &mut outside } += 1;
        }
        assert!(inside >= SAMPLE / 10 && outside >= SAMPLE / 10, "{entrance:?}: {inside} in, {outside} out");
    });
}

#[test]
fn odd_targets_are_judged_alike_over_every_socket() {
    let walks: Vec<_> = Entrance::all().map(|entrance| thread::spawn(move || walk(entrance))).collect();
    for walk in walks {
        walk.join().expect("verdicts as expected");
    }
}
