//! Sessions that are lost: who publishes and who watches go on where they were, and who cannot says why.
//!
//! The relay is killed, or asked to stop, and started again on its port, where it has a new certificate.

use std::{thread, time::Duration};

use crate::{
    program::Program,
    relay::{Over, Relay},
    way::Way,
};

/// Lines that are written between two events.
const LINES: u32 = 40;

/// The lines of a round.
pub(crate) fn lines(round: u32) -> String {
    (round * LINES..(round + 1) * LINES).map(|number| format!("{number}\n")).collect()
}

/// What is written last in a round.
fn last(round: u32) -> String {
    format!("\n{}\n", (round + 1) * LINES - 1)
}

/// Publishes what the test writes, with a group that each event finds unfinished.
pub(crate) fn publish(url: &str, args: &[&str]) -> Program {
    Program::start(&[&["publish", "--wait", "--group-frames", "7"], args, &[url, "room", "track"]].concat())
}

pub(crate) fn watch(url: &str, args: &[&str]) -> Program {
    Program::start(&[&["subscribe", "--wait", "1m", "--from", "0"], args, &[url, "room", "track"]].concat())
}

/// Writes a round, and waits until it is seen.
pub(crate) fn round(publisher: &mut Program, viewer: &Program, round: u32) {
    publisher.write(lines(round).as_bytes());
    viewer.says(&last(round));
}

/// Ends the input, after which everything has come, and nothing twice.
pub(crate) fn all_of(publisher: Program, viewer: Program, rounds: u32) {
    publisher.end().well();
    assert_eq!(viewer.end().well().text(), (0..rounds).map(lines).collect::<String>());
}

/// A relay that ends by this signal and starts again, under a publisher that goes on meanwhile.
fn starts_again(signal: &str, way: Over, times: u32) {
    let mut relay = Relay::on_one_port();
    let (url, args) = way_to(&relay, way);
    let viewer = watch(&url, args);
    let mut publisher = publish(&url, args);
    round(&mut publisher, &viewer, 0);
    for time in 0..times {
        publisher.write(lines(2 * time + 1).as_bytes());
        relay.end(signal);
        relay.restart("");
        round(&mut publisher, &viewer, 2 * time + 2);
    }
    all_of(publisher, viewer, 2 * times + 1);
}

/// A URL that leads to the relay this way, also once it has another certificate, and what has to be said with it.
fn way_to(relay: &Relay, way: Over) -> (String, &'static [&'static str]) {
    match way {
        Over::WebTransport => (relay.development(), &[]),
        Over::Quic => (format!("moqt://localhost:{}", relay.port()), &["--insecure"]),
        Over::WebSocket => (websocket(relay), &[]),
        Over::Tcp | Over::Unix => unreachable!("its port is another one each time"),
    }
}

fn websocket(relay: &Relay) -> String {
    format!("ws://localhost:{}/", relay.port())
}

#[test]
fn a_relay_that_is_stopped_and_started_again_is_found_with_its_new_certificate() {
    starts_again("TERM", Over::WebTransport, 3);
}

#[test]
fn a_relay_that_is_stopped_and_started_again_is_found_over_quic() {
    starts_again("TERM", Over::Quic, 3);
}

#[test]
fn a_relay_that_is_stopped_and_started_again_is_found_over_websocket() {
    starts_again("TERM", Over::WebSocket, 3);
}

/// A relay with nobody to take its place goes on until its time is over, and is missed no longer than it is away.
#[test]
fn a_relay_that_drains_for_nothing_and_starts_again_is_found() {
    for way in [Over::WebTransport, Over::Quic, Over::WebSocket] {
        let mut relay = Relay::patient_on_one_port("2s");
        let (url, args) = way_to(&relay, way);
        let viewer = watch(&url, args);
        let mut publisher = publish(&url, args);
        round(&mut publisher, &viewer, 0);
        relay.stop();
        for now in 1..10 {
            round(&mut publisher, &viewer, now);
        }
        publisher.write(lines(10).as_bytes());
        assert_eq!(relay.ends(), Some(0), "{way:?}");
        relay.restart("");
        round(&mut publisher, &viewer, 11);
        all_of(publisher, viewer, 12);
    }
}

#[test]
fn a_relay_that_dies_is_missed_over_webtransport() {
    starts_again("KILL", Over::WebTransport, 1);
}

#[test]
fn a_relay_that_dies_is_missed_over_quic() {
    starts_again("KILL", Over::Quic, 1);
}

#[test]
fn a_relay_that_dies_and_starts_again_changes_nothing_but_the_time() {
    starts_again("KILL", Over::WebSocket, 3);
}

#[test]
fn what_the_publisher_keeps_no_more_is_left_out_and_nothing_else() {
    let mut relay = Relay::on_one_port();
    let url = websocket(&relay);
    let viewer = watch(&url, &[]);
    let args = ["publish", "--json", "--wait", "--group-frames", "1", "--keep", "500ms", &url, "room", "track"];
    let mut publisher = Program::start(&args);
    publisher.write(b"begun\n");
    viewer.says("begun");
    relay.end("KILL");
    publisher.says("reconnecting");
    publisher.write(b"too old\nkept\n");
    publisher.says("{\"event\":\"group\",\"group\":2}");
    // Groups grow old by the time between what follows them and the newest.
    thread::sleep(Duration::from_millis(700));
    publisher.write(b"the newest\n");
    publisher.says("{\"event\":\"group\",\"group\":3}");
    // They go once a second, and are kept for one more.
    thread::sleep(Duration::from_secs(3));
    relay.restart("");
    publisher.end().well();
    assert_eq!(viewer.end().well().text(), "begun\nkept\nthe newest\n");
}

#[test]
fn a_viewer_that_is_cut_off_goes_on_where_it_was() {
    let relay = Relay::start();
    let way = Way::to(relay.port());
    let viewer = watch(&way.url(), &[]);
    let mut publisher = publish(&relay.url(Over::WebSocket, "/"), &[]);
    round(&mut publisher, &viewer, 0);
    for time in 0..5 {
        way.cut();
        publisher.write(lines(2 * time + 1).as_bytes());
        round(&mut publisher, &viewer, 2 * time + 2);
    }
    all_of(publisher, viewer, 11);
}

#[test]
fn a_publisher_that_is_cut_off_goes_on_where_it_was() {
    let relay = Relay::start();
    let way = Way::to(relay.port());
    let viewer = watch(&relay.url(Over::WebSocket, "/"), &[]);
    let mut publisher = publish(&way.url(), &[]);
    round(&mut publisher, &viewer, 0);
    for time in 0..5 {
        way.cut();
        publisher.write(lines(2 * time + 1).as_bytes());
        round(&mut publisher, &viewer, 2 * time + 2);
    }
    all_of(publisher, viewer, 11);
}

#[test]
fn an_input_that_ends_while_there_is_no_relay_is_delivered_once_there_is() {
    let mut relay = Relay::on_one_port();
    let url = websocket(&relay);
    let viewer = watch(&url, &[]);
    let mut publisher = publish(&url, &["--json"]);
    round(&mut publisher, &viewer, 0);
    relay.end("KILL");
    publisher.says("reconnecting");
    publisher.write(lines(1).as_bytes());
    publisher.close();
    publisher.says("\"end\"");
    relay.restart("");
    all_of(publisher, viewer, 2);
}

#[test]
fn scripts_hear_of_it() {
    let relay = Relay::start();
    let way = Way::to(relay.port());
    let url = way.url();
    let args = ["clock", "publish", "--interval", "20ms", &url, "clock"];
    let ticking = Program::start(&args);
    let args = ["clock", "subscribe", "--wait", "1m", "--json", &url, "clock"];
    let watching = Program::start(&args);
    let viewer = Program::start(&["subscribe", "--wait", "1m", "--json", &url, "clock", "seconds"]);
    watching.says("tick");
    viewer.says("\"frame\"");
    way.cut();
    for program in [&watching, &viewer] {
        program.says("{\"event\":\"reconnecting\",\"reason\":\"");
    }
    way.cut();
    let again = format!("{{\"event\":\"connected\",\"url\":\"{url}\",\"version\":\"moq-lite-");
    for program in [&watching, &viewer] {
        // What had come before is still written meanwhile.
        program.says_after("{\"event\":\"reconnecting\"", &again);
    }

    ticking.signal("INT");
    ticking.end().well();
    let text = watching.end().well().text();
    let ticks: Vec<&str> = text.lines().filter(|line| line.contains("tick")).collect();
    assert!(ticks.is_sorted_by(|one, other| one < other), "{ticks:?}");
    viewer.end().well();
}

#[test]
fn who_is_refused_when_it_comes_back_hears_it_at_once() {
    let mut relay = Relay::on_one_port();
    let url = websocket(&relay) + "private";
    let viewer = watch(&url, &["--json", "--reconnect", "1h"]);
    let mut publisher = publish(&url, &["--reconnect", "1h"]);
    publisher.write(b"0\n");
    viewer.says("\"frame\"");
    relay.end("KILL");
    relay.restart("demo");
    for program in [publisher, viewer] {
        let refused = program.wait();
        assert_eq!(refused.status, Some(3), "{}", refused.errors);
        assert!(refused.errors.contains("refused by the relay"), "{}", refused.errors);
    }
}

#[test]
fn a_certificate_that_was_named_is_not_exchanged_for_another() {
    let mut relay = Relay::on_one_port();
    let url = format!("https://localhost:{}", relay.port());
    let fingerprint = relay.fingerprint.clone();
    let publisher = publish(&url, &["--json", "--reconnect", "1s", "--tls-fingerprint", &fingerprint]);
    publisher.says("connected");
    relay.end("TERM");
    relay.restart("");
    let lost = publisher.wait();
    assert_eq!(lost.status, Some(1), "{}", lost.errors);
    assert!(lost.errors.contains("--tls-fingerprint"), "{}", lost.errors);
}

#[test]
fn a_relay_that_stays_away_is_given_up() {
    let mut relay = Relay::on_one_port();
    let url = websocket(&relay);
    let viewer = watch(&url, &["--json", "--reconnect", "300ms"]);
    let mut publisher = publish(&url, &["--reconnect", "300ms"]);
    publisher.write(b"0\n");
    viewer.says("\"frame\"");
    relay.end("KILL");
    for program in [publisher, viewer] {
        let lost = program.wait();
        assert_eq!(lost.status, Some(1), "{}", lost.errors);
        assert!(lost.errors.contains("connecting: ") && lost.errors.contains("is a relay there?"), "{}", lost.errors);
    }
}

#[test]
fn who_is_interrupted_while_there_is_no_relay_leaves_at_once() {
    let mut relay = Relay::on_one_port();
    let url = websocket(&relay);
    let viewer = watch(&url, &["--json", "--reconnect", "1h"]);
    let mut publisher = publish(&url, &["--json", "--reconnect", "1h"]);
    publisher.write(b"0\n");
    viewer.says("\"frame\"");
    relay.end("KILL");
    for program in [publisher, viewer] {
        program.says("reconnecting");
        program.signal("INT");
        program.wait().well();
    }
}
