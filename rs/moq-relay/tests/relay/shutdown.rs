//! Ending the relay.

use crate::process::{OPEN, Relay};

#[test]
fn a_signal_ends_it_with_0() {
    for signal in ["TERM", "INT"] {
        let mut relay = Relay::start(OPEN);
        relay.signal(signal);

        assert_eq!(relay.wait().code(), Some(0), "SIG{signal}\n{}", relay.log());
        assert!(relay.log().contains(&format!("SIG{signal}")), "{}", relay.log());
    }
}

#[test]
fn an_idle_connection_does_not_hold_the_end_up() {
    let mut relay = Relay::start(OPEN);
    let _idle = std::net::TcpStream::connect(relay.http()).unwrap();
    assert_eq!(relay.get("/").status, 200);
    relay.signal("TERM");

    assert_eq!(relay.wait().code(), Some(0));
}
