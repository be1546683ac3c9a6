//! The peer whose bytes are a test's own, and the frames that it needs beside the vectors.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use moq_native::{AnyConnection, AnyRecvStream, AnySendStream, backend::qmux};
use tokio::io::DuplexStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use super::super::{Vector, unhex};
use crate::{handmade::varint, pair::*};

/// The type of a QX_TRANSPORT_PARAMETERS frame.
pub(super) const PARAMETERS: u64 = 0x3f51_5330_0d0a_0d0a;

/// What somebody allows who is in nobody's way.
const AMPLE: [(u64, u64); 7] =
    [(0x04, 1 << 20), (0x05, 1 << 18), (0x06, 1 << 18), (0x07, 1 << 18), (0x08, 100), (0x09, 100), (0x20, 16382)];

/// The other end of a connection, which says and hears bytes.
pub(super) struct Bare {
    pub(super) socket: WebSocketStream<DuplexStream>,
    /// What came and was not asked for yet.
    heard: Vec<u8>,
}

impl Bare {
    pub(super) async fn say(&mut self, message: &[u8]) {
        self.socket.send(Message::Binary(Bytes::copy_from_slice(message))).await.unwrap();
    }

    /// Waits for these bytes, wherever they stand.
    pub(super) async fn hears(&mut self, bytes: &[u8]) {
        loop {
            if let Some(at) = self.heard.windows(bytes.len()).position(|window| window == bytes) {
                self.heard.drain(..at + bytes.len());
                return;
            }
            match soon(self.socket.next()).await {
                Some(Ok(message)) => self.heard.extend(message.into_data()),
                _ => panic!("{bytes:02x?} never came, but {:02x?}", self.heard),
            }
        }
    }
}

fn subprotocol(vector: &Vector) -> &'static str {
    match vector.version.as_str() {
        "ws-webtransport" => "webtransport",
        "qmux-00" => "qmux-00.moq-lite-05",
        "qmux-01" => "qmux-01.moq-lite-05",
        "qmux-02" => "qmux-02",
        other => panic!("{other}"),
    }
}

/// The side under test, as `Role`, and its bare peer, who has said nothing.
pub(super) async fn meet_silent(vector: &Vector, role: Role) -> (AnyConnection, Bare) {
    let (here, there) = tokio::io::duplex(1 << 20);
    let subprotocol = Some(subprotocol(vector));
    let connection = match role {
        Role::Server => qmux::accept_upgraded(here, subprotocol).await,
        Role::Client => qmux::connect(WebSocketStream::from_raw_socket(here, role, None).await, subprotocol),
    };
    let socket = WebSocketStream::from_raw_socket(there, opposite(role), None).await;
    (connection.into(), Bare { socket, heard: Vec::new() })
}

/// The same; the peer allows what is [`AMPLE`], but for `changes`.
pub(super) async fn meet(vector: &Vector, role: Role, changes: &[(u64, u64)]) -> (AnyConnection, Bare) {
    let (connection, mut bare) = meet_silent(vector, role).await;
    if vector.version != "ws-webtransport" {
        let allowed: BTreeMap<u64, u64> = AMPLE.iter().chain(changes).copied().collect();
        let payload: Vec<u8> = allowed
            .into_iter()
            .flat_map(|(id, value)| [varint(id), varint(varint(value).len() as u64), varint(value)].concat())
            .collect();
        bare.say(&[varint(PARAMETERS), varint(payload.len() as u64), payload].concat()).await;
    }
    (connection, bare)
}

/// A STREAM frame as this side spells it.
pub(super) fn stream(vector: &Vector, id: u64, offset: u64, data: &[u8], fin: bool) -> Vec<u8> {
    let head = match vector.version.as_str() {
        "ws-webtransport" => [vec![0x08 | u8::from(fin)], varint(id)].concat(),
        _ => [vec![0x0e | u8::from(fin)], varint(id), varint(offset), varint(data.len() as u64)].concat(),
    };
    [head, data.to_vec()].concat()
}

/// Who opens stream `id`, and whether it runs one way.
pub(super) fn of_id(id: u64) -> (Role, bool) {
    (if id & 1 == 0 { Role::Client } else { Role::Server }, id & 2 != 0)
}

pub(super) fn opposite(role: Role) -> Role {
    if role == Role::Client { Role::Server } else { Role::Client }
}

/// Streams of one kind up to the one with `id`, which comes last.
pub(super) async fn open_up_to(connection: &mut AnyConnection, id: u64) -> Vec<(AnySendStream, Option<AnyRecvStream>)> {
    let mut opened = Vec::new();
    for _ in 0..=id >> 2 {
        opened.push(if of_id(id).1 {
            (soon(open_uni(connection)).await, None)
        } else {
            let (send, recv) = soon(open_bi(connection)).await;
            (send, Some(recv))
        });
    }
    opened
}

pub(super) async fn accept(connection: &mut AnyConnection, id: u64) -> (Option<AnySendStream>, AnyRecvStream) {
    if of_id(id).1 {
        return (None, soon(accept_uni(connection)).await);
    }
    let (send, recv) = soon(accept_bi(connection)).await;
    (Some(send), recv)
}

pub(super) fn slice(bytes: &[u8]) -> [Bytes; 1] {
    [Bytes::copy_from_slice(bytes)]
}

/// What is on a stream, and where.
pub(super) struct Piece {
    pub(super) id: u64,
    pub(super) offset: u64,
    pub(super) data: Vec<u8>,
    pub(super) fin: bool,
}

impl Piece {
    pub(super) fn of(vector: &Vector) -> Self {
        let fields = &vector.fields;
        Self {
            id: fields.get("id").or(fields.get("stream")).unwrap().as_u64().unwrap(),
            offset: fields.get("offset").map_or(0, |offset| offset.as_u64().unwrap()),
            data: fields.get("data").map_or_else(
                || fields.get("payload").map_or(vector.bytes()[2..].to_vec(), |hex| unhex(hex.as_str().unwrap())),
                |text| text.as_str().unwrap().into(),
            ),
            fin: fields.get("fin").is_some_and(|fin| fin.as_bool().unwrap()),
        }
    }
}
