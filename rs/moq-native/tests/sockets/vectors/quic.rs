//! The vectors of HTTP/3 and of raw QUIC, over sockets, from a client made by hand.

use moq_lite::transport::{Connection as _, ConnectionError, RecvStream as _, SendStream as _, StreamError};
use moq_native::AnyConnection;
use web_transport_proto::{Capsule, Http3CapsuleReader, VarInt};

use super::Vector;
use crate::{handmade::*, pair::*, stranger::Stranger};

/// What drafts 15 and 16 look for, beside what the vector has.
const WT_ENABLED: (u64, u64) = (0x2c7c_f000, 1);

fn told(vector: &Vector) -> ConnectionError {
    ConnectionError::Closed { code: vector.number("code") as u32, reason: vector.text("reason").to_owned() }
}

#[tokio::test]
async fn every_vector_of_http3() {
    for vector in Vector::of("webtransport-h3") {
        match vector.message.as_str() {
            "uni stream header" => uni_header(&vector.bytes()).await,
            "bidi stream header" => bidi_header(&vector.bytes()).await,
            "datagram prefix" => {
                assert_eq!(varint(vector.number("quarter_stream_id")), vector.bytes());
                datagram(&vector.bytes()).await;
            }
            "CLOSE_WEBTRANSPORT_SESSION capsule" => closes(&vector, &frame(0x00, &vector.bytes())).await,
            "CONNECT stream: DATA frame with close capsule" => closes(&vector, &vector.bytes()).await,
            "server control stream: SETTINGS" => settings(&vector).await,
            "error code mapping" => {
                let (mut server, _) = endpoints().await;
                let (client, mut connection) = session(&mut server).await;
                let (application, wire) = (vector.number("application") as u32, vector.code("http3"));
                assert_eq!(varint(wire), vector.bytes());
                codes(&client.connection, &mut connection, b"\x40\x54\0", application, wire).await;
                // Behind the capsule, QUIC is closed with the mapped code.
                connection.close(application, "");
                assert_eq!(soon(client.closed()).await, wire);
            }
            other => panic!("{other}"),
        }
    }
}

async fn uni_header(bytes: &[u8]) {
    let (mut server, _) = endpoints().await;
    let (client, mut connection) = session(&mut server).await;
    let mut stream = client.connection.open_uni().await.unwrap();
    stream.write_all(&[bytes, b"hi"].concat()).await.unwrap();
    let mut arrived = soon(accept_uni(&mut connection)).await;
    assert_eq!(soon(read(&mut arrived)).await.unwrap(), b"hi");

    let mut ours = open_uni_with(&mut connection, b"hi").await;
    ours.finish().unwrap();
    let _control = soon(client.connection.accept_uni()).await.unwrap();
    let mut heard = soon(client.connection.accept_uni()).await.unwrap();
    assert_eq!(soon(heard.read_to_end(64)).await.unwrap(), [bytes, b"hi"].concat());
}

/// The vector is of session 4: nobody here hears it. Session 0 has the same spelling but for its number.
async fn bidi_header(bytes: &[u8]) {
    let (mut server, _) = endpoints().await;
    let (client, mut connection) = session(&mut server).await;
    let (kind, session) = bytes.split_at(2);
    assert_eq!(session, varint(4));
    let ours = [kind, &varint(0)].concat();
    let (mut others, _kept) = client.connection.open_bi().await.unwrap();
    others.write_all(&[bytes, b"others"].concat()).await.unwrap();
    let (mut stream, _answer) = client.connection.open_bi().await.unwrap();
    stream.write_all(&[&ours[..], b"hi"].concat()).await.unwrap();
    let (_send, mut arrived) = soon(accept_bi(&mut connection)).await;
    assert_eq!(soon(read(&mut arrived)).await.unwrap(), b"hi");

    let (mut send, _recv) = open_bi(&mut connection).await;
    write(&mut send, [b"hi"[..].into()]).await.unwrap();
    send.finish().unwrap();
    let (_send, mut heard) = soon(client.connection.accept_bi()).await.unwrap();
    assert_eq!(soon(heard.read_to_end(64)).await.unwrap(), [&ours[..], b"hi"].concat());
}

/// As with bidirectional streams.
async fn datagram(bytes: &[u8]) {
    let (mut server, _) = endpoints().await;
    let (client, mut connection) = session(&mut server).await;
    for prefix in [bytes, &varint(0)] {
        client.connection.send_datagram([prefix, b"hi", prefix].concat().into()).unwrap();
    }
    let heard = soon(std::future::poll_fn(|cx| connection.poll_recv_datagram(cx))).await.unwrap();
    assert_eq!(heard, b"hi\0"[..], "the other one was of session 4");

    assert!(connection.send_datagram(b"hi"[..].into()));
    assert_eq!(soon(client.connection.read_datagram()).await.unwrap(), b"\0hi"[..]);
}

async fn closes(vector: &Vector, stream: &[u8]) {
    let (mut server, _) = endpoints().await;
    let (mut client, mut connection) = session(&mut server).await;
    client.send.write_all(stream).await.unwrap();
    assert_eq!(soon(closed(&mut connection)).await, told(vector));

    let (code, reason) = (vector.number("code") as u32, vector.text("reason"));
    let (mut client, connection) = session(&mut server).await;
    connection.close(code, reason);
    assert_eq!(soon(client.recv.read_to_end(64)).await.unwrap(), stream, "and then the end");

    // Whoever asks is told the same by the reader that other peers have.
    let mut capsules = Http3CapsuleReader::new(stream);
    let expected = Capsule::CloseWebTransportSession { code, reason: reason.to_owned() };
    assert_eq!(capsules.read().await.unwrap(), Some(expected));
}

async fn settings(vector: &Vector) {
    let (mut server, _) = endpoints().await;
    let bytes = vector.bytes();
    let (mut client, incoming) = knock(&mut server, async |client| {
        client.control.write_all(&bytes).await.unwrap();
        client.send.write_all(&frame(0x01, &section(&fields("/room")))).await.unwrap();
    })
    .await;
    let _connection = soon(incoming.accept()).await.unwrap();
    assert_eq!(soon(client.answer()).await.status, 200);

    let mut ours = soon(client.connection.accept_uni()).await.unwrap();
    let mut head = [0; 3];
    soon(ours.read_exact(&mut head)).await.unwrap();
    assert_eq!(head[..2], bytes[..2]);
    let mut payload = vec![0; head[2].into()];
    soon(ours.read_exact(&mut payload)).await.unwrap();
    // No order is the right one.
    let sorted = |mut pairs: Vec<(u64, u64)>| {
        pairs.sort_unstable();
        pairs
    };
    let mut expected = vector.table("settings");
    assert_eq!(sorted(pairs(&bytes[3..])), sorted(expected.clone()));
    expected.push(WT_ENABLED);
    assert_eq!(sorted(pairs(&payload)), sorted(expected));
}

fn pairs(mut payload: &[u8]) -> Vec<(u64, u64)> {
    let mut pairs = Vec::new();
    while !payload.is_empty() {
        let mut number = || VarInt::decode(&mut payload).unwrap().into_inner();
        pairs.push((number(), number()));
    }
    pairs
}

/// What resets and stops say, from either side to the other. `prefix`: what stands first on a unidirectional stream.
async fn codes(client: &quinn::Connection, server: &mut AnyConnection, prefix: &[u8], application: u32, wire: u64) {
    let wire = quinn::VarInt::from_u64(wire).unwrap();
    let first = [prefix, b"x"].concat();
    for stops in [false, true] {
        let mut theirs = client.open_uni().await.unwrap();
        theirs.write_all(&first).await.unwrap();
        let mut arrived = soon(accept_uni(server)).await;
        assert_eq!(soon(read(&mut arrived)).await.unwrap(), b"x");
        if stops {
            arrived.stop(application);
            assert_eq!(soon(theirs.stopped()).await.unwrap(), Some(wire));
        } else {
            theirs.reset(wire).unwrap();
            assert_eq!(soon(read(&mut arrived)).await, Err(StreamError::Reset(application)));
        }
    }
    for stops in [false, true] {
        let mut ours = open_uni_with(server, b"x").await;
        let mut heard = loop {
            // The control stream of HTTP/3 is another.
            let mut stream = soon(client.accept_uni()).await.unwrap();
            let mut bytes = vec![0; first.len()];
            soon(stream.read_exact(&mut bytes)).await.unwrap();
            if bytes == first {
                break stream;
            }
        };
        if stops {
            heard.stop(wire).unwrap();
            assert_eq!(soon(acked(&mut ours)).await, Err(StreamError::Stopped(application)));
        } else {
            ours.reset(application);
            let reset = soon(heard.read_chunk(1, true)).await.unwrap_err();
            assert_eq!(reset, quinn::ReadError::Reset(wire));
        }
    }
}

/// A client over raw QUIC, and what it is to the server.
async fn raw() -> (moq_native::Server, quinn::Connection, AnyConnection) {
    let (mut server, _) = endpoints().await;
    let stranger = Stranger::of(&server, "moq-lite-05");
    let (client, incoming) = soon(async { tokio::join!(stranger.connect(), arrive(&mut server)) }).await;
    (server, client.unwrap(), soon(incoming.accept()).await.unwrap())
}

#[tokio::test]
async fn every_vector_of_raw_quic() {
    for vector in Vector::of("raw-quic") {
        let (application, wire) = (vector.number("application") as u32, vector.code("quic"));
        assert_eq!(varint(wire), vector.bytes());
        match vector.message.as_str() {
            "stream error code" => {
                let (_server, client, mut connection) = raw().await;
                codes(&client, &mut connection, &[], application, wire).await;
            }
            "session error code" => {
                let (_server, client, connection) = raw().await;
                connection.close(application, "bye");
                let quinn::ConnectionError::ApplicationClosed(close) = soon(client.closed()).await else { panic!() };
                assert_eq!((close.error_code.into_inner(), &close.reason[..]), (wire, &b"bye"[..]));

                let (_server, client, mut connection) = raw().await;
                client.close(quinn::VarInt::from_u64(wire).unwrap(), b"bye");
                let expected = ConnectionError::Closed { code: application, reason: "bye".to_owned() };
                assert_eq!(soon(closed(&mut connection)).await, expected);
            }
            other => panic!("{other}"),
        }
    }
}
