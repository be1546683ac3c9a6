//! WebTransport among the rest of HTTP/3: what a browser may send beside its session, and how it may ask for one.

mod ending;
mod refused;

use std::time::Duration;

use http::StatusCode;
use moq_native::{AnyConnection, Server};
use tokio::time::timeout;
use web_transport_proto::ConnectRequest;
use web_transport_quinn::Session;

use crate::{handmade::*, pair::*, stranger::Stranger};

/// A session as a browser opens it, whose QUIC connection is at hand.
async fn browse(server: &mut Server) -> (Session, AnyConnection) {
    let stranger = Stranger::of(server, "h3");
    let url = url("https", server.local_addr(), "/room");
    let open = async {
        let connection = stranger.connect().await.unwrap();
        Session::connect(connection, ConnectRequest::new(url)).await.unwrap()
    };
    soon(async { tokio::join!(open, async { arrive(server).await.accept().await.unwrap() }) }).await
}

#[tokio::test]
async fn streams_of_http3_reach_nobody_and_hold_nobody_up() {
    let (mut server, _) = endpoints().await;
    let (browser, mut connection) = browse(&mut server).await;

    let mut kept = Vec::new();
    for first_bytes in [
        &[0x02][..],                     // QPACK encoder
        &[0x03],                         // QPACK decoder
        &[0x40],                         // half a type
        &[0x40, 0x54],                   // a session that is not named yet
        &[0x21, 0x00],                   // reserved, to keep receivers honest
        &[0x40, 0x54, 0x04, b'n', b'o'], // a session that does not exist
    ] {
        let mut stream = quinn::Connection::open_uni(&browser).await.unwrap();
        stream.write_all(first_bytes).await.unwrap();
        kept.push(stream);
    }
    let (mut request, _answer) = quinn::Connection::open_bi(&browser).await.unwrap();
    request.write_all(&[0x01, 0x00]).await.unwrap();

    let mut ours = browser.open_uni().await.unwrap();
    ours.write_all(b"ours").await.unwrap();
    ours.finish().unwrap();
    assert_eq!(soon(read_to_end(&mut accept_uni(&mut connection).await)).await.unwrap(), b"ours");

    let (mut ours, _answer) = browser.open_bi().await.unwrap();
    ours.write_all(b"ours too").await.unwrap();
    ours.finish().unwrap();
    assert_eq!(soon(read_to_end(&mut accept_bi(&mut connection).await.1)).await.unwrap(), b"ours too");
}

#[tokio::test]
async fn every_dialect_is_let_in() {
    let (mut server, _) = endpoints().await;
    for (dialect, settings, token) in [
        (
            "Chrome, draft 02",
            &[
                (0x01, 65536),
                (0x06, 16384),
                (0x07, 100),
                (0x33, 1),
                (0xff_d277, 1),
                (0x2b60_3742, 1),
                (0x1_08fb_96fd, 454_654_587),
            ][..],
            "webtransport",
        ),
        ("Chrome, draft 07", &[(0x01, 65536), (0x07, 100), (0x08, 1), (0x33, 1), (0xc671_706a, 1)], "webtransport"),
        ("Firefox", &[(0x01, 65536), (0x07, 20), (0x2b60_3742, 1), (0x33, 1), (0xff_d277, 1), (0x08, 1)], "webtransport"),
        ("Safari", &[(0x33, 1), (0x08, 1), (0x14e9_cd29, 1)], "webtransport"),
        ("old datagrams alone", &[(0xff_d277, 1), (0x2b60_3742, 1)], "webtransport"),
        ("draft 15", &[(0x33, 1), (0x2c7c_f000, 1)], "webtransport-h3"),
        ("nothing but datagrams", &[(0x33, 1)], "webtransport"),
    ] {
        let ask = async |client: &mut Handmade| {
            client.control.write_all(&control(settings)).await.unwrap();
            let mut fields = fields("/room");
            fields[4].1 = token;
            client.send.write_all(&frame(0x01, &section(&fields))).await.unwrap();
        };
        let (mut client, incoming) = knock(&mut server, ask).await;
        let mut connection = soon(incoming.accept()).await.unwrap();
        assert_eq!(soon(client.answer()).await.status, StatusCode::OK, "{dialect}");

        let mut heard = soon(client.connection.accept_uni()).await.unwrap();
        let settings = soon(web_transport_proto::Settings::read(&mut heard)).await.unwrap();
        assert_eq!((settings.supports_webtransport(), settings.len()), (1, 9), "{dialect}");

        let mut group = soon(open_uni_with(&mut connection, b"group")).await;
        moq_lite::transport::SendStream::finish(&mut group).unwrap();
        let mut group = soon(client.connection.accept_uni()).await.unwrap();
        assert_eq!(soon(group.read_to_end(99)).await.unwrap(), b"\x40\x54\x00group", "{dialect}");
    }
}

#[tokio::test]
async fn a_list_of_protocols_is_taken_as_far_as_it_is_one() {
    let (mut server, _) = endpoints().await;
    for (lines, expected) in [
        (&[r#""moq-lite-04", "moq-lite-06""#][..], Some("moq-lite-04")),
        (&[r#""moqt-99","moq-lite-05";q=0.5;x , "moq-lite-06""#], Some("moq-lite-05")),
        (&[r#""moq-lite-0\\", "moq-lite-03";a="b";c=:aGk=:"#], Some("moq-lite-03")),
        // Several lines are one list.
        (&[r#""other""#, r#""moq-lite-05", "moq-lite-06""#], Some("moq-lite-05")),
        // None of ours.
        (&[r#""other""#], None),
        (&[], None),
        // No list of strings: as if it were not sent.
        (&["not a list ("], None),
        (&[""], None),
        (&["moq-lite-05"], None),
        (&[r#""moq-lite-05", moq-lite-06"#], None),
        (&[r#""moq-lite-05", 6"#], None),
        (&[r#"("moq-lite-05" "moq-lite-06")"#], None),
        (&[r#""moq-lite-05", ("moq-lite-06")"#], None),
        (&[r#""moq-lite-05","#], None),
        (&[r#""moq-lite-05" "moq-lite-06""#], None),
        (&[r#""moq-lite-05", "moq-lite-06"#], None),
        (&[r#""moq-lite-05";;"#], None),
        (&[r#""moq-lite-05""#, "not a list ("], None),
    ] {
        let ask = async |client: &mut Handmade| {
            client.control.write_all(&control(&SETTINGS)).await.unwrap();
            let mut fields = fields("/room");
            fields.extend(lines.iter().map(|line| ("wt-available-protocols", *line)));
            client.send.write_all(&frame(0x01, &section(&fields))).await.unwrap();
        };
        let (mut client, incoming) = knock(&mut server, ask).await;
        assert_eq!(incoming.protocol(), expected, "{lines:?}");
        let connection = soon(incoming.accept()).await.unwrap();
        assert_eq!(moq_lite::transport::Connection::protocol(&connection), expected, "{lines:?}");
        assert_eq!(soon(client.answer()).await.protocol.as_deref(), expected, "{lines:?}");
    }
}

#[tokio::test]
async fn a_path_comes_as_it_was_written() {
    let (mut server, _) = endpoints().await;
    for path in ["/room?jwt=x.y.z", "/a/../b", "/a/%2e%2e/b?c=/../d", "/a\\b", "//a//", "", "room", "*", "/röm/ä b", "/a#b?c"] {
        let (client, incoming) = knock(&mut server, async |client| client.ask(path).await).await;
        assert_eq!(incoming.request_target(), Some(path));
        assert_eq!(incoming.authority(), Some("localhost"));
        assert!(!format!("{incoming:?}").contains("x.y.z"), "tokens stay out of logs");
        let ((), mut client) = soon(async { tokio::join!(incoming.reject(StatusCode::BAD_REQUEST), turned_away(client)) }).await;
        assert_eq!(client.recv.read(&mut [0]).await.ok().flatten(), None);
    }
}

/// Reads its answer, which is no success, and leaves.
async fn turned_away(mut client: Handmade) -> Handmade {
    let answer = web_transport_proto::ConnectResponse::read(&mut client.recv).await;
    let refused = web_transport_proto::ConnectError::WrongStatus(Some(StatusCode::BAD_REQUEST));
    assert_eq!(answer.unwrap_err().to_string(), refused.to_string());
    client.connection.close(0x100_u32.into(), b"");
    client
}

#[tokio::test]
async fn whatever_comes_before_the_control_stream_waits_or_is_put_aside() {
    let (mut server, _) = endpoints().await;
    let mut kept = Vec::new();
    let ask = async |client: &mut Handmade| {
        // Reserved, QPACK's two, one of the session and half of another, and one of a session that does not exist.
        for first_bytes in [&[0x21, 0x00][..], &[0x02], &[0x03], b"\x40\x54\x00early", &[0x40], &[0x40, 0x54, 0x04, b'n']] {
            let mut stream = client.connection.open_uni().await.unwrap();
            stream.write_all(first_bytes).await.unwrap();
            kept.push(stream);
        }
        let (mut early, _answer) = client.connection.open_bi().await.unwrap();
        early.write_all(b"\x40\x41\x00early too").await.unwrap();
        early.finish().unwrap();
        kept.push(early);
        // The server has them all before it hears who asks.
        kept[0].stopped().await.unwrap();
        kept[5].stopped().await.unwrap();
        client.ask("/room").await;
    };
    let (_client, incoming) = knock(&mut server, ask).await;
    kept[3].finish().unwrap();
    let mut connection = soon(incoming.accept()).await.unwrap();
    assert_eq!(soon(read_to_end(&mut soon(accept_uni(&mut connection)).await)).await.unwrap(), b"early");
    assert_eq!(soon(read_to_end(&mut soon(accept_bi(&mut connection)).await.1)).await.unwrap(), b"early too");
    kept[4].write_all(b"\x54\x00late").await.unwrap();
    kept[4].finish().unwrap();
    assert_eq!(soon(read_to_end(&mut soon(accept_uni(&mut connection)).await)).await.unwrap(), b"late");
}

#[tokio::test]
async fn before_the_session_no_more_streams_wait_than_a_stranger_may_open() {
    let (mut server, _) = endpoints().await;
    let mut early = Vec::new();
    let ask = async |client: &mut Handmade| {
        // With the control stream, sixteen.
        for _ in 0..15 {
            let mut stream = client.connection.open_uni().await.unwrap();
            stream.write_all(b"\x40\x54\x00early").await.unwrap();
            stream.finish().unwrap();
            early.push(stream);
        }
        client.ask("/room").await;
    };
    let (client, incoming) = knock(&mut server, ask).await;
    assert!(timeout(Duration::ZERO, client.connection.open_uni()).await.is_err(), "one more than may wait");
    let mut connection = soon(incoming.accept()).await.unwrap();
    for _ in 0..early.len() {
        assert_eq!(soon(read_to_end(&mut soon(accept_uni(&mut connection)).await)).await.unwrap(), b"early");
    }
}

#[tokio::test]
async fn reserved_frames_stand_before_everything() {
    let (mut server, _) = endpoints().await;
    let ask = async |client: &mut Handmade| {
        let reserved = [frame(0x21, b""), frame(0x21 + 0x1f, &[7; 30_000])].concat();
        let settings = control(&SETTINGS);
        client.control.write_all(&[&settings[..1], &reserved, &settings[1..]].concat()).await.unwrap();
        client.send.write_all(&[reserved, frame(0x01, &section(&fields("/room")))].concat()).await.unwrap();
    };
    let (_client, incoming) = knock(&mut server, ask).await;
    assert_eq!(incoming.request_target(), Some("/room"));
}
