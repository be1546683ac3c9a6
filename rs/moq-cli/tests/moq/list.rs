//! What is on air, as it is listed.

use crate::relay::{Over, Relay};

#[test]
fn broadcasts_are_listed_as_they_come_and_go() {
    let relay = Relay::start();
    for over in Over::ALL {
        let list = relay.moq(over, "announced", &[]);
        let below = relay.moq(over, "announced", &["room", "--json"]);
        let publisher = relay.moq(over, "publish", &["room/alice", "track"]);
        list.says("+ room/alice\n");
        below.says("{\"event\":\"announced\",\"path\":\"room/alice\",\"hops\":");

        publisher.end().well();
        list.says("- room/alice\n");
        below.says("{\"event\":\"unannounced\",\"path\":\"room/alice\"}\n");
        list.signal("INT");
        assert_eq!(list.end().well().text(), "+ room/alice\n- room/alice\n", "{over:?}");
    }
}

#[test]
fn what_is_on_air_now_is_listed_once() {
    let relay = Relay::start();
    let list = |over, args: &[&str]| relay.moq(over, "announced", &[&["--once"], args].concat()).end().well().text();
    assert_eq!(list(Over::WebTransport, &[]), "");

    let on_air = ["room/alice", "room/bob", "news"].map(|path| {
        let watched = relay.moq(Over::WebTransport, "announced", &[]);
        let publisher = relay.moq(Over::WebTransport, "publish", &[path, "track"]);
        watched.says(&format!("+ {path}\n"));
        publisher
    });
    for over in Over::ALL {
        let sorted = |text: String| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines.join(" ")
        };
        assert_eq!(sorted(list(over, &[])), "+ news + room/alice + room/bob", "{over:?}");
        assert_eq!(sorted(list(over, &["room"])), "+ room/alice + room/bob", "{over:?}");
        assert_eq!(list(over, &["nobody"]), "", "{over:?}");
    }
    drop(on_air);
}
