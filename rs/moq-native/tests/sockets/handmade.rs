//! A client of HTTP/3 made by hand, so that it can do what no library would.

use moq_native::{AnyConnection, Incoming, Server};
use web_transport_proto::{Capsule, ConnectResponse, VarInt};

use crate::{
    pair::{arrive, soon},
    stranger::Stranger,
};

/// What moq-cli and others of its family say of themselves, with a reserved setting.
pub(crate) const SETTINGS: [(u64, u64); 4] = [(0x21, 7), (0x33, 1), (0x08, 1), (0xc671_706a, 1)];

/// A connection over which HTTP/3 is spoken.
pub(crate) struct Handmade {
    pub(crate) connection: quinn::Connection,
    pub(crate) control: quinn::SendStream,
    /// The CONNECT stream.
    pub(crate) send: quinn::SendStream,
    pub(crate) recv: quinn::RecvStream,
}

impl Handmade {
    /// QUIC, and two streams of which the server hears once something is written. The server has to wait for peers meanwhile.
    pub(crate) async fn connect(stranger: &Stranger) -> Self {
        let connection = stranger.connect().await.unwrap();
        let control = connection.open_uni().await.unwrap();
        let (send, recv) = connection.open_bi().await.unwrap();
        Self { connection, control, send, recv }
    }

    /// Says what every client does, and asks for `path`.
    pub(crate) async fn ask(&mut self, path: &str) {
        self.control.write_all(&control(&SETTINGS)).await.unwrap();
        self.send.write_all(&frame(0x01, &section(&fields(path)))).await.unwrap();
    }

    pub(crate) async fn answer(&mut self) -> ConnectResponse {
        ConnectResponse::read(&mut self.recv).await.unwrap()
    }

    /// The number that the server closes the connection with.
    pub(crate) async fn closed(&self) -> u64 {
        match self.connection.closed().await {
            quinn::ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
            other => panic!("{other}"),
        }
    }
}

/// A client as `ask` has it, and what its server is told.
pub(crate) async fn knock(server: &mut Server, ask: impl AsyncFnOnce(&mut Handmade)) -> (Handmade, Incoming) {
    let stranger = Stranger::of(server, "h3");
    let client = async {
        let mut client = Handmade::connect(&stranger).await;
        ask(&mut client).await;
        client
    };
    soon(async { tokio::join!(client, arrive(server)) }).await
}

/// An ordinary session, both ends.
pub(crate) async fn session(server: &mut Server) -> (Handmade, AnyConnection) {
    let (mut client, incoming) = knock(server, async |client| client.ask("/room").await).await;
    let connection = soon(incoming.accept()).await.unwrap();
    soon(client.answer()).await;
    (client, connection)
}

pub(crate) fn varint(number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    VarInt::from_u64(number).unwrap().encode(&mut bytes);
    bytes
}

pub(crate) fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    [varint(kind), varint(payload.len() as u64), payload.to_vec()].concat()
}

/// A control stream from its type on.
pub(crate) fn control(settings: &[(u64, u64)]) -> Vec<u8> {
    let payload: Vec<u8> = settings.iter().flat_map(|(id, value)| [varint(*id), varint(*value)].concat()).collect();
    [varint(0x00), frame(0x04, &payload)].concat()
}

/// What a browser puts into a CONNECT.
pub(crate) fn fields(path: &str) -> Vec<(&str, &str)> {
    vec![
        (":method", "CONNECT"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", path),
        (":protocol", "webtransport"),
        ("sec-webtransport-http3-draft02", "1"),
        ("origin", "https://example.com"),
    ]
}

/// Fields as literals: no table, no code.
pub(crate) fn section(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in fields {
        text(&mut section, 0b0010_0000, 3, name);
        text(&mut section, 0, 7, value);
    }
    section
}

/// A text behind its length, which begins in the low `bits` of a byte whose other bits are `flags`.
fn text(section: &mut Vec<u8>, flags: u8, bits: u8, text: &str) {
    let most = (1_usize << bits) - 1;
    if text.len() < most {
        section.push(flags | text.len() as u8);
    } else {
        section.push(flags | most as u8);
        let mut rest = text.len() - most;
        while rest >= 128 {
            section.push(rest as u8 | 128);
            rest >>= 7;
        }
        section.push(rest as u8);
    }
    section.extend(text.as_bytes());
}

pub(crate) fn capsule(code: u32, reason: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    Capsule::CloseWebTransportSession { code, reason: reason.to_owned() }.encode(&mut bytes);
    bytes
}
