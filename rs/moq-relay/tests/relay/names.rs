//! Whose a name is: paths that are on air, and names that only relays announce.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::fs;

use moq_proto::{Path, Version};
use moq_token::{Claims, Key};

use crate::{
    auth::{claims, config, key},
    peer::{A_WHILE, Over, Peer, next, soon, story},
    process::{Relay, folder},
};

/// Trusts these keys, and counts aloud.
fn trusting(keys: &[&Key], more: &str) -> String {
    let folder = folder();
    for key in keys {
        fs::write(folder.join(format!("{}.jwk", key.id().unwrap())), key.public().unwrap().to_json().as_str()).unwrap();
    }
    config(&format!("key_dir = {folder:?}\n{more}")) + "\n[log]\nlevel = \"debug\"\n"
}

fn of(subject: &str) -> Claims {
    Claims { subject: Some(subject.into()), ..claims("demo") }
}

async fn join(relay: &Relay, over: Over, token: &str) -> Peer {
    Peer::join(relay, over, Version::Lite05, &format!("/demo?jwt={token}")).await
}

/// Waits until the relay has taken all that `peer` announced before: announcements stay in order.
async fn settled(relay: &Relay, peer: &Peer, token: &str, name: &str) {
    let _last = peer.publish(name);
    while !relay.get(&format!("/announced/demo?jwt={token}")).body.lines().any(|line| line == name) {
        tokio::time::sleep(A_WHILE / 20).await;
    }
}

/// What the relay counted, which it tells at its end.
fn counted(mut relay: Relay, reason: &str) -> usize {
    relay.signal("TERM");
    relay.wait();
    let log = relay.log();
    let line = format!("moq_relay_announcements_refused_total\" reason=\"{reason}\" value=");
    let Some((_, count)) = log.split_once(&line) else { return 0 };
    count.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or_else(|_| panic!("{log}"))
}

#[test]
fn nobody_takes_over_a_live_name_of_somebody_else() {
    let (own, foreign) = (key("own"), key("foreign"));
    let relay = Relay::start(&trusting(&[&own, &foreign], "public.publish = \"\""));
    let [alice, mallory] = ["alice", "mallory"].map(|subject| own.sign(&of(subject)).unwrap());
    let forger = foreign.sign(&of("alice")).unwrap();
    story(async {
        for over in Over::ALL {
            let publisher = join(&relay, over, &alice).await;
            let live = publisher.publish("room");
            let viewer = join(&relay, Over::WebTransport, &alice).await;
            let mut groups = viewer.watch("room").await;
            live.video.append_group().write_all(["live"]);
            assert_eq!(next(&mut groups).await, ["live"], "{over:?}");

            let mut rivals = Vec::new();
            for target in [format!("?jwt={mallory}"), format!("?jwt={forger}"), String::new()] {
                for (number, way) in Over::ALL.into_iter().enumerate() {
                    let rival = Peer::join(&relay, way, Version::Lite05, &format!("/demo{target}")).await;
                    let fake = rival.publish("room");
                    settled(&relay, &rival, &alice, &format!("later-{number}")).await;
                    fake.video.append_group().write_all(["fake"]);
                    rivals.push((rival, fake));
                }
            }
            let newcomer = join(&relay, over, &alice).await;
            let mut fresh = newcomer.watch("room").await;
            assert_eq!(next(&mut fresh).await, ["live"], "{over:?}: who comes now sees the same");
            live.video.append_group().write_all(["more"]);
            assert_eq!(next(&mut groups).await, ["more"], "{over:?}");
            assert_eq!(next(&mut fresh).await, ["more"], "{over:?}");
        }
    });
}

#[test]
fn a_publisher_that_comes_back_is_heard_at_once() {
    let own = key("own");
    let relay = Relay::start(&trusting(&[&own], ""));
    let alice = own.sign(&of("alice")).unwrap();
    // Another token, the same publisher.
    let renewed = own.sign(&Claims { id: Some("second".into()), ..of("alice") }).unwrap();
    story(async {
        for over in Over::ALL {
            let lost = join(&relay, over, &alice).await;
            let _lingers = lost.publish("room");
            settled(&relay, &lost, &alice, "first").await;
            let back = join(&relay, over, &renewed).await;
            let live = back.publish("room");
            settled(&relay, &back, &alice, "second").await;

            let viewer = join(&relay, over, &alice).await;
            let mut groups = viewer.watch("room").await;
            live.video.append_group().write_all(["back"]);
            assert_eq!(next(&mut groups).await, ["back"], "{over:?}");
        }
    });
}

#[test]
fn an_operator_may_let_the_newest_win_or_refuse_it() {
    let own = key("own");
    let [alice, bob] = ["alice", "bob"].map(|subject| own.sign(&of(subject)).unwrap());
    for (rule, newest_wins, refused) in [("replace", true, 0), ("reject", false, 1)] {
        let relay = Relay::start(&(trusting(&[&own], "") + &format!("[publish]\nconflict = {rule:?}\n")));
        story(async {
            let first = join(&relay, Over::Quic, &alice).await;
            let live = first.publish("room");
            settled(&relay, &first, &alice, "first").await;
            let second = join(&relay, Over::WebSocket, &bob).await;
            let newest = second.publish("room");
            settled(&relay, &second, &alice, "second").await;

            let viewer = join(&relay, Over::WebTransport, &alice).await;
            let mut groups = viewer.watch("room").await;
            live.video.append_group().write_all(["first"]);
            newest.video.append_group().write_all(["newest"]);
            assert_eq!(next(&mut groups).await, [if newest_wins { "newest" } else { "first" }], "{rule}");
        });
        assert_eq!(counted(relay, "held"), refused, "{rule}");
    }
}

#[test]
fn only_relays_announce_reserved_names_and_hear_of_them() {
    let own = key("own");
    let relay = Relay::start(&trusting(&[&own], "public = \"\""));
    let everywhere = own.sign(&claims("")).unwrap();
    let peer_relay = own.sign(&Claims { cluster: true, ..claims("") }).unwrap();
    story(async {
        // A name with a dot in it is only told by who is rooted below the dot.
        let targets: [(String, &[&str]); 5] = [
            ("/".to_owned(), &["internal/origins/evil", "internal/origins", "internal"]),
            (format!("/?jwt={everywhere}"), &["internal/origins/evil", "internal/origins", "internal"]),
            (format!("/internal?jwt={everywhere}"), &["", "origins", "origins/evil", "origins/evil/deeper"]),
            (format!("/.stats?jwt={everywhere}"), &["", "evil"]),
            (format!("/.internal/origins?jwt={everywhere}"), &["", "evil"]),
        ];
        let mut refused = 0;
        for over in Over::ALL {
            for (target, names) in &targets {
                let client = Peer::join(&relay, over, Version::Lite05, target).await;
                let _kept: Vec<_> = names.iter().map(|name| client.publish(name)).collect();
                refused += names.len();
                let told = async {
                    while relay.log().matches("error=this path is reserved").count() < refused {
                        tokio::time::sleep(A_WHILE / 20).await;
                    }
                };
                soon("a refusal of each", told).await;
                let hears = Peer::join(&relay, over, Version::Lite05, &format!("/?jwt={peer_relay}")).await;
                for name in [".stats/evil", ".internal/origins/evil", "internal/origins/evil", "internal/origins", "internal"] {
                    assert!(hears.view().consume(&name.parse::<Path>().unwrap()).is_none(), "{over:?} {target} {name}");
                }
            }
        }

        let node = Peer::join(&relay, Over::Quic, Version::Lite05, &format!("/?jwt={peer_relay}")).await;
        let _itself = node.publish("internal/origins/node.example");
        let _mark = node.publish("internal/mark");
        let other = Peer::join(&relay, Over::Quic, Version::Lite05, &format!("/?jwt={peer_relay}")).await;
        let heard = async {
            let view = other.view();
            view.consume_wait(&"internal/origins/node.example".parse().unwrap()).await;
        };
        soon("the other relay", heard).await;
        for (target, _) in &targets[..2] {
            let client = Peer::join(&relay, Over::WebSocket, Version::Lite05, target).await;
            let mut feed = client.view().announced(&Path::root(), true);
            let first = soon("what is not reserved", feed.next()).await.unwrap();
            assert!(format!("{first:?}").contains("mark"), "{target}: {first:?}");
            assert!(!relay.get("/announced").body.contains("origins"));
        }
    });
    assert_eq!(counted(relay, "reserved"), Over::ALL.len() * (3 + 3 + 4 + 2 + 2));
}
