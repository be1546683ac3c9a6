//! The race for an `https` or `http` URL: WebTransport, and after a head start a WebSocket.

use std::{
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL};
use moq_lite::transport::Connection;
use moq_native::{
    AnyConnection, Client, ClientConfig, ConnectError, PinError, Server,
    backend::qmux,
    tls::{Certificates, Fingerprint, ServerTls, Trust},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::{client::*, pair::*};

/// A head start that nobody lives to see the end of.
const FOREVER: Duration = Duration::from_secs(3600);

/// A port of UDP that takes packets and says nothing, as a firewall does, and the same of TCP.
async fn without_udp() -> (UdpSocket, TcpListener) {
    let bind = || {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        (silent, address)
    };
    with_tcp(bind).await
}

/// Serves one WebSocket over TLS.
async fn serve_wss(listener: TcpListener, certificates: Certificates) -> AnyConnection {
    let tls = TlsAcceptor::from(Arc::new(ServerTls::from(certificates).tcp_config(&["http/1.1"]).unwrap()));
    let (tcp, _) = listener.accept().await.unwrap();
    upgrade(tls.accept(tcp).await.unwrap()).await
}

/// Serves one WebSocket without TLS.
async fn serve_ws(listener: &TcpListener) -> AnyConnection {
    upgrade(listener.accept().await.unwrap().0).await
}

#[allow(clippy::result_large_err, reason = "the callback of a handshake is the library's to shape")]
async fn upgrade(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> AnyConnection {
    let answer = |request: &Request, mut response: Response| {
        assert_eq!(request.uri(), "/room?jwt=secret");
        assert!(request.headers()[SEC_WEBSOCKET_PROTOCOL].to_str().unwrap().starts_with("qmux-01.moq-lite-06, qmux-00."));
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("qmux-01.moq-lite-06"));
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, answer).await.unwrap();
    qmux::accept(socket, Some("qmux-01.moq-lite-06")).into()
}

#[tokio::test]
async fn where_udp_is_dropped_a_websocket_wins_the_race() {
    let certificates = Certificates::generate(&["localhost"]).unwrap();
    let (_silent, listener) = without_udp().await;
    let address = listener.local_addr().unwrap();

    let mut config = client_config(Trust::Fingerprints(certificates.fingerprints()));
    config.websocket_after = Some(Duration::from_millis(1));
    let client = Client::new(config).unwrap();
    let url = url("https", address, "/room?jwt=secret#fragment");
    let (connected, _served) = soon(async { tokio::join!(client.connect(&url), serve_wss(listener, certificates)) }).await;
    let connected = connected.unwrap();
    assert!(matches!(connected, AnyConnection::Qmux(_)));
    assert_eq!(connected.protocol(), Some("moq-lite-06"));
}

#[tokio::test]
async fn a_front_without_webtransport_leaves_the_websocket_but_a_refusal_is_one() {
    for (status, goes_on) in [(404, true), (405, true), (501, true), (401, false), (403, false)] {
        let certificates = Certificates::generate(&["localhost"]).unwrap();
        let (mut front, listener) = with_tcp(|| {
            let mut config = server_config();
            config.tls = certificates.clone().into();
            let front = Server::bind(config).unwrap();
            let address = front.local_addr();
            (front, address)
        })
        .await;
        let address = front.local_addr();
        let mut config = client_config(Trust::Fingerprints(certificates.fingerprints()));
        config.websocket_after = Some(FOREVER);
        let client = Client::new(config).unwrap();
        let refuse = async {
            arrive(&mut front).await.reject(http::StatusCode::from_u16(status).unwrap()).await;
            std::future::pending::<()>().await
        };
        let serve = async {
            let _served = serve_wss(listener, certificates).await;
            std::future::pending::<()>().await
        };
        let url = url("https", address, "/room?jwt=secret");
        let connected = tokio::select! {
            connected = soon(client.connect(&url)) => connected,
            () = refuse => unreachable!(),
            () = serve => unreachable!(),
        };
        match connected {
            Ok(connection) => assert!(goes_on && matches!(connection, AnyConnection::Qmux(_)), "{status}"),
            Err(ConnectError::Refused(refused)) => assert!(!goes_on && refused == status, "{status}: {refused}"),
            Err(error) => panic!("{status}: {error}"),
        }
    }
}

#[tokio::test]
async fn where_udp_passes_webtransport_wins_the_race() {
    let (mut server, _) = endpoints().await;
    let mut config = client_config(Trust::Fingerprints(server.fingerprints()));
    config.websocket_after = Some(Duration::ZERO);
    let client = Client::new(config).unwrap();
    let url = url("https", server.local_addr(), "/");
    // Nothing listens on TCP, so the other one fails first.
    let (connected, ()) = soon(async { tokio::join!(client.connect(&url), admit(&mut server)) }).await;
    assert!(matches!(connected.unwrap(), AnyConnection::Quic(_)));
}

/// A client whose WebSocket is there from the beginning, and whose QUIC is patient.
fn impatient(certificates: &Certificates, connect_timeout: Duration) -> Client {
    let mut config = client_config(Trust::Fingerprints(certificates.fingerprints()));
    config.websocket_after = Some(Duration::ZERO);
    config.connect_timeout = connect_timeout;
    config.quic.idle_timeout = Duration::from_secs(3600);
    Client::new(config).unwrap()
}

/// Answers whoever asks for a WebSocket over TLS with an HTTP status.
async fn refuse_wss(listener: TcpListener, certificates: &Certificates, status: StatusCode) {
    let tls = TlsAcceptor::from(Arc::new(ServerTls::from(certificates.clone()).tcp_config(&["http/1.1"]).unwrap()));
    let (tcp, _) = listener.accept().await.unwrap();
    answer(tls.accept(tcp).await.unwrap(), format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await;
}

#[tokio::test]
async fn a_websocket_waits_for_its_head_start_to_end() {
    assert_eq!(ClientConfig::default().websocket_after, Some(Duration::from_millis(200)));
    let certificates = Certificates::generate(&["localhost"]).unwrap();
    let (_silent, listener) = without_udp().await;
    let mut config = client_config(Trust::Fingerprints(certificates.fingerprints()));
    config.websocket_after = Some(Duration::from_millis(300));
    let client = Client::new(config).unwrap();
    let url = url("https", listener.local_addr().unwrap(), "/");
    let begun = Instant::now();
    soon(async {
        tokio::select! {
            connected = client.connect(&url) => panic!("{connected:?}"),
            _ = listener.accept() => {}
        }
    })
    .await;
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn where_nothing_answers_at_all_both_ways_are_told() {
    let certificates = Certificates::generate(&["localhost"]).unwrap();
    let (_silent, listener) = without_udp().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = impatient(&certificates, Duration::from_millis(200));
    let failed = soon(client.connect(&url("https", address, "/"))).await.unwrap_err().to_string();
    let told = format!("no answer over UDP within 200ms; over WebSocket: TCP to {address}: Connection refused (os error 111)");
    assert_eq!(failed, told);
}

#[tokio::test]
async fn a_refusal_over_websocket_is_told_where_udp_is_dropped() {
    for (status, is_refusal) in [(401, true), (403, true), (404, false)] {
        let status = StatusCode::from_u16(status).unwrap();
        let certificates = Certificates::generate(&["localhost"]).unwrap();
        let (_silent, listener) = without_udp().await;
        let url = url("https", listener.local_addr().unwrap(), "/room");
        let client = impatient(&certificates, Duration::from_secs(if is_refusal { 3600 } else { 3 }));
        let begun = Instant::now();
        let refuse = refuse_wss(listener, &certificates, status);
        let (connected, ()) = soon(async { tokio::join!(client.connect(&url), refuse) }).await;
        match connected.unwrap_err() {
            ConnectError::Refused(told) => assert!(is_refusal && told == status, "{told}"),
            ConnectError::Unanswered { websocket, .. } => {
                assert!(!is_refusal && matches!(*websocket, ConnectError::Refused(told) if told == status), "{websocket}");
            }
            error => panic!("{status}: {error}"),
        }
        assert!(begun.elapsed() >= Duration::from_secs(1), "QUIC had its time");
    }
}

#[tokio::test]
async fn a_refusal_over_websocket_does_not_keep_a_slow_quic_out() {
    let certificates = Certificates::generate(&["localhost"]).unwrap();
    let (mut server, listener) = with_tcp(|| {
        let mut config = server_config();
        config.tls = certificates.clone().into();
        let server = Server::bind(config).unwrap();
        let address = server.local_addr();
        (server, address)
    })
    .await;
    let url = url("https", server.local_addr(), "/room");
    let client = impatient(&certificates, Duration::from_secs(30));
    // Somebody else's site, on the port of the same number.
    let refuse_first = async {
        refuse_wss(listener, &certificates, StatusCode::FORBIDDEN).await;
        admit(&mut server).await;
    };
    let (connected, ()) = soon(async { tokio::join!(client.connect(&url), refuse_first) }).await;
    assert!(matches!(connected.unwrap(), AnyConnection::Quic(_)));
}

/// A development relay's page of its certificate.
async fn answer_pin(listener: &TcpListener, pin: Fingerprint) {
    answer(listener.accept().await.unwrap().0, format!("HTTP/1.0 200 OK\r\n\r\n{pin}")).await;
}

/// Answers one request in the clear with a status alone.
async fn refuse(listener: &TcpListener, status: u16) {
    let status = StatusCode::from_u16(status).unwrap();
    answer(listener.accept().await.unwrap().0, format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await;
}

fn client_with(head_start: Duration) -> Client {
    let mut config = client_config(Trust::System);
    config.websocket_after = Some(head_start);
    Client::new(config).unwrap()
}

fn pin_of_nobody() -> Fingerprint {
    Certificates::generate(&["localhost"]).unwrap().fingerprints()[0]
}

#[tokio::test]
async fn a_development_relay_without_udp_is_reached_over_a_websocket_in_the_clear() {
    let (_silent, listener) = without_udp().await;
    let url = url("http", listener.local_addr().unwrap(), "/room?jwt=secret#fragment");
    let client = client_with(Duration::from_millis(1));
    let serve = async {
        let (pinning, _) = listener.accept().await.unwrap();
        let early = timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(early.is_err(), "QUIC has its head start once there is a certificate to believe");
        answer(pinning, format!("HTTP/1.0 200 OK\r\n\r\n{}", pin_of_nobody())).await;
        serve_ws(&listener).await
    };
    let (connected, _served) = soon(async { tokio::join!(client.connect(&url), serve) }).await;
    assert!(matches!(connected.unwrap(), AnyConnection::Qmux(_)));
}

#[tokio::test]
async fn a_server_that_tells_no_certificate_is_tried_over_a_websocket_at_once() {
    let (_silent, listener) = without_udp().await;
    let url = url("http", listener.local_addr().unwrap(), "/room?jwt=secret");
    let serve = async {
        refuse(&listener, 404).await;
        serve_ws(&listener).await
    };
    let client = client_with(FOREVER);
    let (connected, _served) = soon(async { tokio::join!(client.connect(&url), serve) }).await;
    assert!(matches!(connected.unwrap(), AnyConnection::Qmux(_)));

    for status in [401, 404] {
        let refuse_both = async {
            refuse(&listener, 404).await;
            refuse(&listener, status).await;
        };
        let client = client_with(FOREVER);
        let (connected, ()) = soon(async { tokio::join!(client.connect(&url), refuse_both) }).await;
        match connected.unwrap_err() {
            ConnectError::Refused(told) => assert!(status == 401 && told == status, "{told}"),
            ConnectError::Pin(PinError::Status(told)) => assert!(status == 404 && told == status, "{told}"),
            error => panic!("{status}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_token_does_not_leave_the_machine_in_the_clear() {
    // Not a loopback address, though TCP gets there; QUIC does not go to it.
    let (_silent, listener) = without_udp().await;
    let port = listener.local_addr().unwrap().port();
    for (query, goes_on) in [("?jwt=secret", false), ("", true)] {
        let url = format!("http://0.0.0.0:{port}/room{query}").parse().unwrap();
        let client = client_with(FOREVER);
        let is_asked = AtomicBool::new(false);
        let serve = async {
            answer_pin(&listener, pin_of_nobody()).await;
            drop(listener.accept().await.unwrap());
            is_asked.store(true, Ordering::Relaxed);
            std::future::pending::<()>().await
        };
        let failed = tokio::select! {
            biased;
            () = serve => unreachable!(),
            connected = soon(client.connect(&url)) => connected.unwrap_err(),
        };
        assert!(matches!(failed, ConnectError::Setup(_)), "{failed}");
        assert_eq!(is_asked.into_inner(), goes_on, "{query}");
    }
}

#[tokio::test]
async fn where_a_websocket_has_won_the_next_one_starts_at_once() {
    let (_silent, listener) = without_udp().await;
    let url = url("http", listener.local_addr().unwrap(), "/room?jwt=secret");
    let client = client_with(FOREVER);
    let serve = async {
        refuse(&listener, 404).await;
        let _first = serve_ws(&listener).await;
        answer_pin(&listener, pin_of_nobody()).await;
        let _second = serve_ws(&listener).await;
        std::future::pending::<()>().await
    };
    // A clone knows what its original has learnt.
    let connect_twice = async {
        client.clone().connect(&url).await.unwrap();
        client.connect(&url).await.unwrap()
    };
    let connected = tokio::select! {
        connected = soon(connect_twice) => connected,
        () = serve => unreachable!(),
    };
    assert!(matches!(connected, AnyConnection::Qmux(_)));
}

#[tokio::test]
async fn quic_that_passes_again_is_preferred_and_has_its_head_start_back() {
    let (mut server, listener) = with_tcp(|| {
        let server = Server::bind(server_config()).unwrap();
        let address = server.local_addr();
        (server, address)
    })
    .await;
    let pin = server.fingerprints()[0];
    let url = url("http", server.local_addr(), "/room?jwt=secret");
    let client = client_with(FOREVER);
    let serve = async {
        refuse(&listener, 404).await;
        let _first = serve_ws(&listener).await;

        answer_pin(&listener, pin).await;
        let late = arrive(&mut server).await;
        let _second = serve_ws(&listener).await;
        // More than QUIC has where its handshake is not done.
        sleep(Duration::from_millis(60)).await;
        let _preferred = late.accept().await.unwrap();

        answer_pin(&listener, pin).await;
        let alone = arrive(&mut server).await;
        assert!(timeout(Duration::from_millis(100), listener.accept()).await.is_err(), "QUIC has won since");
        let _third = alone.accept().await.unwrap();
        std::future::pending::<()>().await
    };
    let connect_thrice = async {
        assert!(matches!(client.connect(&url).await.unwrap(), AnyConnection::Qmux(_)));
        assert!(matches!(client.connect(&url).await.unwrap(), AnyConnection::Quic(_)));
        assert!(matches!(client.connect(&url).await.unwrap(), AnyConnection::Quic(_)));
    };
    tokio::select! {
        () = soon(connect_thrice) => {}
        () = serve => unreachable!(),
    }
}
