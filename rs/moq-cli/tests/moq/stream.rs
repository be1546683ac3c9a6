//! A track from one program to another: bytes, groups, and where a viewer begins.

use crate::{
    program::Program,
    relay::{Over, Relay},
};

/// Starts to watch `room/alice`, from its first group on.
fn watch(relay: &Relay, over: Over, args: &[&str]) -> Program {
    relay.moq(over, "subscribe", &[&["--from", "0", "--wait", "1m", "room/alice", "track"], args].concat())
}

/// Publishes at `room/alice` all of what the test writes, once somebody watches.
fn publish(relay: &Relay, over: Over, args: &[&str]) -> Program {
    relay.moq(over, "publish", &[&["--wait", "room/alice", "track"], args].concat())
}

/// Frames of many sizes, each with its length before it.
fn prefixed() -> Vec<u8> {
    let sizes = (0..200u32).map(|n| if n % 3 == 0 { n * 50 } else { n });
    sizes.flat_map(|size| [&size.to_be_bytes()[..], &vec![size as u8; size as usize]].concat()).collect()
}

#[test]
fn bytes_go_in_and_come_out_in_every_spelling_over_every_transport() {
    let relay = Relay::start();
    let lines = b"one\n\n\xff\0three\r\n".repeat(500);
    let raw: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    for over in Over::ALL {
        for (spelling, input) in [("lines", &lines), ("length", &prefixed()), ("raw", &raw)] {
            let viewer = watch(&relay, over, &["--frames", spelling]);
            let mut publisher = publish(&relay, over, &["--frames", spelling]);
            publisher.write(input);
            publisher.end().well();

            assert!(viewer.end().well().output == *input, "{over:?} {spelling}");
        }
    }
}

#[test]
fn bytes_pass_between_transports_and_versions() {
    let relay = Relay::start();
    let rows = [
        (Over::WebSocket, "moq-lite-01", Over::Quic, "moq-lite-06"),
        (Over::Quic, "moq-lite-03", Over::WebTransport, "moq-lite-02"),
        (Over::WebTransport, "moq-lite-06", Over::WebSocket, "moq-lite-04"),
    ];
    for (here, old, there, new) in rows {
        let viewer = watch(&relay, there, &["--protocol", new]);
        let mut publisher = publish(&relay, here, &["--protocol", old]);
        publisher.write(b"one\ntwo\n");
        viewer.says("two\n");
        publisher.end().well();
        assert_eq!(viewer.end().well().text(), "one\ntwo\n", "{old} over {here:?}, {new} over {there:?}");
    }
}

#[test]
fn groups_come_out_as_they_went_in() {
    let relay = Relay::start();
    let ends = |output: &str| -> Vec<String> {
        let ends = output.lines().filter(|line| line.contains("group_end"));
        ends.map(|line| line.split_once("\"group\":").unwrap().1.trim_end_matches('}').replace('"', "")).collect()
    };
    for (rule, input, groups) in [
        (&["--group-frames", "2"][..], "a\nb\nc\n", ["0,frames:2,whole:true", "1,frames:1,whole:true"]),
        (&["--group-separator", ""], "a\nb\n\n\nc\n\n", ["0,frames:2,whole:true", "1,frames:1,whole:true"]),
        (&["--group-separator=--", "--group-frames", "9"], "a\n--\nb\nc\n", ["0,frames:1,whole:true", "1,frames:2,whole:true"]),
    ] {
        let viewer = watch(&relay, Over::WebTransport, &["--json"]);
        let mut publisher = publish(&relay, Over::WebTransport, &[rule, &["--json"]].concat());
        publisher.write(input.as_bytes());

        assert_eq!(ends(&publisher.end().well().text()), groups, "published by {rule:?}");
        assert_eq!(ends(&viewer.end().well().text()), groups, "watched by {rule:?}");
    }
}

#[test]
fn many_small_groups_come_out_in_order() {
    let relay = Relay::start();
    let input: String = (0..100).map(|n| format!("{n}\n")).collect();
    for over in Over::ALL {
        let viewer = watch(&relay, over, &[]);
        let mut publisher = publish(&relay, over, &["--group-frames", "1"]);
        publisher.write(input.as_bytes());
        viewer.says("\n99\n");
        publisher.end().well();
        assert_eq!(viewer.end().well().text(), input, "{over:?}");
    }
}

#[test]
fn whoever_comes_late_begins_with_the_newest_group() {
    let relay = Relay::start();
    let mut publisher = publish(&relay, Over::WebTransport, &["--group-separator", ""]);
    let early = watch(&relay, Over::WebTransport, &[]);
    publisher.write(b"old\n\nkey\n");
    early.says("key\n");

    let late = relay.moq(Over::WebSocket, "subscribe", &["room/alice", "track"]);
    late.says("key\n");
    publisher.write(b"delta\n");
    publisher.end().well();

    assert_eq!(late.end().well().text(), "key\ndelta\n");
    assert_eq!(early.end().well().text(), "old\nkey\ndelta\n");
}

#[test]
fn frames_are_seen_before_their_group_ends() {
    let relay = Relay::start();
    let viewer = watch(&relay, Over::WebTransport, &[]);
    let mut publisher = publish(&relay, Over::WebTransport, &["--group-time", "1h"]);
    for line in ["one\n", "two\n", "three\n"] {
        publisher.write(line.as_bytes());
        viewer.says(line);
    }
}

#[test]
fn a_viewer_leaves_after_as_many_groups_as_it_wants() {
    let relay = Relay::start();
    let viewer = watch(&relay, Over::WebTransport, &["--groups", "2"]);
    let mut publisher = publish(&relay, Over::WebTransport, &["--group-frames", "1"]);
    publisher.write(b"one\ntwo\nthree\n");
    assert_eq!(viewer.end().well().text(), "one\ntwo\n");
}

#[test]
fn what_nobody_waits_for_stays_on_air_as_long_as_asked() {
    let relay = Relay::start();
    let mut publisher = relay.moq(Over::WebTransport, "publish", &["--stay", "10m", "--json", "room/alice", "track"]);
    publisher.write(b"hello\n");
    publisher.close();
    publisher.says("\"end\"");

    let late = relay.moq(Over::WebTransport, "subscribe", &["--wait", "1m", "room/alice", "track"]);
    assert_eq!(late.end().well().text(), "hello\n");
    publisher.signal("INT");
    publisher.end().well();
}

#[test]
fn a_group_can_be_fetched_and_a_frame_of_it() {
    let relay = Relay::start();
    let mut publisher = relay.moq(Over::WebTransport, "publish", &["--json", "--group-separator", "", "room/alice", "track"]);
    publisher.write(b"a\nb\n\nc\nd\n\ne\n");
    publisher.says("\"group\":2");
    let fetch =
        |args: &[&str]| relay.moq(Over::WebTransport, "fetch", &[&["--wait", "1m", "room/alice", "track"], args].concat()).end();

    assert_eq!(fetch(&["1"]).well().text(), "c\nd\n");
    assert_eq!(fetch(&["1", "--frame", "1"]).well().text(), "d\n");
    assert_eq!(fetch(&["0", "--frames", "length"]).well().output, b"\0\0\0\x01a\0\0\0\x01b");
    let line = fetch(&["0", "--frame", "1", "--json"]).well().text();
    assert!(line.starts_with(r#"{"event":"frame","group":0,"frame":1,"size":1,"timestamp_us":"#), "{line}");

    let args = ["--wait", "1s", "room/alice", "track", "17"];
    let missing = relay.moq(Over::WebTransport, "fetch", &args).end();
    assert_eq!((missing.status, missing.text().as_str()), (Some(4), ""), "{}", missing.errors);
    let missing = fetch(&["0", "--frame", "2"]);
    assert_eq!((missing.status, missing.text().as_str()), (Some(4), ""));
    assert!(missing.errors.contains("group 0 has no frame 2, but 2 of them"), "{}", missing.errors);

    let args = ["--wait", "1m", "--frames", "length", "room/alice", "track", "3"];
    let coming = relay.moq(Over::WebTransport, "fetch", &args);
    // The one that the publisher is at goes to nobody who waits for the next.
    assert_eq!(fetch(&["1"]).well().text(), "c\nd\n");
    publisher.write(b"f\n\ng\nh\n\n");
    assert_eq!(coming.end().well().output, b"\0\0\0\x01g\0\0\0\x01h");
}
