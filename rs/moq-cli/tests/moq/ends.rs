//! How the program ends: its exit status, what it says on the way, and that it leaves nothing behind.

use std::net::{TcpListener, UdpSocket};

use crate::{
    program::{Ended, Program},
    relay::{Over, Relay, file},
};

/// Makes sure of the exit status, and that each of these is said.
fn ended(ended: &Ended, status: i32, said: &[&str]) {
    assert_eq!(ended.status, Some(status), "{}", ended.errors);
    for part in said {
        assert!(ended.errors.contains(part), "{part:?} is not in\n{}", ended.errors);
    }
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    for (args, said) in [
        (&["subscribe"][..], "Usage: moq subscribe"),
        (&["subscribe", "localhost:4443", "room", "track"], "it has no scheme"),
        (&["subscribe", "ftp://relay", "room", "track"], "ftp is no scheme of a relay"),
        (&["subscribe", "https://relay", "room", "track", "--max-age", "5"], "--max-age"),
        (&["publish", "https://relay", "room", "track", "--frames", "raw", "--group-separator", ""], "--group-separator"),
        (&["clock", "publish", "https://relay", "clock", "--interval", "0s"], "--interval"),
        (&["announced", "https://relay", "--tls-fingerprint", "abc"], "64 hexadecimal digits"),
    ] {
        ended(&Program::run(args), 2, &[said]);
    }
}

#[test]
fn what_is_not_there_ends_with_4() {
    let relay = Relay::start();
    for over in Over::ALL {
        let missing = relay.moq(over, "subscribe", &["--wait", "0s", "room/nobody", "track"]).end();
        ended(&missing, 4, &["nothing is published at \"room/nobody\"", "moq announced --once"]);
    }
    let _publisher = relay.moq(Over::WebTransport, "publish", &["room/alice", "track"]);
    for version in ["moq-lite-06", "moq-lite-05", "moq-lite-04", "moq-lite-02"] {
        let args = ["--protocol", version, "--wait", "1m", "room/alice", "other"];
        let missing = relay.moq(Over::WebTransport, "subscribe", &args).end();
        ended(&missing, 4, &["\"room/alice\" has no track \"other\""]);
    }
}

#[test]
fn who_is_refused_ends_with_3_and_hears_of_tokens_but_never_sees_one() {
    let relay = Relay::public("demo");
    let token = file("c2Vz.YW1l.b3Blbg\n");
    for over in Over::ALL {
        let url = relay.url(over, "/private");
        let args = ["announced", "--tls-fingerprint", &relay.fingerprint, &url];
        ended(&Program::run(&args), 3, &["refused by the relay", "--jwt FILE"]);

        let shown = Program::run(&[&args[..], &["--jwt", token.to_str().unwrap()]].concat());
        let from_env = Program::with_env(&args, &[("MOQ_JWT", "c2Vz.YW1l.b3Blbg")]).end();
        for refused in [shown, from_env] {
            ended(&refused, 3, &["refused by the relay", "moq-token explain"]);
            assert!(!refused.errors.contains("c2Vz"), "{}", refused.errors);
        }
    }
    let nothing = Program::run(&["announced", "--jwt", "/no/such/file", &relay.url(Over::WebSocket, "/demo")]);
    ended(&nothing, 1, &["reading the token from /no/such/file"]);
}

#[test]
fn no_relay_ends_with_1_and_says_what_to_look_for() {
    // Taken, so that nobody answers there, and nobody else can.
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed = tcp.local_addr().unwrap();
    drop(tcp);

    let url = format!("ws://{closed}");
    ended(&Program::run(&["announced", &url]), 1, &["connecting: TCP to 127.0.0.1:", "is a relay there?"]);
    let relay = Relay::start();
    let url = relay.url(Over::WebSocket, "/").replace("ws://", "wss://");
    ended(&Program::run(&["announced", "--insecure", &url]), 1, &["connecting: ", "does this port speak TLS?"]);
    let url = format!("moqt://{}", udp.local_addr().unwrap());
    let late = Program::run(&["announced", "--insecure", "--connect-timeout", "100ms", &url]);
    ended(&late, 1, &["no connection within 100ms", "wss://"]);
}

#[test]
fn a_path_that_cannot_be_said_is_not_left_out() {
    let relay = Relay::start();
    let args = ["announced", "--once", "--insecure", "--protocol", "moq-lite-04"];
    let at = |path: &str| Program::run(&[&args[..], &[&relay.url(Over::Quic, path)]].concat());
    ended(&at("/room"), 1, &["moq-lite-04 cannot say which path is meant", "https://"]);
    at("/").well();
}

#[test]
fn a_certificate_that_is_not_believed_says_how_it_could_be() {
    let relay = Relay::start();
    for over in [Over::WebTransport, Over::Quic] {
        let url = relay.url(over, "/");
        let other = "0".repeat(64);
        ended(&Program::run(&["announced", "--once", "--tls-fingerprint", &other, &url]), 1, &["SHA-256", "--tls-fingerprint"]);
        Program::run(&["announced", "--once", "--insecure", &url]).well();
    }
    // The scheme of development relays needs no option at all, and goes over WebSocket where UDP has another port.
    let url = relay.url(Over::WebSocket, "/").replace("ws://", "http://");
    Program::run(&["announced", "--once", &url]).well();
}

#[test]
fn an_interrupted_publisher_finishes_what_it_began() {
    let relay = Relay::start();
    for signal in ["INT", "TERM"] {
        let viewer = relay.moq(Over::WebTransport, "subscribe", &["--json", "--from", "0", "--wait", "1m", "room", "track"]);
        let mut publisher = relay.moq(Over::WebTransport, "publish", &["--wait", "--group-time", "1h", "room", "track"]);
        publisher.write(b"one\ntwo\n");
        viewer.says("\"frame\":1");
        publisher.signal(signal);

        let text = viewer.end().well().text();
        assert!(text.contains(r#"{"event":"group_end","group":0,"frames":2,"whole":true}"#), "{text}");
        publisher.end().well();
    }
}

#[test]
fn an_interrupted_viewer_leaves_at_once() {
    let relay = Relay::start();
    let mut publisher = relay.moq(Over::WebTransport, "publish", &["--wait", "--json", "room", "track"]);
    let viewer = relay.moq(Over::WebTransport, "subscribe", &["--json", "--wait", "1m", "room", "track"]);
    publisher.write(b"one\n");
    viewer.says("\"frame\":0");
    viewer.signal("INT");
    assert!(viewer.end().well().text().ends_with("\"skipped\":0}\n"));
}

#[test]
fn a_relay_that_goes_takes_everybody_along() {
    let relay = Relay::start();
    let publisher = relay.moq(Over::WebTransport, "publish", &["--reconnect", "0s", "room", "track"]);
    let args = ["--reconnect", "0s", "--json", "--wait", "1m", "room", "track"];
    let viewer = relay.moq(Over::WebTransport, "subscribe", &args);
    let list = relay.moq(Over::WebSocket, "announced", &[]);
    list.says("+ room\n");
    viewer.says("\"connected\"");
    relay.stop();
    for program in [publisher, viewer, list] {
        ended(&program.wait(), 1, &["the relay ended the session"]);
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let relay = Relay::start();
    let mut publisher = relay.moq(Over::WebTransport, "publish", &["--wait", "room", "track"]);
    let url = relay.url(Over::WebTransport, "/");
    let args = ["subscribe", "--from", "0", "--wait", "1m", "--tls-fingerprint", &relay.fingerprint, &url, "room", "track"];
    let viewer = Program::unread(&args);
    publisher.write(b"one\n");
    viewer.end().well();
}
