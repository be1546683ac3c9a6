//! Each version × transport × scenario: our client on both sides, the relay's own binary between them.
//!
//! A test is one scenario over one transport. In it, every [lane](lanes::LANES) (who publishes in which version, who watches in
//! which) tells the same story at the same time, on sessions of its own. What a version cannot do stands in
//! [`lanes::CANNOT`], and a story says what is seen instead. Every byte that arrives is compared with what was sent.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

#[allow(dead_code, reason = "`relay` uses the rest")]
#[path = "../relay/peer.rs"]
mod peer;
#[allow(dead_code, reason = "`relay` uses the rest")]
#[path = "../relay/process.rs"]
mod process;

mod asked_to_leave;
mod draining;
mod lanes;
mod media;
mod scenarios;

/// A test for each scenario and transport.
macro_rules! table {
    ($($scenario:ident)*) => {$(
        mod $scenario {
            use crate::{lanes::tell, peer::Over, scenarios};

            #[test]
            fn over_webtransport() {
                tell(Over::WebTransport, scenarios::$scenario::story);
            }

            #[test]
            fn over_quic() {
                tell(Over::Quic, scenarios::$scenario::story);
            }

            #[test]
            fn over_websocket() {
                tell(Over::WebSocket, scenarios::$scenario::story);
            }

            #[test]
            fn over_tcp() {
                tell(Over::Tcp, scenarios::$scenario::story);
            }

            #[test]
            fn over_unix() {
                tell(Over::Unix, scenarios::$scenario::story);
            }
        }
    )*};
}

table! { announce late_join update unsubscribe fetch datagram publisher_gone goaway }
