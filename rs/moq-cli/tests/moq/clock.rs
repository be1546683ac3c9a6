//! The clock, from one program to another.

use crate::relay::{Over, Relay};

#[test]
fn a_clock_is_watched_tick_after_tick() {
    let relay = Relay::start();
    for (group, over) in [("minute", Over::WebTransport), ("second", Over::WebSocket)] {
        let ticking = relay.moq(over, "clock publish", &["--interval", "20ms", "--group", group, "clock"]);
        let watching = relay.moq(over, "clock subscribe", &["--wait", "1m", "--count", "60", "clock"]);
        let text = watching.end().well().text();

        let ticks: Vec<&str> = text.lines().collect();
        assert_eq!(ticks.len(), 60);
        assert!(ticks.is_sorted(), "{ticks:?}");
        assert!(ticks.iter().all(|tick| tick.len() == "2026-07-14 12:34:05.250".len()), "{ticks:?}");
        ticking.signal("TERM");
        ticking.end().well();
    }
}

#[test]
fn a_clock_that_stops_ends_for_whoever_watches() {
    let relay = Relay::start();
    let watching = relay.moq(Over::WebTransport, "clock subscribe", &["--wait", "1m", "--json", "clock"]);
    let ticking = relay.moq(Over::WebTransport, "clock publish", &["--interval", "5ms", "clock"]);
    watching.says("\"event\":\"tick\"");
    ticking.signal("INT");
    ticking.end().well();

    let text = watching.end().well().text();
    assert!(text.starts_with("{\"event\":\"connected\""), "{text}");
    assert!(text.lines().skip(1).all(|line| line.contains("\"delay_ms\":")), "{text}");
}
