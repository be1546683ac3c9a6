//! How a session over HTTP/3 ends, seen by a peer made by hand.

use moq_lite::transport::{Connection as _, ConnectionError};
use web_transport_proto::{Capsule, Http3CapsuleReader, error_to_http3};

use crate::{handmade::*, pair::*};

fn told(code: u32, reason: &str) -> ConnectionError {
    ConnectionError::Closed { code, reason: reason.to_owned() }
}

#[tokio::test]
async fn a_capsule_says_why_however_it_is_cut() {
    let (mut server, _) = endpoints().await;
    let whole = capsule(4242, "enough");
    let unknown = [varint(0x1234), varint(3), b"abc".to_vec()].concat();
    for bytes in [
        frame(0x00, &whole),
        whole.iter().flat_map(|byte| frame(0x00, &[*byte])).collect(),
        [frame(0x21, b"reserved"), frame(0x00, &unknown), frame(0x00, &[]), frame(0x00, &whole)].concat(),
        frame(0x00, &[unknown, whole].concat()),
    ] {
        let (mut client, mut connection) = session(&mut server).await;
        client.send.write_all(&bytes).await.unwrap();
        assert_eq!(soon(closed(&mut connection)).await, told(4242, "enough"));
        assert_eq!(soon(client.closed()).await, error_to_http3(4242));
        connection.close(7, "too late");
        assert_eq!(soon(closed(&mut connection)).await, told(4242, "enough"));
    }
}

#[tokio::test]
async fn an_end_without_a_capsule_is_code_0() {
    let (mut server, _) = endpoints().await;
    for place in 0..5 {
        let (mut client, mut connection) = session(&mut server).await;
        match place {
            0 => client.send.finish().unwrap(),
            1 => client.send.reset(7_u32.into()).unwrap(),
            // Capsules and frames that can be none.
            2 => client.send.write_all(&frame(0x00, &[varint(0x2843), varint(2), vec![0, 0]].concat())).await.unwrap(),
            3 => client.send.write_all(&frame(0x00, &[varint(0x1234), varint(1 << 40)].concat())).await.unwrap(),
            _ => {
                client.send.write_all(&[0x00]).await.unwrap();
                client.send.finish().unwrap();
            }
        }
        if place == 2 {
            client.send.finish().unwrap();
        }
        assert_eq!(soon(closed(&mut connection)).await, told(0, ""), "{place}");
        assert_eq!(soon(client.closed()).await, error_to_http3(0), "{place}");
    }
}

#[tokio::test]
async fn a_peer_is_told_why_and_may_answer() {
    let (mut server, _) = endpoints().await;
    for answers in [true, false] {
        let (mut client, mut connection) = session(&mut server).await;
        connection.close(4242, "enough");
        connection.close(1, "again");

        let mut capsules = Http3CapsuleReader::new(client.recv);
        let first = soon(capsules.read()).await.unwrap();
        assert_eq!(first, Some(Capsule::CloseWebTransportSession { code: 4242, reason: "enough".to_owned() }));
        assert_eq!(soon(capsules.read()).await.unwrap(), None, "nothing comes after it");
        if answers {
            client.send.finish().unwrap();
        }
        // Whoever says nothing is left all the same.
        let quinn::ConnectionError::ApplicationClosed(close) = soon(client.connection.closed()).await else { panic!() };
        assert_eq!(close.error_code.into_inner(), error_to_http3(4242), "{answers}");
        assert_eq!(soon(closed(&mut connection)).await, told(4242, "enough"), "{answers}");
    }
}

#[tokio::test]
async fn what_a_peer_says_of_quic_is_what_its_session_says() {
    let (mut server, _) = endpoints().await;
    for (code, expected) in [
        (error_to_http3(9), told(9, "bye")),
        (0x100, told(0, "")),
        (0x101, ConnectionError::Lost("HTTP/3 error 0x101 from the peer".to_owned())),
    ] {
        let (client, mut connection) = session(&mut server).await;
        client.connection.close(quinn::VarInt::from_u64(code).unwrap(), b"bye");
        assert_eq!(soon(closed(&mut connection)).await, expected, "{code:#x}");
    }
}

#[tokio::test]
async fn a_control_stream_lives_as_long_as_the_connection() {
    let (mut server, _) = endpoints().await;
    for (place, expected) in [0x104, 0x104, 0x104, 0x105, 0x105, 0x105].into_iter().enumerate() {
        let (mut client, mut connection) = session(&mut server).await;
        match place {
            0 => client.control.finish().unwrap(),
            1 => client.control.reset(0_u32.into()).unwrap(),
            2 => {
                client.control.write_all(&[0x21, 0x40]).await.unwrap();
                client.control.finish().unwrap();
            }
            3 => client.control.write_all(&frame(0x04, &[])).await.unwrap(),
            4 => client.control.write_all(&frame(0x00, &[])).await.unwrap(),
            _ => client.control.write_all(&frame(0x01, &[])).await.unwrap(),
        }
        let ended = soon(closed(&mut connection)).await;
        assert!(matches!(&ended, ConnectionError::Lost(why) if why.starts_with("HTTP/3: ")), "{place}: {ended:?}");
        assert_eq!(soon(client.closed()).await, expected, "{place}");
    }
}

#[tokio::test]
async fn what_means_nothing_to_a_server_is_passed_over() {
    let (mut server, _) = endpoints().await;
    let (mut client, mut connection) = session(&mut server).await;
    // CANCEL_PUSH, GOAWAY, MAX_PUSH_ID, PRIORITY_UPDATE, and a reserved one that is longer than what is kept of anything.
    for kind in [0x03, 0x07, 0x0d, 0xf_0700, 0x21] {
        client.control.write_all(&frame(kind, &vec![0; if kind == 0x21 { 100_000 } else { 1 }])).await.unwrap();
    }
    client.send.write_all(&frame(0x21, &[0; 60_000])).await.unwrap();
    // A second control stream, and more of QPACK than there can be.
    let mut further = Vec::new();
    for first in [0x00, 0x02, 0x03, 0x02] {
        let mut stream = client.connection.open_uni().await.unwrap();
        stream.write_all(&[first]).await.unwrap();
        further.push(stream);
    }

    let mut ours = client.connection.open_uni().await.unwrap();
    ours.write_all(b"\x40\x54\x00ours").await.unwrap();
    ours.finish().unwrap();
    assert_eq!(soon(read_to_end(&mut soon(accept_uni(&mut connection)).await)).await.unwrap(), b"ours");
    let refused = soon(further[0].stopped()).await.unwrap();
    assert_eq!(refused.map(quinn::VarInt::into_inner), Some(0x103), "the second control stream");
    let refused = soon(further[3].stopped()).await.unwrap();
    assert_eq!(refused.map(quinn::VarInt::into_inner), Some(0x103), "the third of QPACK");
    client.send.write_all(&frame(0x00, &capsule(5, "still heard"))).await.unwrap();
    assert_eq!(soon(closed(&mut connection)).await, told(5, "still heard"));
}

#[tokio::test]
async fn a_flood_of_nothing_ends() {
    let (mut server, _) = endpoints().await;
    let (mut client, mut connection) = session(&mut server).await;
    let flood = async {
        let piece = frame(0x21, &vec![0; 1 << 20]);
        while client.control.write_all(&piece).await.is_ok() {}
    };
    let ((), ended) = soon(async { tokio::join!(flood, closed(&mut connection)) }).await;
    assert!(matches!(&ended, ConnectionError::Lost(why) if why.contains("no meaning")), "{ended:?}");
    assert_eq!(soon(client.closed()).await, 0x107);

    let (mut client, mut connection) = session(&mut server).await;
    let flood = async {
        let piece = frame(0x00, &[varint(0x17), varint(60_000), vec![0; 60_000]].concat());
        while client.send.write_all(&piece).await.is_ok() {}
    };
    let ((), ended) = soon(async { tokio::join!(flood, closed(&mut connection)) }).await;
    assert_eq!(ended, told(0, ""));
}
