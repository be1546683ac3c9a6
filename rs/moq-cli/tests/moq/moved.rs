//! Relays that ask their clients to leave: who publishes and who watches go along, and miss nothing.

use crate::{
    front::Front,
    lost::{all_of, lines, publish, round, watch},
    program::Program,
    relay::{Over, Relay},
    way::Way,
};

#[test]
fn a_viewer_goes_along_and_misses_nothing() {
    for over in [Over::WebTransport, Over::Quic] {
        let relay = Relay::start();
        let front = Front::of(&relay.url(Over::WebSocket, "/"));
        let viewer = watch(&front.url("127.0.0.1", "/"), &["--insecure"]);
        front.came();
        let mut publisher = publish(&relay.url(Over::WebSocket, "/"), &[]);
        round(&mut publisher, &viewer, 0);
        front.send_away(&relay.url(over, "/"));
        for now in 1..40 {
            round(&mut publisher, &viewer, now);
        }
        front.left();
        drop(front);
        round(&mut publisher, &viewer, 40);
        all_of(publisher, viewer, 41);
    }
}

#[test]
fn a_publisher_goes_along_and_nobody_misses_anything() {
    let relay = Relay::start();
    let front = Front::of(&relay.url(Over::WebSocket, "/"));
    let viewer = watch(&relay.url(Over::WebSocket, "/"), &[]);
    let mut publisher = publish(&front.url("127.0.0.1", "/"), &["--insecure"]);
    front.came();
    round(&mut publisher, &viewer, 0);
    front.send_away(&relay.url(Over::Quic, "/"));
    publisher.write(lines(1).as_bytes());
    front.left();
    drop(front);
    round(&mut publisher, &viewer, 2);
    all_of(publisher, viewer, 3);
}

#[test]
fn scripts_hear_where_it_is_now() {
    let relay = Relay::start();
    let front = Front::of(&relay.url(Over::WebSocket, "/"));
    let publisher = publish(&front.url("127.0.0.1", "/"), &["--json", "--insecure"]);
    front.came();
    let there = relay.url(Over::Quic, "/");
    front.send_away(&there);
    publisher.says(&format!("\n{{\"event\":\"connected\",\"url\":\"{there}\",\"version\":\"moq-lite-"));
    front.left();
    // It still waits for somebody to watch.
    publisher.signal("INT");
    let text = publisher.wait().well().text();
    assert!(!text.contains("reconnecting"), "{text}");
}

#[test]
fn a_token_goes_to_its_host_alone() {
    let relay = Relay::start();
    let [front, next] = [(); 2].map(|()| Front::of(&relay.url(Over::WebSocket, "/")));
    for (host, target) in [("127.0.0.1", "/room?jwt=secret"), ("localhost", "/room")] {
        let url = front.url("127.0.0.1", "/");
        let args = ["clock", "publish", "--insecure", &url, "clock"];
        let clock = Program::with_env(&args, &[("MOQ_JWT", "secret")]);
        assert_eq!(front.came(), "/?jwt=secret");
        front.send_away(&next.url(host, "/room"));
        assert_eq!(next.came(), target);
        front.left();
        clock.signal("INT");
        clock.wait().well();
        next.left();
    }
}

#[test]
fn where_nobody_follows_the_old_place_is_found_again() {
    let relay = Relay::start();
    let front = Front::of(&relay.url(Over::WebSocket, "/"));
    let viewer = watch(&front.url("127.0.0.1", "/"), &["--insecure"]);
    let mut publisher = publish(&relay.url(Over::WebSocket, "/"), &[]);
    front.came();
    round(&mut publisher, &viewer, 0);
    for (number, uri) in ["", "http://127.0.0.1:1/", "moqt://me:secret@127.0.0.1:1/"].into_iter().enumerate() {
        front.send_away(uri);
        front.came();
        front.left();
        round(&mut publisher, &viewer, number as u32 + 1);
    }
    all_of(publisher, viewer, 4);
}

/// Two relays behind one address, which leads to the second from the moment the first is told to end.
#[test]
fn a_relay_that_drains_hands_its_clients_to_the_next_and_nobody_misses_anything() {
    for _ in 0..3 {
        let [mut old, new] = [(); 2].map(|()| Relay::patient("1m"));
        let way = Way::to(old.port());
        let viewer = watch(&way.url(), &[]);
        let mut publisher = publish(&way.url(), &[]);
        round(&mut publisher, &viewer, 0);
        way.turn(new.port());
        old.stop();
        for now in 1..20 {
            round(&mut publisher, &viewer, now);
        }
        assert_eq!(old.ends(), Some(0));
        round(&mut publisher, &viewer, 20);
        all_of(publisher, viewer, 21);
    }
}
