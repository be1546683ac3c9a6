//! Ending the relay: by which signal, how fast, and what becomes of those who come and go meanwhile.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    time::{Duration, Instant},
};

use moq_lite::{session::Error, transport::ConnectionError};
use moq_proto::{Version, close};
use moq_token::Claims;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    auth::{claims, key},
    peer::{Over, Peer, soon, story, until},
    process::{OPEN, Relay, folder, wide},
};

/// What happens at once has happened by then, also on a busy machine. What times out takes longer.
const A_MOMENT: Duration = Duration::from_secs(5);

/// A relay that gives its peers so long, and logs what it counts.
fn patient(drain_timeout: &str, config: &str) -> Relay {
    Relay::patient(&format!("{}[log]\nlevel = \"debug\"\n", wide(config)), drain_timeout)
}

/// A peer that the relay has let in.
async fn inside(relay: &Relay, over: Over, path: &str) -> Peer {
    let peer = Peer::join(relay, over, Version::Lite06, path).await;
    until("it is let in", || relay.log().contains("session open")).await;
    peer
}

#[test]
fn a_signal_ends_it_with_0() {
    for signal in ["TERM", "INT"] {
        let mut relay = Relay::patient(OPEN, "1h");
        relay.signal(signal);

        assert_eq!(relay.wait().code(), Some(0), "SIG{signal}\n{}", relay.log());
        assert!(relay.log().contains(&format!("SIG{signal}")), "{}", relay.log());
    }
}

#[test]
fn an_idle_connection_does_not_hold_the_end_up() {
    let mut relay = Relay::patient(OPEN, "1h");
    let _idle = std::net::TcpStream::connect(relay.http()).unwrap();
    assert_eq!(relay.get("/").status, 200);
    relay.signal("TERM");

    assert_eq!(relay.wait().code(), Some(0));
}

#[test]
fn without_time_to_drain_nobody_is_asked() {
    for over in Over::ALL {
        let mut relay = patient("0s", OPEN);
        story(async {
            let peer = inside(&relay, over, "/").await;
            relay.signal("TERM");
            let mut asked = peer.asked.clone();
            tokio::select! {
                biased;
                _ = asked.wait() => panic!("{over:?}: asked to leave"),
                ended = peer.ended() => assert_eq!(ended, Ok(()), "{over:?}"),
            }
        });
        assert_eq!(relay.wait().code(), Some(0), "{over:?}\n{}", relay.log());
        assert!(!relay.log().contains("drained"), "{}", relay.log());
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut relay = patient("1h", OPEN);
        story(async {
            let mut peer = inside(&relay, Over::Quic, "/").await;
            relay.signal("TERM");
            soon("GOAWAY", peer.asked.wait()).await;
            let began = Instant::now();
            relay.signal(signal);
            assert_eq!(relay.wait().code(), Some(code), "{}", relay.log());
            assert!(began.elapsed() < A_MOMENT, "{:?}", began.elapsed());
            assert_eq!(peer.ended().await, Ok(()), "it is told all the same");
        });
    }
}

#[test]
fn an_interrupt_waits_two_seconds_at_most() {
    let mut relay = patient("1h", OPEN);
    story(async {
        let mut peer = inside(&relay, Over::WebSocket, "/").await;
        let began = Instant::now();
        relay.signal("INT");
        soon("GOAWAY", peer.asked.wait()).await;
        let closed = ConnectionError::Closed { code: close::session::GOAWAY_TIMEOUT.get(), reason: "goaway timeout".to_owned() };
        assert_eq!(peer.ended().await, Err(Error::Connection(closed)));
        assert!((2..10).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    });
    assert_eq!(relay.wait().code(), Some(0), "{}", relay.log());
}

#[test]
fn newcomers_are_refused_at_once() {
    let mut relay = patient("1h", OPEN);
    story(async {
        let mut peer = inside(&relay, Over::Tcp, "/").await;
        relay.signal("TERM");
        soon("GOAWAY", peer.asked.wait()).await;
        // The certificate is asked for over HTTP, which has closed.
        let mut config = moq_native::ClientConfig::default();
        config.trust = moq_native::tls::Trust::Anyone;
        config.websocket_after = None;
        // The other listeners close at the same time, on a thread of their own.
        soon("HTTP is closed", async { while TcpStream::connect(relay.http()).await.is_ok() {} }).await;
        for over in Over::ALL {
            let began = Instant::now();
            let url = over.url(&relay, "/");
            let refused = soon("an answer", Peer::dial(config.clone(), &url, &[Version::Lite06])).await;
            assert!(refused.is_err(), "{over:?}");
            assert!(began.elapsed() < A_MOMENT, "{over:?}: {:?}", began.elapsed());
        }
        // Another relay can listen for HTTP, TCP and at the Unix socket by now, and for QUIC once this one has ended.
        drop([relay.http(), relay.tcp.unwrap()].map(|address| TcpListener::bind(address).unwrap()));
        assert!(UdpSocket::bind(relay.udp).is_err());
        peer.closer.close(close::session::NO_ERROR, "moved");
    });
    assert_eq!(relay.wait().code(), Some(0), "{}", relay.log());
    UdpSocket::bind(relay.udp).unwrap();
}

#[test]
fn whoever_was_on_the_way_in_is_asked_to_leave_too() {
    let mut relay = patient("1h", OPEN);
    story(async {
        let mut peer = inside(&relay, Over::Quic, "/").await;
        // Connected, and without a session before its SETUP.
        let mut config = moq_native::ClientConfig::default();
        config.trust = moq_native::tls::Trust::Anyone;
        config.protocols = vec![Version::Lite06.alpn().to_owned()];
        let client = moq_native::Client::new(config).unwrap();
        let connection = client.connect(&Over::Quic.url(&relay, "/")).await.unwrap();
        relay.signal("TERM");
        soon("GOAWAY", peer.asked.wait()).await;

        let session = moq_lite::session::Session::connect(connection, &[Version::Lite06]).await.unwrap();
        let mut late = Peer::run(session);
        assert_eq!(soon("GOAWAY", late.asked.wait()).await.uri(), "");
        for peer in [peer, late] {
            peer.closer.close(close::session::NO_ERROR, "moved");
        }
    });
    assert_eq!(relay.wait().code(), Some(0), "{}", relay.log());
}

#[test]
fn rights_end_while_it_drains() {
    let (folder, key) = (folder(), key("k"));
    let (file, revoked) = (folder.join("k.jwk"), folder.join("revoked"));
    fs::write(&file, key.public().unwrap().to_json().as_str()).unwrap();
    fs::write(&revoked, "").unwrap();
    let config = OPEN.replace("public = \"\"", &format!("key = {file:?}\nrevoked = {revoked:?}"));
    let token = key.sign(&Claims { id: Some("leaked".into()), ..claims("demo") }).unwrap();
    let mut relay = patient("1h", &config);
    story(async {
        let mut peer = inside(&relay, Over::WebSocket, &format!("/demo?jwt={token}")).await;
        relay.signal("TERM");
        soon("GOAWAY", peer.asked.wait()).await;
        fs::write(&revoked, "jti leaked\n").unwrap();
        let Err(Error::Connection(ConnectionError::Closed { code, .. })) = peer.ended().await else { panic!("not closed") };
        assert_eq!(code, close::session::UNAUTHORIZED.get());
    });
    assert_eq!(relay.wait().code(), Some(0), "{}", relay.log());
    assert!(relay.log().contains("forced=0"), "{}", relay.log());
}

#[test]
fn an_answer_under_way_is_finished() {
    let mut relay = patient("1h", OPEN);
    story(async {
        let mut publisher = inside(&relay, Over::Quic, "/").await;
        let room = publisher.publish("room");
        let mut group = room.video.append_group();
        group.write_frame("before", None).unwrap();
        let mut request = TcpStream::connect(relay.http()).await.unwrap();
        let head = b"GET /fetch/room/video?wait=10s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        request.write_all(head).await.unwrap();
        let mut answer = Vec::new();
        while !answer.windows(6).any(|part| part == b"before") {
            soon("the beginning", request.read_buf(&mut answer)).await.unwrap();
        }
        relay.signal("TERM");
        soon("GOAWAY", publisher.asked.wait()).await;
        group.write_frame("after", None).unwrap();
        group.finish();
        soon("the end", request.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.ends_with(b"after\r\n0\r\n\r\n"), "{}", String::from_utf8_lossy(&answer));
        publisher.closer.close(close::session::NO_ERROR, "moved");
    });
    assert_eq!(relay.wait().code(), Some(0), "{}", relay.log());
}
