//! Who gets in, who does not, and what is told of either.

use std::time::{Duration, Instant};

use http::StatusCode;
use moq_lite::transport::{Connection, ConnectionError};
use moq_native::{
    Client, ConnectError, Server, Transport,
    tls::{Certificates, Trust},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpStream, UdpSocket},
};

use crate::{pair::*, stranger::Stranger};

/// Lets a server run while `story` is told, admitting whoever comes.
pub(crate) async fn beside<T>(server: &mut Server, story: impl Future<Output = T>) -> T {
    let mut admitted = Vec::new();
    tokio::pin!(story);
    loop {
        tokio::select! {
            told = &mut story => return told,
            incoming = server.accept() => admitted.push(incoming.expect("the server is open")),
        }
    }
}

pub(crate) fn count(server: &Server, name: &str) -> u64 {
    server.counters().read().into_iter().find(|(known, _)| *known == name).unwrap().1
}

#[tokio::test]
async fn an_incoming_peer_says_what_it_wants() {
    let (mut server, client) = endpoints().await;
    for (scheme, transport, target) in
        [("https", Transport::WebTransport, Some("/room/a%20b?jwt=x.y.z&cost=1")), ("moqt", Transport::Quic, None)]
    {
        let url = url(scheme, server.local_addr(), "/room/a%20b?jwt=x.y.z&cost=1#fragment");
        let before = Instant::now();
        let connect = client.connect(&url);
        let meet = async {
            let incoming = arrive(&mut server).await;
            assert_eq!(incoming.transport(), transport);
            assert_eq!(incoming.request_target(), target);
            assert_eq!(incoming.protocol(), Some("moq-lite-06"));
            assert!(incoming.peer_addr().ip().is_loopback());
            assert!(incoming.deadline() >= before + Duration::from_secs(10));
            assert!(incoming.deadline() <= Instant::now() + Duration::from_secs(10));
            assert!(!format!("{incoming:?}").contains("x.y.z"), "tokens stay out of logs");
            incoming.accept().await
        };
        let (connected, accepted) = soon(async { tokio::join!(connect, meet) }).await;
        connected.unwrap();
        accepted.unwrap();
    }
}

#[tokio::test]
async fn of_a_clients_protocols_the_first_that_is_spoken_wins() {
    let (mut server, _) = endpoints().await;
    for (offered, expected) in [
        (&["moq-lite-04", "moq-lite-06"][..], Some("moq-lite-04")),
        (&["moqt-15", "moq-lite-05-wip", "moq-lite-03"], Some("moq-lite-03")),
        (&["moql"], Some("moql")),
        (&["moqt-15"], None),
        (&[], None),
    ] {
        let mut config = client_config(Trust::Fingerprints(server.fingerprints()));
        config.protocols = offered.iter().map(|token| (*token).to_owned()).collect();
        let client = Client::new(config).unwrap();
        let url = url("https", server.local_addr(), "/");
        let accept = async { arrive(&mut server).await.accept().await };
        let (connected, accepted) = soon(async { tokio::join!(client.connect(&url), accept) }).await;
        assert_eq!(connected.unwrap().protocol(), expected, "{offered:?}");
        assert_eq!(accepted.unwrap().protocol(), expected, "{offered:?}");
    }
}

#[tokio::test]
async fn a_rejected_peer_hears_why() {
    let (mut server, client) = endpoints().await;
    let web = url("https", server.local_addr(), "/");
    let (refused, ()) = soon(async {
        tokio::join!(client.connect(&web), async { arrive(&mut server).await.reject(StatusCode::UNAUTHORIZED).await })
    })
    .await;
    // The library at the other end takes any answer but 2xx for no answer at all, and keeps the status.
    assert!(matches!(refused, Err(ConnectError::Refused(StatusCode::UNAUTHORIZED))), "{refused:?}");

    let raw = url("moqt", server.local_addr(), "/");
    let (connected, ()) = soon(async {
        tokio::join!(client.connect(&raw), async { arrive(&mut server).await.reject(StatusCode::FORBIDDEN).await })
    })
    .await;
    let expected = ConnectionError::Closed { code: 2, reason: "Forbidden".to_owned() };
    assert_eq!(soon(closed(&mut connected.unwrap())).await, expected);
}

#[tokio::test]
async fn a_slow_handshake_ends_at_its_deadline_and_holds_nobody_back() {
    let mut config = server_config();
    config.setup_timeout = Duration::from_millis(300);
    let mut server = Server::bind(config).unwrap();
    let begun = Instant::now();

    // One says nothing after QUIC; one begins a request and leaves it there.
    let (silent, dripping) = (Stranger::of(&server, "h3"), Stranger::of(&server, "h3"));
    let (silent, dripping) = soon(beside(&mut server, async { tokio::join!(silent.connect(), dripping.connect()) })).await;
    let (silent, dripping) = (silent.unwrap(), dripping.unwrap());
    let mut settings = dripping.open_uni().await.unwrap();
    settings.write_all(&[0x00, 0x04]).await.unwrap();

    // A third comes and gets in meanwhile.
    let prompt = Stranger::of(&server, "moq-lite-06");
    let (prompt, incoming) = soon(async { tokio::join!(prompt.connect(), arrive(&mut server)) }).await;
    prompt.unwrap();
    assert_eq!(incoming.transport(), Transport::Quic);
    assert_eq!(count(&server, "refused_late"), 0, "{:?}", begun.elapsed());

    soon(beside(&mut server, async { tokio::join!(silent.closed(), dripping.closed()) })).await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(count(&server, "refused_late"), 2);
}

#[tokio::test]
async fn every_refusal_is_counted_with_its_reason() {
    let (mut server, client) = endpoints().await;

    let unknown = Stranger::of(&server, "moq-lite-05-wip");
    soon(beside(&mut server, unknown.connect())).await.unwrap_err();
    assert_eq!(count(&server, "refused_quic"), 1);

    // HTTP/3 without WebTransport: SETTINGS that allow nothing.
    let browser = Stranger::of(&server, "h3");
    let plain = soon(beside(&mut server, browser.connect())).await.unwrap();
    let mut settings = plain.open_uni().await.unwrap();
    settings.write_all(&[0x00, 0x04, 0x00]).await.unwrap();
    soon(beside(&mut server, plain.closed())).await;
    assert_eq!(count(&server, "refused_http3"), 1);

    let url = url("moqt", server.local_addr(), "/");
    let (connected, _incoming) = soon(async { tokio::join!(client.connect(&url), arrive(&mut server)) }).await;
    connected.unwrap();
    let counted: Vec<_> = server.counters().read().into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [("arrived", 3), ("admitted", 1), ("refused_quic", 1), ("refused_http3", 1)]);
}

#[tokio::test]
async fn more_handshakes_than_allowed_are_refused_and_room_comes_back() {
    let mut config = server_config();
    config.max_handshakes = 1;
    let mut server = Server::bind(config).unwrap();

    let first = Stranger::of(&server, "h3");
    let silent = soon(beside(&mut server, first.connect())).await.unwrap();
    let second = Stranger::of(&server, "moq-lite-06");
    soon(beside(&mut server, second.connect())).await.unwrap_err();
    assert_eq!(count(&server, "refused_busy"), 1);

    silent.close(0u32.into(), b"");
    let third = Stranger::of(&server, "moq-lite-06");
    soon(beside(&mut server, async {
        while third.connect().await.is_err() {
            tokio::task::yield_now().await;
        }
    }))
    .await;
}

#[tokio::test]
async fn with_many_handshakes_under_way_an_address_has_to_be_proved() {
    let mut config = server_config();
    config.retry_above = 0;
    let mut server = Server::bind(config).unwrap();
    let stranger = Stranger::of(&server, "moq-lite-06");
    let (connected, _incoming) = soon(async { tokio::join!(stranger.connect(), arrive(&mut server)) }).await;
    connected.unwrap();
    assert_eq!((count(&server, "retried"), count(&server, "arrived"), count(&server, "admitted")), (1, 2, 1));
}

#[tokio::test]
async fn packets_that_are_no_quic_leave_no_trace() {
    let (mut server, client) = endpoints().await;
    let noise = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for packet in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 1200], &[0x00; 1500], &[0xc0, 0, 0, 0, 1, 0xff]] {
        noise.send_to(packet, server.local_addr()).await.unwrap();
    }
    let url = url("moqt", server.local_addr(), "/");
    soon(beside(&mut server, client.connect(&url))).await.unwrap();
    assert_eq!(count(&server, "arrived"), 1);
}

#[tokio::test]
async fn bytes_that_are_no_qmux_are_refused_and_hold_nobody_back() {
    let mut config = server_config();
    config.tcp = Some("127.0.0.1:0".parse().unwrap());
    let mut server = Server::bind(config).unwrap();
    let address = server.tcp_addr().unwrap();
    let mut open = Vec::new();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &[0x00], &[]] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        open.push(socket);
    }
    let stranger = async {
        let mut config = client_config(Trust::Anyone);
        config.protocols = vec!["moqt-15".to_owned()];
        Client::new(config).unwrap().connect(&url("tcp", address, "/")).await
    };
    let nothing_in_common = soon(beside(&mut server, stranger)).await.unwrap_err();
    assert_eq!(nothing_in_common.to_string(), "qmux: no session protocol in common");

    let (connected, incoming) = soon(async {
        let (client, url) = (client_of(&server), url("tcp", address, "/"));
        tokio::join!(async { client.connect(&url).await }, arrive(&mut server))
    })
    .await;
    connected.unwrap();
    assert_eq!((incoming.transport(), incoming.protocol()), (Transport::Tcp, Some("moq-lite-06")));
    assert_eq!(count(&server, "arrived"), 6);
    assert!(count(&server, "refused_qmux") >= 2);
}

#[tokio::test]
async fn a_unix_socket_outlives_no_server_and_replaces_no_file() {
    let directory = Directory::new();
    let path = directory.0.join("socket");
    let bind = |path: &std::path::Path| {
        let mut config = server_config();
        config.unix = Some(path.to_owned());
        Server::bind(config)
    };

    let first = bind(&path).unwrap();
    assert!(bind(&path).is_err(), "one that is listened at stays");
    drop(first);
    assert!(!path.exists());

    // A server that was killed leaves its socket behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(bind(&path).unwrap());

    std::fs::write(&path, "precious").unwrap();
    assert!(bind(&path).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_unix_socket_takes_no_other_away_with_it() {
    let directory = Directory::new();
    let path = directory.0.join("socket");
    let mut config = server_config();
    config.unix = Some(path.clone());
    let server = Server::bind(config).unwrap();

    std::fs::remove_file(&path).unwrap();
    let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    drop(server);
    std::os::unix::net::UnixStream::connect(&path).expect("the other is still there");
}

#[test]
fn a_unix_socket_whose_server_accepts_nobody_holds_up_no_start() {
    let directory = Directory::new();
    let path = directory.0.join("socket");
    let address = socket2::SockAddr::unix(&path).unwrap();
    let socket = || socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    let frozen = socket();
    frozen.bind(&address).unwrap();
    frozen.listen(0).unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = socket();
        client.set_nonblocking(true).unwrap();
        if client.connect(&address).is_err() {
            break;
        }
        waiting.push(client);
    }

    let (told, bound) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let mut config = server_config();
        config.unix = Some(path);
        let _ = told.send(Server::bind(config).is_ok());
    });
    assert!(!bound.recv_timeout(Duration::from_secs(10)).expect("an answer at once"), "the place is taken");
}

#[tokio::test]
async fn certificates_change_without_a_restart() {
    let config = server_config();
    let tls = config.tls.clone();
    let mut server = Server::bind(config).unwrap();
    let (before, late) = (client_of(&server), client_of(&server));
    let url = url("moqt", server.local_addr(), "/");
    let (connected, accepted) =
        soon(async { tokio::join!(before.connect(&url), async { arrive(&mut server).await.accept().await }) }).await;
    let (mut connected, mut accepted) = (connected.unwrap(), accepted.unwrap());

    let old = server.fingerprints();
    tls.set_certificates(Certificates::generate(&["localhost"]).unwrap());
    assert_ne!(server.fingerprints(), old);
    let distrusted = soon(beside(&mut server, late.connect(&url))).await;
    assert!(matches!(distrusted, Err(ConnectError::Quic(quinn::ConnectionError::TransportError(_)))), "{distrusted:?}");
    let renewed = Stranger::of(&server, "moq-lite-06");
    soon(beside(&mut server, renewed.connect())).await.unwrap();

    // Whoever was inside stays, and whoever had been inside may come back with the ticket it got.
    open_uni_with(&mut connected, b"still here").await;
    soon(beside(&mut server, accept_uni(&mut accepted))).await;
    soon(beside(&mut server, before.connect(&url))).await.unwrap();
}

#[tokio::test]
async fn a_closed_server_tells_its_peers_and_accepts_nobody() {
    let (mut server, client) = endpoints().await;
    let url = url("moqt", server.local_addr(), "/");
    let (connected, accepted) =
        soon(async { tokio::join!(client.connect(&url), async { arrive(&mut server).await.accept().await }) }).await;
    let (mut connected, _accepted) = (connected.unwrap(), accepted.unwrap());
    let (ended, ()) = soon(async { tokio::join!(closed(&mut connected), server.close(16, "maintenance")) }).await;
    assert_eq!(ended, ConnectionError::Closed { code: 16, reason: "maintenance".to_owned() });
}

#[tokio::test]
async fn a_leaving_server_refuses_newcomers_and_keeps_whom_it_has() {
    let mut config = server_config();
    config.tcp = Some("127.0.0.1:0".parse().unwrap());
    let directory = Directory::new();
    let socket = directory.0.join("socket");
    config.unix = Some(socket.clone());
    let mut server = Server::bind(config).unwrap();
    let client = client_of(&server);
    let (udp, tcp) = (server.local_addr(), server.tcp_addr().unwrap());
    let quic = url("moqt", udp, "/");
    let accept = async { arrive(&mut server).await.accept().await };
    let (connected, accepted) = soon(async { tokio::join!(client.connect(&quic), accept) }).await;
    let (mut connected, mut accepted) = (connected.unwrap(), accepted.unwrap());

    server.refuse_newcomers();
    for scheme in ["https", "moqt"] {
        let began = Instant::now();
        let refused = soon(beside(&mut server, client.connect(&url(scheme, udp, "/")))).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(1), "{scheme}: {refused} after {:?}", began.elapsed());
    }
    assert_eq!((count(&server, "refused_leaving"), count(&server, "admitted")), (2, 1));
    std::net::TcpListener::bind(tcp).unwrap();
    assert!(!socket.exists());

    open_uni_with(&mut connected, b"still here").await;
    soon(beside(&mut server, accept_uni(&mut accepted))).await;
}

#[tokio::test]
async fn what_a_session_said_last_is_heard_though_its_server_closes() {
    for scheme in ["https", "moqt"] {
        let (mut server, client) = endpoints().await;
        let url = url(scheme, server.local_addr(), "/");
        let accept = async { arrive(&mut server).await.accept().await };
        let (connected, accepted) = soon(async { tokio::join!(client.connect(&url), accept) }).await;
        let (mut connected, accepted) = (connected.unwrap(), accepted.unwrap());
        accepted.close(0x10, "going away");
        drop(accepted);
        let (ended, ()) = soon(async { tokio::join!(closed(&mut connected), server.close(0, "")) }).await;
        assert_eq!(ended, ConnectionError::Closed { code: 0x10, reason: "going away".to_owned() }, "{scheme}");
    }
}

#[tokio::test]
async fn two_servers_cannot_have_one_address() {
    let (server, _) = endpoints().await;
    let mut config = server_config();
    config.bind = server.local_addr();
    let taken = Server::bind(config).unwrap_err().to_string();
    assert!(taken.starts_with(&format!("opening UDP {}: ", server.local_addr())), "{taken}");
}
