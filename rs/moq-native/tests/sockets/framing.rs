//! What is made of frames as shipped peers spell them: byte for byte, over a WebSocket whose client is bare.

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use moq_lite::transport::{ConnectionError, StreamError};
use moq_native::{AnyConnection, backend::qmux};
use tokio::io::DuplexStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::pair::*;

/// The parameters of a browser: a megabyte in all, 256 KiB a stream, a hundred streams of each kind.
const PARAMETERS: &[u8] =
    b"\xff\x51\x53\x30\x0d\x0a\x0d\x0a\x20\x04\x04\x80\x10\0\0\x05\x04\x80\x04\0\0\x06\x04\x80\x04\0\0\x07\x04\x80\x04\0\0\x08\x02\x40\x64\x09\x02\x40\x64";

const FRAMINGS: [&str; 3] = ["qmux-00.moq-lite-05", "qmux-01.moq-lite-05", "qmux-02"];

/// A server's connection, and the client's bare socket.
async fn meet(subprotocol: &str) -> (AnyConnection, WebSocketStream<DuplexStream>) {
    let (here, there) = tokio::io::duplex(1 << 20);
    let served = qmux::accept_upgraded(here, Some(subprotocol));
    let (served, client) = tokio::join!(served, WebSocketStream::from_raw_socket(there, Role::Client, None));
    (served.into(), client)
}

async fn say(client: &mut WebSocketStream<DuplexStream>, message: &[u8]) {
    client.send(Message::Binary(Bytes::copy_from_slice(message))).await.unwrap();
}

/// A STREAM frame of any of its eight forms.
fn stream(form: u8, id: u8, data: &[u8]) -> Vec<u8> {
    // No peer may count on an offset: old ones leave it out, and some begin anew with each frame.
    let offset: &[u8] = if form & 4 == 0 { &[] } else { &[0x2a] };
    let length: &[u8] = if form & 2 == 0 { &[] } else { &[data.len() as u8] };
    [&[form, id], offset, length, data].concat()
}

#[tokio::test]
async fn every_form_of_stream_is_read_also_a_byte_at_a_time() {
    for framing in FRAMINGS {
        let (mut server, mut client) = meet(framing).await;
        say(&mut client, PARAMETERS).await;
        for (number, form) in [0x08, 0x0a, 0x0c, 0x0e].into_iter().enumerate() {
            let id = 2 + 4 * number as u8;
            for byte in b"hell" {
                say(&mut client, &stream(form, id, &[*byte])).await;
            }
            say(&mut client, &stream(form | 1, id, b"o")).await;
            let mut arrived = soon(accept_uni(&mut server)).await;
            assert_eq!(soon(read_to_end(&mut arrived)).await.unwrap(), b"hello", "{framing}: {form:#x}");
        }
    }
}

#[tokio::test]
async fn a_reset_that_counts_nothing_is_one() {
    for framing in FRAMINGS {
        let (mut server, mut client) = meet(framing).await;
        say(&mut client, PARAMETERS).await;
        say(&mut client, &stream(0x0e, 2, b"begun")).await;
        let mut arrived = soon(accept_uni(&mut server)).await;
        assert_eq!(soon(read(&mut arrived)).await.unwrap(), b"begun", "{framing}");
        say(&mut client, &[0x04, 2, 0x2a, 0]).await;
        assert_eq!(soon(read(&mut arrived)).await, Err(StreamError::Reset(42)), "{framing}");
    }
}

#[tokio::test]
async fn the_oldest_framing_is_one_frame_a_message() {
    let (mut server, mut client) = meet("webtransport").await;
    say(&mut client, b"\x08\x02h").await;
    say(&mut client, b"\x09\x02i").await;
    let mut whole = soon(accept_uni(&mut server)).await;
    assert_eq!(soon(read_to_end(&mut whole)).await.unwrap(), b"hi");
    say(&mut client, b"\x08\x06h").await;
    let mut cut = soon(accept_uni(&mut server)).await;
    assert_eq!(soon(read(&mut cut)).await.unwrap(), b"h");
    say(&mut client, b"\x04\x06\x2a").await;
    assert_eq!(soon(read(&mut cut)).await, Err(StreamError::Reset(42)));
    say(&mut client, b"\x1d\x2abye").await;
    assert_eq!(soon(closed(&mut server)).await, ConnectionError::Closed { code: 42, reason: "bye".into() });
}

/// The next message that holds `bytes`.
async fn hears(client: &mut WebSocketStream<DuplexStream>, bytes: &[u8]) -> bool {
    while let Some(Ok(message)) = client.next().await {
        if message.into_data().windows(bytes.len()).any(|window| window == bytes) {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn a_ping_is_answered_and_padding_passed_over() {
    for framing in &FRAMINGS[1..] {
        let (_server, mut client) = meet(framing).await;
        say(&mut client, PARAMETERS).await;
        say(&mut client, b"\0\0\xf4\x8c\x67\x52\x9e\xf8\xc7\xbd\x01").await;
        assert!(soon(hears(&mut client, b"\xf4\x8c\x67\x52\x9e\xf8\xc7\xbe\x01")).await, "{framing}");
    }
}

/// A browser is told why, and what an old one says last is a close whatever stands behind its type.
#[tokio::test]
async fn a_frame_that_nobody_knows_ends_the_connection_and_so_does_a_close_of_any_spelling() {
    for framing in FRAMINGS {
        let (_server, mut client) = meet(framing).await;
        say(&mut client, PARAMETERS).await;
        say(&mut client, &[0x3f, 0]).await;
        assert!(soon(hears(&mut client, b"\x1c\x43\xea")).await, "{framing}: 1002");

        for (close, expected) in [(&b"\x1d\x03\x03bye"[..], Some((3, "bye"))), (b"\x1d\x03\0\x03bye", None)] {
            let (mut server, mut client) = meet(framing).await;
            say(&mut client, PARAMETERS).await;
            say(&mut client, close).await;
            let ended = soon(closed(&mut server)).await;
            if let Some((code, reason)) = expected {
                assert_eq!(ended, ConnectionError::Closed { code, reason: reason.into() }, "{framing}");
            }
        }
    }
}
