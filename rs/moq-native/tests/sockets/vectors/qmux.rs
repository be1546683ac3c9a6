//! The vectors of qmux and of the framing before it, from a peer whose WebSocket, or socket of bytes, is bare.
//!
//! All of it in memory, on a clock that only moves while everybody waits.

mod bare;

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt as _;
use moq_lite::transport::{Connection as _, ConnectionError, RecvStream as _, SendStream as _, StreamError};
use moq_native::{AnyConnection, backend::qmux};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use tokio_tungstenite::tungstenite::protocol::Role;
use web_transport_proto::VarInt;

use self::bare::*;
use super::Vector;
use crate::{handmade::varint, pair::*};

/// How many streams of either kind this side allows, by the numbers of their parameters.
const OUR_STREAMS: [(u64, u64); 2] = [(0x08, 1088), (0x09, 1024)];

/// After which nothing comes any more; the clock leaps over it.
const MOMENT: Duration = Duration::from_secs(1);

/// The opener's way: what the side under test reads.
async fn stream_is_read(vector: &Vector) {
    let Piece { id, data, fin, .. } = Piece::of(vector);
    let (mut connection, mut bare) = meet(vector, opposite(of_id(id).0), &[]).await;
    bare.say(&vector.bytes()).await;
    let (_send, mut arrived) = accept(&mut connection, id).await;
    assert_eq!(soon(read(&mut arrived)).await.unwrap(), data);
    if fin {
        assert_eq!(soon(read(&mut arrived)).await.unwrap(), b"", "the end");
    } else {
        assert!(timeout(MOMENT, read(&mut arrived)).await.is_err(), "no end");
    }
}

/// The opener's way: what the side under test writes, where it has the same spelling. An end is a frame of its own there.
async fn stream_is_written(vector: &Vector) {
    let Piece { id, offset, data, fin } = Piece::of(vector);
    let (mut connection, mut bare) = meet(vector, of_id(id).0, &[]).await;
    let mut opened = open_up_to(&mut connection, id).await;
    let (send, _) = opened.last_mut().unwrap();
    if offset > 0 {
        write(send, slice(&vec![0; offset as usize])).await.unwrap();
    }
    write(send, slice(&data)).await.unwrap();
    let without_end = stream(vector, id, offset, &data, false);
    let mut bytes = vector.bytes();
    bytes[0] &= !u8::from(fin);
    assert_eq!(without_end, bytes, "the spelling of this side");
    bare.hears(&bytes).await;
    if fin {
        send.finish().unwrap();
        bare.hears(&stream(vector, id, offset + data.len() as u64, b"", true)).await;
    }
}

/// A server's answer on a stream that its client has opened.
async fn answer(vector: &Vector) {
    let Piece { id, data, .. } = Piece::of(vector);
    assert_eq!(data, [&[0x21, 0, 9][..], &varint(vector.number("version")), &[0]].concat());
    let (mut client, mut bare) = meet(vector, Role::Client, &[]).await;
    let (mut send, mut recv) = soon(open_bi(&mut client)).await;
    write(&mut send, slice(b"?")).await.unwrap();
    bare.say(&vector.bytes()).await;
    assert_eq!(soon(read(&mut recv)).await.unwrap(), data);

    let (mut server, mut bare) = meet(vector, Role::Server, &[]).await;
    bare.say(&stream(vector, id, 0, b"?", false)).await;
    let (mut send, _recv) = soon(accept_bi(&mut server)).await;
    write(&mut send, slice(&data)).await.unwrap();
    bare.hears(&vector.bytes()).await;
}

async fn reset(vector: &Vector) {
    let (id, code) = (vector.number("id"), vector.number("code") as u32);
    let (mut server, mut bare) = meet(vector, Role::Server, &[]).await;
    bare.say(&stream(vector, id, 0, b"x", false)).await;
    let (_send, mut arrived) = accept(&mut server, id).await;
    assert_eq!(soon(read(&mut arrived)).await.unwrap(), b"x");
    bare.say(&vector.bytes()).await;
    assert_eq!(soon(read(&mut arrived)).await, Err(StreamError::Reset(code)));

    let (mut client, mut bare) = meet(vector, Role::Client, &[]).await;
    let mut opened = open_up_to(&mut client, id).await;
    let (send, _) = opened.last_mut().unwrap();
    let sent = vec![0; vector.fields.get("final_size").map_or(1, |size| size.as_u64().unwrap()) as usize];
    write(send, slice(&sent)).await.unwrap();
    // What has not left yet would not count.
    bare.hears(&stream(vector, id, 0, &sent, false)).await;
    send.reset(code);
    bare.hears(&vector.bytes()).await;
}

async fn stop(vector: &Vector) {
    let (id, code) = (vector.number("id"), vector.number("code") as u32);
    for says in [true, false] {
        let (mut server, mut bare) = meet(vector, Role::Server, &[]).await;
        bare.say(&stream(vector, id, 0, b"x", false)).await;
        let (send, mut recv) = accept(&mut server, id).await;
        if says {
            bare.say(&vector.bytes()).await;
            assert_eq!(soon(acked(&mut send.unwrap())).await, Err(StreamError::Stopped(code)));
        } else {
            recv.stop(code);
            bare.hears(&vector.bytes()).await;
        }
    }
}

async fn application_close(vector: &Vector) {
    let (code, reason) = (vector.number("code") as u32, vector.text("reason"));
    let (mut server, mut bare) = meet(vector, Role::Server, &[]).await;
    bare.say(&vector.bytes()).await;
    assert_eq!(soon(closed(&mut server)).await, ConnectionError::Closed { code, reason: reason.to_owned() });

    let (server, mut bare) = meet(vector, Role::Server, &[]).await;
    server.close(code, reason);
    bare.hears(&vector.bytes()).await;
}

/// Is no close that the application has chosen. This side says it of what it cannot read, with a reason of its own.
async fn connection_close(vector: &Vector) {
    let (mut server, mut bare) = meet(vector, Role::Server, &[]).await;
    bare.say(&vector.bytes()).await;
    let ConnectionError::Lost(reason) = soon(closed(&mut server)).await else { panic!("taken for a close of the session") };
    assert!(reason.contains(vector.text("reason")), "{reason}");

    let (_server, mut bare) = meet(vector, Role::Server, &[]).await;
    bare.say(&[0x3f, 0]).await;
    let number = varint(1002);
    bare.hears(&[&[0x1c][..], &number].concat()).await;
}

/// Two bytes may leave, by the parameter `kind`; after the vector, what it says in all.
async fn credit(vector: &Vector, kind: u64, id: u64) {
    let max = vector.number("max") as usize;
    // Whatever else has a limit has a higher one.
    let mut changes = vec![(0x04, 1 << 30), (0x06, 1 << 30), (0x07, 1 << 30)];
    changes.push((kind, 2));
    let (mut client, mut bare) = meet(vector, Role::Client, &changes).await;
    let mut opened = open_up_to(&mut client, id).await;
    let (send, _) = opened.last_mut().unwrap();
    let allowing = async {
        bare.hears(&stream(vector, id, 0, b"he", false)).await;
        bare.say(&vector.bytes()).await;
        bare.hears(&stream(vector, id, 2, b"llo", false)).await;
    };
    let (written, ()) = tokio::join!(write(send, slice(b"hello")), allowing);
    written.unwrap();

    let listening = async { while bare.socket.next().await.is_some() {} };
    let writing = async {
        soon(write(send, slice(&vec![7; max - 5]))).await.unwrap();
        assert!(timeout(MOMENT, write(send, slice(b"!"))).await.is_err(), "{max} bytes and no more");
    };
    tokio::select! {
        () = writing => {}
        () = listening => panic!("the connection ended"),
    }
}

/// As many streams as the peer allows, and not one more.
async fn opens(connection: &mut AnyConnection, count: u64, one_way: bool) {
    let _opened = open_up_to(connection, (count - 1) << 2 | u64::from(one_way) << 1).await;
    let mut context = Context::from_waker(Waker::noop());
    let is_pending = if one_way {
        pin!(open_uni(connection)).poll(&mut context).is_pending()
    } else {
        pin!(open_bi(connection)).poll(&mut context).is_pending()
    };
    assert!(is_pending, "stream {count} is one too many");
}

async fn datagram(vector: &Vector) {
    let data = vector.text("data").as_bytes();
    let (mut server, mut bare) = meet(vector, Role::Server, &[]).await;
    bare.say(&vector.bytes()).await;
    assert_eq!(soon(poll_fn(|cx| server.poll_recv_datagram(cx))).await.unwrap(), data);
    if vector.message == "DATAGRAM" {
        assert!(server.send_datagram(Bytes::copy_from_slice(data)));
        bare.hears(&vector.bytes()).await;
    }
}

/// `request` and `response` are of the same sequence. Each is said, and each is heard.
async fn ping(vector: &Vector) {
    let sequence = varint(vector.number("sequence"));
    let other = |kind: u64| [varint(kind), sequence.clone()].concat();
    let (server, mut bare) = meet(vector, Role::Server, &[]).await;
    if vector.message == "QX_PING request" {
        bare.say(&vector.bytes()).await;
        bare.hears(&other(0x348c_6752_9ef8_c7be)).await;
        bare.hears(&vector.bytes()).await;
    } else {
        bare.hears(&other(0x348c_6752_9ef8_c7bd)).await;
        assert_eq!(server.stats().rtt, None, "nothing was answered yet");
        bare.say(&vector.bytes()).await;
        bare.say(&other(0x348c_6752_9ef8_c7bd)).await;
        bare.hears(&vector.bytes()).await;
        assert!(server.stats().rtt.is_some(), "the answer was in front of that question");
    }
}

/// Parameters by number, out of a frame of nothing else.
fn parameters(mut frame: &[u8]) -> BTreeMap<u64, Vec<u8>> {
    let number = |frame: &mut &[u8]| VarInt::decode(frame).unwrap().into_inner();
    assert_eq!(number(&mut frame), PARAMETERS);
    let length = number(&mut frame) as usize;
    let mut payload = &frame[..length];
    let mut parameters = BTreeMap::new();
    while !payload.is_empty() {
        let (id, length) = (number(&mut payload), number(&mut payload) as usize);
        let (value, rest) = payload.split_at(length);
        assert!(parameters.insert(id, value.to_vec()).is_none(), "{id:#x} twice");
        payload = rest;
    }
    parameters
}

/// What this side says where the vector's author says `frame`: only how many streams is another matter.
fn with_our_streams(frame: &[u8]) -> BTreeMap<u64, Vec<u8>> {
    let mut expected = parameters(frame);
    expected.extend(OUR_STREAMS.map(|(id, value)| (id, varint(value))));
    expected
}

async fn transport_parameters(vector: &Vector) {
    let (allowed, bytes) = (vector.table("params"), vector.bytes());
    let of = |id| allowed.iter().find(|(known, _)| *known == id).map(|(_, value)| *value);
    for one_way in [false, true] {
        let (mut client, mut bare) = meet_silent(vector, Role::Client).await;
        bare.say(&bytes).await;
        opens(&mut client, of(if one_way { 0x09 } else { 0x08 }).unwrap(), one_way).await;
        assert_eq!(client.max_datagram_size().is_some(), of(0x20).is_some());
    }

    let (_server, mut bare) = meet_silent(vector, Role::Server).await;
    let said = soon(bare.socket.next()).await.unwrap().unwrap().into_data();
    let mut said = parameters(&said);
    if vector.version == "qmux-00" {
        // Newer than the peer that the vector is of, which ignores what it does not know.
        said.retain(|id, _| of(*id).is_some());
    }
    assert_eq!(said, with_our_streams(&bytes));
}

async fn first_record(vector: &Vector) {
    let bytes = vector.bytes();
    let protocols: Vec<String> =
        vector.fields["protocols"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    let (here, mut there) = tokio::io::duplex(1 << 16);
    there.write_all(&bytes).await.unwrap();
    let mut server = AnyConnection::from(soon(qmux::accept_bytes(here, &protocols[..1], None)).await.unwrap());
    assert_eq!(server.protocol(), Some(protocols[0].as_str()));
    opens(&mut server, 100, false).await;
    opens(&mut server, 100, true).await;

    let (here, mut there) = tokio::io::duplex(1 << 16);
    let hear = async {
        let length = VarInt::read(&mut there).await.unwrap().into_inner();
        let mut record = vec![0; length as usize];
        there.read_exact(&mut record).await.unwrap();
        // Nobody answers.
        drop(there);
        record
    };
    let (refused, record) = soon(async { tokio::join!(qmux::connect_bytes(here, &protocols, None), hear) }).await;
    assert!(refused.is_err());
    assert_eq!(record.len() as u64, vector.number("record_size"));
    assert_eq!(parameters(&record), with_our_streams(&bytes[2..]));
}

/// One message, and each of its three frames has its effect. Two bytes may be sent before it, as [`credit`] has it.
async fn three_frames(vector: &Vector) {
    let (mut server, mut bare) = meet(vector, Role::Server, &[(0x04, 2)]).await;
    bare.say(&vector.bytes()).await;
    let (mut send, mut recv) = soon(accept_bi(&mut server)).await;
    assert_eq!(soon(read(&mut recv)).await.unwrap(), b"hello");
    assert!(timeout(MOMENT, read(&mut recv)).await.is_err(), "no end");
    bare.hears(b"\xf4\x8c\x67\x52\x9e\xf8\xc7\xbe\x2a").await;
    soon(write(&mut send, slice(&[7; 1024]))).await.unwrap();
    bare.hears(&[7; 512]).await;
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(write(&mut send, slice(b"!"))).poll(&mut context).is_pending(), "1024 bytes and no more");
}

async fn drive(vector: &Vector) {
    match vector.message.as_str() {
        "STREAM(no OFF)" | "STREAM(no OFF, no LEN)" => stream_is_read(vector).await,
        "STREAM" => {
            stream_is_read(vector).await;
            stream_is_written(vector).await;
        }
        "ws message: server answers on stream 0" => answer(vector).await,
        message if message.starts_with("ws message: ") => {
            stream_is_read(vector).await;
            stream_is_written(vector).await;
        }
        "RESET_STREAM" => reset(vector).await,
        "STOP_SENDING" => stop(vector).await,
        "MAX_DATA" => credit(vector, 0x04, 2).await,
        "MAX_STREAM_DATA" => credit(vector, 0x06, vector.number("id")).await,
        message @ ("MAX_STREAMS_BIDI" | "MAX_STREAMS_UNI") => {
            let one_way = message == "MAX_STREAMS_UNI";
            let (mut client, mut bare) = meet(vector, Role::Client, &[(if one_way { 0x09 } else { 0x08 }, 0)]).await;
            bare.say(&vector.bytes()).await;
            opens(&mut client, vector.number("max"), one_way).await;
        }
        "STREAMS_BLOCKED_UNI" => {
            let (mut server, mut bare) = meet(vector, Role::Server, &[]).await;
            assert_eq!(vector.bytes(), [vec![0x17], varint(vector.number("limit"))].concat());
            bare.say(&vector.bytes()).await;
            bare.say(&stream(vector, 2, 0, b"x", false)).await;
            assert_eq!(soon(read(&mut soon(accept_uni(&mut server)).await)).await.unwrap(), b"x");
        }
        "APPLICATION_CLOSE" => application_close(vector).await,
        "CONNECTION_CLOSE" => connection_close(vector).await,
        "DATAGRAM" | "DATAGRAM(no length)" => datagram(vector).await,
        "QX_PING request" | "QX_PING response" => ping(vector).await,
        "QX_TRANSPORT_PARAMETERS" => transport_parameters(vector).await,
        "tcp record: first record with application_protocols" => first_record(vector).await,
        "record with three frames" => three_frames(vector).await,
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_vector_of_the_framing_before_qmux() {
    for vector in Vector::of("ws-webtransport") {
        drive(&vector).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_vector_of_qmux() {
    for vector in ["qmux-00", "qmux-01", "qmux-02"].into_iter().flat_map(Vector::of) {
        drive(&vector).await;
    }
}
