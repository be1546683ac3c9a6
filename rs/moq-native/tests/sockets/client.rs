//! Where a client gets to by URL, and what it says when it does not.

use std::{net::SocketAddr, time::Duration};

use moq_lite::transport::Connection;
use moq_native::{
    Client, ConnectError, PinError, Server,
    tls::{Certificates, Trust},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};

use crate::pair::*;

fn client(trust: Trust) -> Client {
    Client::new(client_config(trust)).unwrap()
}

/// What `bind` puts on a port of UDP, and a listener on the same port of TCP; somebody else may have that of some.
pub(crate) async fn with_tcp<T>(bind: impl Fn() -> (T, SocketAddr)) -> (T, TcpListener) {
    loop {
        let (bound, address) = bind();
        if let Ok(listener) = TcpListener::bind(address).await {
            return (bound, listener);
        }
    }
}

/// Accepts one peer.
pub(crate) async fn admit(server: &mut Server) {
    soon(arrive(server).await.accept()).await.unwrap();
}

/// Answers one HTTP request, once it is read, with `answer`.
pub(crate) async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: String) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}

async fn answer_at(listener: TcpListener, page: String) -> String {
    answer(listener.accept().await.unwrap().0, page).await
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
        soon(async { tokio::join!(client.connect(&url), answer_at(listener, page), admit(&mut server)) }).await;

    assert_eq!(connected.unwrap().protocol(), Some("moq-lite-06"));
    assert_eq!(request, format!("GET /certificate.sha256?all HTTP/1.0\r\nHost: {address}\r\n\r\n"));
}

#[tokio::test]
async fn without_a_page_there_is_no_pin() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url("http", listener.local_addr().unwrap(), "/");
    let client = client(Trust::System);
    let page = "HTTP/1.1 404 Not Found\r\n\r\n".to_owned();
    let (connected, _) = soon(async { tokio::join!(client.connect(&url), answer_at(listener, page)) }).await;
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

#[tokio::test]
async fn a_websocket_that_is_refused_says_with_which_status() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url("ws", listener.local_addr().unwrap(), "/room");
    let client = client(Trust::Anyone);
    let page = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_owned();
    let (connected, request) = soon(async { tokio::join!(client.connect(&url), answer_at(listener, page)) }).await;
    assert!(matches!(connected, Err(ConnectError::Refused(http::StatusCode::FORBIDDEN))), "{connected:?}");
    assert!(request.starts_with("GET /room HTTP/1.1\r\n"), "{request}");
}

#[tokio::test]
async fn who_shows_another_certificate_is_told_with_its_fingerprint() {
    let (mut server, _) = endpoints().await;
    let shown = server.fingerprints()[0];
    let client = client(Trust::Fingerprints(Certificates::generate(&["localhost"]).unwrap().fingerprints()));
    let url = url("moqt", server.local_addr(), "/");
    let refused = soon(async {
        tokio::select! {
            connected = client.connect(&url) => connected.unwrap_err(),
            _ = arrive(&mut server) => unreachable!("nobody gets through"),
        }
    });
    let told = format!("the certificate shown has the SHA-256 {shown}, which is none of the fingerprints that are believed");
    let refused = refused.await.to_string();
    assert!(refused.ends_with(&told), "{refused}");
}

#[tokio::test]
async fn a_user_in_a_url_is_nobody_elses_business() {
    let (mut server, client) = endpoints().await;
    let address = server.local_addr();
    let url: url::Url = format!("https://me:secret@{address}/room").parse().unwrap();
    let meet = async {
        let incoming = arrive(&mut server).await;
        assert_eq!(incoming.authority(), Some(&*address.to_string()));
        incoming.accept().await
    };
    let (connected, _) = soon(async { tokio::join!(client.connect(&url), meet) }).await;
    connected.unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://me:secret@{}/room", listener.local_addr().unwrap()).parse().unwrap();
    let page = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_owned();
    let (_, request) = soon(async { tokio::join!(client.connect(&url), answer_at(listener, page)) }).await;
    assert!(!request.contains("me") && !request.contains("secret"), "{request}");
}
