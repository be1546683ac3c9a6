//! Bytes written by others, for what is between a session and its sockets: every vector is said to a connection that does not
//! know it is a test, and what the connection sees of it is compared; where this side has a spelling of its own for the same,
//! it is made to write it.
//!
//! `transports.json` was computed by an encoder of its own, and holds byte strings published elsewhere. `quic` drives HTTP/3
//! and raw QUIC, `qmux` all that goes over one connection.
//!
//! Every vector is read. What is not written, and why: forms of a frame that only older peers use (STREAM without an offset or a
//! length, DATAGRAM without a length); credit, whose values are the qmux crate's own choice; STREAMS_BLOCKED, which it never
//! says; how several frames share a record; the reason in CONNECTION_CLOSE, which names what the peer did wrong; a stream or a
//! datagram of session 4, because a connection here carries session 0 and writes that number in the same place. Parameters and
//! SETTINGS are compared entry by entry: how many streams this side allows and one setting more are its own.

mod qmux;
mod quic;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Vector {
    version: String,
    message: String,
    fields: Value,
    hex: String,
}

impl Vector {
    /// Those of one transport, in their order.
    fn of(version: &str) -> Vec<Self> {
        all().into_iter().filter(|vector| vector.version == version).collect()
    }

    fn bytes(&self) -> Vec<u8> {
        unhex(&self.hex)
    }

    fn number(&self, name: &str) -> u64 {
        self.fields[name].as_u64().unwrap_or_else(|| panic!("{name} in {}", self.message))
    }

    /// A number that is written in hexadecimal.
    fn code(&self, name: &str) -> u64 {
        from_hex(self.text(name))
    }

    fn text(&self, name: &str) -> &str {
        self.fields[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.message))
    }

    /// Numbers by number, such as settings and parameters.
    fn table(&self, name: &str) -> Vec<(u64, u64)> {
        let table = self.fields[name].as_object().unwrap();
        table.iter().map(|(id, value)| (from_hex(id), value.as_u64().unwrap())).collect()
    }
}

fn all() -> Vec<Vector> {
    serde_json::from_str(include_str!("../vectors/transports.json")).unwrap()
}

fn from_hex(number: &str) -> u64 {
    u64::from_str_radix(number.strip_prefix("0x").unwrap(), 16).unwrap()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn none_goes_missing() {
    let counts = ["webtransport-h3", "raw-quic", "ws-webtransport", "qmux-00", "qmux-01", "qmux-02"]
        .map(|version| (version, Vector::of(version).len()));
    let expected =
        [("webtransport-h3", 14), ("raw-quic", 2), ("ws-webtransport", 8), ("qmux-00", 14), ("qmux-01", 10), ("qmux-02", 1)];
    assert_eq!(counts, expected);
    assert_eq!(all().len(), 49, "a vector of none of these");
}
