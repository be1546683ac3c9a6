//! Pairs of connections over every transport, on loopback, and what a session does with them by name.

use std::{
    future::poll_fn,
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};
use moq_lite::transport::{BiStream, Chunks, Connection, ConnectionError, Rank, RecvStream, SendStream, StreamError};
use moq_native::{
    AnyConnection, AnyRecvStream, AnySendStream, Client, ClientConfig, Incoming, Server, ServerConfig,
    backend::qmux,
    tls::{Certificates, Trust},
};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::{
    client::IntoClientRequest as _,
    handshake::server::{Request, Response},
};
use url::Url;

/// What carries a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Quic,
    WebTransport,
    Tcp,
    Unix,
    /// A WebSocket whose client offers this alone. `None`: it offers nothing.
    WebSocket(Option<&'static str>),
}

impl Carrier {
    pub(crate) const ALL: [Self; 9] = [
        Self::Quic,
        Self::WebTransport,
        Self::Tcp,
        Self::Unix,
        Self::WebSocket(Some("qmux-01.moq-lite-05")),
        Self::WebSocket(Some("qmux-00.moq-lite-05")),
        Self::WebSocket(Some("qmux-02")),
        Self::WebSocket(Some("webtransport")),
        Self::WebSocket(None),
    ];

    /// Whether the peer says how many streams and bytes it takes.
    pub(crate) fn has_credit(self) -> bool {
        !matches!(self, Self::WebSocket(None | Some("webtransport")))
    }

    pub(crate) fn has_datagrams(self) -> bool {
        !matches!(self, Self::WebSocket(None | Some("webtransport" | "qmux-00.moq-lite-05")))
    }
}

/// Both sides of one connection.
pub(crate) struct Pair {
    pub(crate) client: AnyConnection,
    pub(crate) server: AnyConnection,
}

impl Pair {
    pub(crate) async fn connect(carrier: Carrier) -> Self {
        match carrier {
            Carrier::Quic | Carrier::WebTransport | Carrier::Tcp | Carrier::Unix => Self::dial(carrier).await,
            Carrier::WebSocket(offered) => Self::over_websocket(offered).await,
        }
    }

    async fn dial(carrier: Carrier) -> Self {
        let directory = Directory::new();
        let mut config = server_config();
        config.tcp = Some("127.0.0.1:0".parse().unwrap());
        config.unix = Some(directory.0.join("socket"));
        let mut server = Server::bind(config).unwrap();
        let client = client_of(&server);
        let url = match carrier {
            Carrier::Quic => url("moqt", server.local_addr(), "/room?jwt=token"),
            Carrier::Tcp => url("tcp", server.tcp_addr().unwrap(), "/room?jwt=token"),
            Carrier::Unix => format!("unix://{}?path=/room", directory.0.join("socket").display()).parse().unwrap(),
            _ => url("https", server.local_addr(), "/room?jwt=token"),
        };
        let (client, server) = tokio::join!(client.connect(&url), async { arrive(&mut server).await.accept().await });
        Self { client: client.unwrap(), server: server.unwrap() }
    }

    #[allow(clippy::result_large_err, reason = "the callback of a handshake is the library's to shape")]
    async fn over_websocket(offered: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async {
            let (tcp, _) = listener.accept().await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let mut chosen = None;
            let answer = |request: &Request, mut response: Response| {
                let offered = request.headers().get(SEC_WEBSOCKET_PROTOCOL).map(|offered| offered.to_str().unwrap());
                let offered: Vec<&str> = offered.iter().flat_map(|offered| offered.split(", ")).collect();
                chosen = qmux::negotiate(&offered, moq_proto::Version::ALPNS).unwrap();
                if let Some(chosen) = &chosen {
                    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, chosen.parse().unwrap());
                }
                Ok(response)
            };
            let socket = tokio_tungstenite::accept_hdr_async(tcp, answer).await.unwrap();
            qmux::accept(socket, chosen.as_deref()).into()
        };
        let dial = async {
            let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let mut request = url("ws", address, "/").as_str().into_client_request().unwrap();
            let offer = offered.map(|offered| (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offered)));
            request.headers_mut().extend(offer);
            let (socket, _) = tokio_tungstenite::client_async(request, tcp).await.unwrap();
            qmux::connect(socket, offered).into()
        };
        let (server, client) = tokio::join!(serve, dial);
        Self { client, server }
    }

    /// The pair, and the same with its sides exchanged.
    pub(crate) fn both_ways(&self) -> [(AnyConnection, AnyConnection); 2] {
        [(self.client.clone(), self.server.clone()), (self.server.clone(), self.client.clone())]
    }
}

/// A directory of its own, gone with the test.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("moq-native-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server on a free port of loopback, and a client that believes it.
pub(crate) async fn endpoints() -> (Server, Client) {
    let server = Server::bind(server_config()).unwrap();
    let client = client_of(&server);
    (server, client)
}

/// A client that believes `server`.
pub(crate) fn client_of(server: &Server) -> Client {
    Client::new(client_config(Trust::Fingerprints(server.fingerprints()))).unwrap()
}

/// On loopback, over the one transport that a URL names.
pub(crate) fn client_config(trust: Trust) -> ClientConfig {
    let mut config = ClientConfig::default();
    config.bind = "127.0.0.1:0".parse().unwrap();
    config.trust = trust;
    config.websocket_after = None;
    config
}

pub(crate) fn server_config() -> ServerConfig {
    ServerConfig::new("127.0.0.1:0".parse().unwrap(), Certificates::generate(&["localhost"]).unwrap())
}

pub(crate) fn url(scheme: &str, address: SocketAddr, rest: &str) -> Url {
    format!("{scheme}://{address}{rest}").parse().unwrap()
}

/// The next peer of a server that stays open.
pub(crate) async fn arrive(server: &mut Server) -> Incoming {
    server.accept().await.expect("the server is open")
}

pub(crate) async fn open_uni(connection: &mut AnyConnection) -> AnySendStream {
    poll_fn(|cx| connection.poll_open_uni(cx, Rank(0))).await.unwrap()
}

/// Opens a unidirectional stream and writes what has to stand first on it.
pub(crate) async fn open_uni_with(connection: &mut AnyConnection, bytes: &[u8]) -> AnySendStream {
    let mut stream = open_uni(connection).await;
    write(&mut stream, [connection.uni_prefix(), Bytes::copy_from_slice(bytes)]).await.unwrap();
    stream
}

pub(crate) async fn open_bi(connection: &mut AnyConnection) -> BiStream<AnyConnection> {
    poll_fn(|cx| connection.poll_open_bi(cx, Rank(0))).await.unwrap()
}

pub(crate) async fn accept_uni(connection: &mut AnyConnection) -> AnyRecvStream {
    poll_fn(|cx| connection.poll_accept_uni(cx)).await.unwrap()
}

pub(crate) async fn accept_bi(connection: &mut AnyConnection) -> BiStream<AnyConnection> {
    poll_fn(|cx| connection.poll_accept_bi(cx)).await.unwrap()
}

pub(crate) async fn closed(connection: &mut AnyConnection) -> ConnectionError {
    poll_fn(|cx| connection.poll_closed(cx)).await
}

pub(crate) async fn acked(stream: &mut AnySendStream) -> Result<(), StreamError> {
    poll_fn(|cx| stream.poll_acked(cx)).await
}

/// Writes everything, waiting for room.
pub(crate) async fn write(stream: &mut AnySendStream, bytes: impl IntoIterator<Item = Bytes>) -> Result<(), StreamError> {
    let mut chunks = Chunks::new();
    bytes.into_iter().for_each(|slice| chunks.push(slice));
    poll_fn(|cx| match stream.try_write(cx, &mut chunks) {
        Ok(_) if !chunks.is_empty() => Poll::Pending,
        Ok(_) => Poll::Ready(Ok(())),
        Err(error) => Poll::Ready(Err(error)),
    })
    .await
}

/// What arrived since the last read. Empty: the stream is finished.
pub(crate) async fn read(stream: &mut AnyRecvStream) -> Result<Vec<u8>, StreamError> {
    let mut burst = Vec::new();
    poll_fn(|cx| stream.poll_read(cx, &mut burst)).await?;
    Ok(burst.concat())
}

/// Everything up to the end of the stream.
pub(crate) async fn read_to_end(stream: &mut AnyRecvStream) -> Result<Vec<u8>, StreamError> {
    let mut all = Vec::new();
    loop {
        match read(stream).await? {
            bytes if bytes.is_empty() => return Ok(all),
            bytes => all.extend(bytes),
        }
    }
}

/// Writes until the stream takes no more, or `limit` bytes went in.
pub(crate) fn fill(cx: &mut Context<'_>, stream: &mut AnySendStream, limit: usize) -> usize {
    let mut total = 0;
    while total < limit {
        let mut chunks = Chunks::from(Bytes::from(vec![0; 16 * 1024]));
        total += stream.try_write(cx, &mut chunks).unwrap();
        if !chunks.is_empty() {
            break;
        }
    }
    total
}

/// Fails a test that waits for what never comes.
pub(crate) async fn soon<T>(story: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), story).await.expect("what is waited for happens")
}
