//! Where a client gets to by URL, and what it says when it does not.

use moq_lite::transport::Connection;
use moq_native::{
    Client, ClientConfig, ConnectError, PinError, Server,
    tls::{Certificates, Trust},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::pair::*;

fn client(trust: Trust) -> Client {
    let mut config = ClientConfig::default();
    config.bind = "127.0.0.1:0".parse().unwrap();
    config.trust = trust;
    Client::new(config).unwrap()
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
    let (mut server, _) = endpoints().await;
    let address = server.local_addr();
    // The page is on the TCP port of the same number.
    let listener = TcpListener::bind(address).await.unwrap();
    let page = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n{}", server.fingerprints()[0]);

    let client = client(Trust::System);
    let url = url("http", address, "/room?jwt=secret");
    let (connected, request, ()) =
        soon(async { tokio::join!(client.connect(&url), answer(listener, page), admit(&mut server)) }).await;

    assert_eq!(connected.unwrap().protocol(), Some("moq-lite-06"));
    assert_eq!(request, format!("GET /certificate.sha256 HTTP/1.0\r\nHost: {address}\r\n\r\n"));
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
        let mut config = ClientConfig::default();
        config.bind = "127.0.0.1:0".parse().unwrap();
        config.trust = trust;
        config.websocket_after = None;
        let client = Client::new(config).unwrap();
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
        ("ftp://localhost/", r#"no transport goes by "ftp"; use https, moqt, moql, wss, ws or http"#),
        ("moqt:opaque", "the URL names no host"),
    ] {
        assert_eq!(client.connect(&url.parse().unwrap()).await.unwrap_err().to_string(), expected);
    }
    let nobody = client.connect(&"https://nobody.invalid/".parse().unwrap()).await.unwrap_err();
    assert!(nobody.to_string().starts_with("looking up nobody.invalid: "), "{nobody}");
}

#[tokio::test]
async fn a_server_that_is_silent_is_given_up() {
    // A socket that nobody reads.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut config = ClientConfig::default();
    config.bind = "127.0.0.1:0".parse().unwrap();
    config.trust = Trust::Anyone;
    config.connect_timeout = std::time::Duration::from_millis(100);
    let client = Client::new(config).unwrap();
    let url = url("moqt", silent.local_addr().unwrap(), "/");
    assert!(matches!(soon(client.connect(&url)).await, Err(ConnectError::Late(_))));
}
