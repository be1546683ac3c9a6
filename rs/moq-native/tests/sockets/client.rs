//! Where a client gets to by URL, and what it says when it does not.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};
use moq_lite::transport::Connection;
use moq_native::{
    AnyConnection, Client, ConnectError, PinError, Server,
    backend::qmux,
    tls::{Certificates, ServerTls, Trust},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::pair::*;

fn client(trust: Trust) -> Client {
    Client::new(client_config(trust)).unwrap()
}

/// What `bind` puts on a port of UDP, and a listener on the same port of TCP; somebody else may have that of some.
async fn with_tcp<T>(bind: impl Fn() -> (T, SocketAddr)) -> (T, TcpListener) {
    loop {
        let (bound, address) = bind();
        if let Ok(listener) = TcpListener::bind(address).await {
            return (bound, listener);
        }
    }
}

/// Accepts one peer.
async fn admit(server: &mut Server) {
    soon(arrive(server).await.accept()).await.unwrap();
}

/// Answers one HTTP request, once it is read, with `answer`.
async fn answer(listener: TcpListener, answer: String) -> String {
    let (mut tcp, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(tcp.read_u8().await.unwrap());
    }
    tcp.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}

#[tokio::test]
async fn a_development_server_is_pinned_by_what_it_says_over_http() {
    // The page is on the TCP port of the same number.
    let (mut server, listener) = with_tcp(|| {
        let server = Server::bind(server_config()).unwrap();
        let address = server.local_addr();
        (server, address)
    })
    .await;
    let address = server.local_addr();
    let page = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n{}", server.fingerprints()[0]);

    let client = client(Trust::System);
    let url = url("http", address, "/room?jwt=secret");
    let (connected, request, ()) =
        soon(async { tokio::join!(client.connect(&url), answer(listener, page), admit(&mut server)) }).await;

    assert_eq!(connected.unwrap().protocol(), Some("moq-lite-06"));
    assert_eq!(request, format!("GET /certificate.sha256?all HTTP/1.0\r\nHost: {address}\r\n\r\n"));
}

#[tokio::test]
async fn without_a_page_there_is_no_pin() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url("http", listener.local_addr().unwrap(), "/");
    let client = client(Trust::System);
    let page = "HTTP/1.1 404 Not Found\r\n\r\n".to_owned();
    let (connected, _) = soon(async { tokio::join!(client.connect(&url), answer(listener, page)) }).await;
    assert!(matches!(connected, Err(ConnectError::Pin(PinError::Status(http::StatusCode::NOT_FOUND)))), "{connected:?}");
}

#[tokio::test]
async fn trust_decides_who_is_spoken_to() {
    let (mut server, _) = endpoints().await;
    let url = url("https", server.local_addr(), "/");
    let other = Certificates::generate(&["localhost"]).unwrap().fingerprints();
    for (trust, believed) in [
        (Trust::Anyone, true),
        (Trust::Fingerprints(server.fingerprints()), true),
        (Trust::Fingerprints(other), false),
        (Trust::Fingerprints(Vec::new()), false),
        (Trust::Roots(Vec::new()), false),
    ] {
        let name = format!("{trust:?}");
        let client = client(trust);
        let connected = soon(async {
            tokio::select! {
                connected = client.connect(&url) => connected,
                () = async { loop { admit(&mut server).await } } => unreachable!(),
            }
        })
        .await;
        assert_eq!(connected.is_ok(), believed, "{name}: {connected:?}");
    }
}

#[tokio::test]
async fn a_url_says_what_is_wrong_with_it() {
    let client = client(Trust::Anyone);
    for (url, expected) in [
        ("ftp://localhost/", r#"no transport goes by "ftp"; use https, moqt, moql, wss, ws, tcp, unix or http"#),
        ("moqt:opaque", "the URL names no host"),
        ("tcp://localhost/", "the URL names no port, and tcp has none of its own"),
        ("unix://here/", "the URL names no absolute path of a socket, as in unix:///run/moq.sock"),
        ("unix:///nowhere/at/all", "Unix socket /nowhere/at/all: No such file or directory (os error 2)"),
    ] {
        assert_eq!(client.connect(&url.parse().unwrap()).await.unwrap_err().to_string(), expected);
    }
    let nobody = client.connect(&"https://nobody..invalid/".parse().unwrap()).await.unwrap_err();
    assert!(nobody.to_string().starts_with("looking up nobody..invalid: "), "{nobody}");
}

#[tokio::test]
async fn a_server_that_is_silent_is_given_up() {
    // A socket that nobody reads.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut config = client_config(Trust::Anyone);
    config.connect_timeout = Duration::from_millis(100);
    let client = Client::new(config).unwrap();
    let url = url("moqt", silent.local_addr().unwrap(), "/");
    assert!(matches!(soon(client.connect(&url)).await, Err(ConnectError::Late(_))));
}

/// Serves one WebSocket over TLS, whatever its path.
#[allow(clippy::result_large_err, reason = "the callback of a handshake is the library's to shape")]
async fn serve_wss(listener: TcpListener, certificates: Certificates) -> AnyConnection {
    let tls = TlsAcceptor::from(Arc::new(ServerTls::from(certificates).tcp_config(&["http/1.1"]).unwrap()));
    let (tcp, _) = listener.accept().await.unwrap();
    let answer = |request: &Request, mut response: Response| {
        assert_eq!(request.uri(), "/room?jwt=secret");
        assert!(request.headers()[SEC_WEBSOCKET_PROTOCOL].to_str().unwrap().starts_with("qmux-01.moq-lite-06, qmux-00."));
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("qmux-01.moq-lite-06"));
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(tls.accept(tcp).await.unwrap(), answer).await.unwrap();
    qmux::accept(socket, Some("qmux-01.moq-lite-06")).into()
}

#[tokio::test]
async fn where_udp_is_dropped_a_websocket_wins_the_race() {
    let certificates = Certificates::generate(&["localhost"]).unwrap();
    // Takes packets and says nothing, as a firewall does.
    let (_silent, listener) = with_tcp(|| {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        (silent, address)
    })
    .await;
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
        config.websocket_after = Some(Duration::from_secs(1));
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

#[tokio::test]
async fn a_websocket_that_is_refused_says_with_which_status() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url("ws", listener.local_addr().unwrap(), "/room");
    let client = client(Trust::Anyone);
    let page = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_owned();
    let (connected, request) = soon(async { tokio::join!(client.connect(&url), answer(listener, page)) }).await;
    assert!(matches!(connected, Err(ConnectError::Refused(http::StatusCode::FORBIDDEN))), "{connected:?}");
    assert!(request.starts_with("GET /room HTTP/1.1\r\n"), "{request}");
}
