//! Client: a connection to a URL, over the transport that its scheme names.
//!
//! | scheme | transport |
//! |---|---|
//! | `https` | WebTransport; a WebSocket joins the race after a head start |
//! | `moqt`, `moql` | raw QUIC |
//! | `wss`, `ws` | WebSocket, with TLS and without |
//! | `tcp`, `unix` | qmux in the clear, to a host and port or to the path of a socket |
//! | `http` | as `https`, with the certificate that `/certificate.sha256` names, and no TLS for the WebSocket; for development |
//!
//! The path and query of the URL go with the request. Raw QUIC, TCP and Unix sockets have none, so there the session puts them
//! into its SETUP; for a Unix socket it is the query key `path`, since the URL's own path is the socket's.

mod bytes;
mod pin;
mod quic;
mod resolve;
mod websocket;
mod wins;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use quinn::crypto::rustls::QuicClientConfig;
use tokio::{sync::oneshot, time::timeout};
use tracing::debug;
use url::Url;

use self::wins::Wins;
use crate::{
    AnyConnection, ClientConfig, TlsError,
    backend::qmux::BytesError,
    socket,
    tls::{FingerprintError, Trust, TrustError},
};

/// What a WebSocket's TLS agrees on.
const HTTP1: &str = "http/1.1";

/// How much longer QUIC may keep silent once the WebSocket that joined the race was refused: a handshake over the slowest path that
/// is of any use. What was refused may not have been the relay.
const AFTER_REFUSAL: Duration = Duration::from_secs(2);

/// How much longer than a WebSocket that did not wait for it QUIC may take: its cryptography, where a plain WebSocket has none.
/// Each reconnect without UDP takes so much longer.
const AFTER_WEBSOCKET: Duration = Duration::from_millis(20);

/// The same where its handshake is done, so that UDP passes: the request and its answer, on a path across the world.
const AFTER_HANDSHAKE: Duration = Duration::from_millis(500);

/// Connects to servers. Clones share one UDP socket, and what is [remembered](Self::connect) of races.
#[derive(Clone, Debug)]
pub struct Client {
    config: Arc<ClientConfig>,
    endpoint: quinn::Endpoint,
    http3: quinn::ClientConfig,
    raw: quinn::ClientConfig,
    https: Arc<rustls::ClientConfig>,
    websocket_wins: Arc<Wins>,
}

/// Why a client could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    #[error("opening a UDP socket: {0}")]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("setting up TLS: {0}")]
    Tls(#[from] TlsError),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    #[error("no transport goes by {0:?}; use https, moqt, moql, wss, ws, tcp, unix or http")]
    Scheme(String),
    #[error("the URL names no host")]
    Host,
    #[error("the URL names no port, and tcp has none of its own")]
    Port,
    #[error("the URL names no absolute path of a socket, as in unix:///run/moq.sock")]
    Path,
    #[error("looking up {host}: {source}")]
    Resolve { host: String, source: io::Error },
    /// The server understood and said no.
    #[error("the server answered {0}")]
    Refused(StatusCode),
    #[error("no connection within {0:?}")]
    Late(Duration),
    #[error(transparent)]
    Setup(#[from] quinn::ConnectError),
    #[error("QUIC: {0}")]
    Quic(#[from] quinn::ConnectionError),
    #[error("WebTransport: {0}")]
    WebTransport(web_transport_quinn::ClientError),
    /// Neither a WebSocket nor QUIC got anywhere, and of QUIC nothing was heard at all.
    #[error("no answer over UDP within {limit:?}; over WebSocket: {websocket}")]
    Unanswered { limit: Duration, websocket: Box<ConnectError> },
    #[error("TCP to {address}: {source}")]
    TcpTo { address: SocketAddr, source: io::Error },
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("TCP: {0}")]
    Tcp(io::Error),
    #[error("Unix socket {}: {source}", path.display())]
    Unix { path: PathBuf, source: io::Error },
    #[error("qmux: {0}")]
    Qmux(#[from] BytesError),
    #[error("WebSocket: {0}")]
    WebSocket(Box<tokio_tungstenite::tungstenite::Error>),
    #[error("asking for the certificate to pin: {0}")]
    Pin(#[from] PinError),
    /// An `http` URL has a query, where tokens are, and its host is another machine.
    #[error("the token in the URL would go in the clear; a ws:// URL says that it may")]
    InTheClear,
}

/// Why the fingerprint of a server's certificate is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the answer is not HTTP")]
    NotHttp,
    #[error("the server answered {0}")]
    Status(StatusCode),
    #[error(transparent)]
    Fingerprint(#[from] FingerprintError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Client {
    /// Opens the socket that all QUIC connections share. Call it inside a tokio runtime, which then carries the connections.
    ///
    /// # Errors
    /// When there is no socket to be had, or nobody to trust.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let socket = socket::udp(config.bind)?;
        let endpoint = quinn::Endpoint::new(quinn::EndpointConfig::default(), None, socket, Arc::new(quinn::TokioRuntime))?;
        Ok(Self {
            endpoint,
            http3: quic_config(&config, tls(&config.trust, &config, &[web_transport_quinn::ALPN])?)?,
            raw: quic_config(&config, tls(&config.trust, &config, &config.protocols)?)?,
            https: Arc::new(tls(&config.trust, &config, &[HTTP1])?),
            websocket_wins: Arc::default(),
            config: Arc::new(config),
        })
    }

    /// Connects to `url`.
    ///
    /// Where a WebSocket has won the race for an `https` or `http` URL it starts without
    /// [delay](ClientConfig::websocket_after) the next time. QUIC is tried beside it, is preferred if it is there at about the
    /// same time, and has its head start back once it has won. The last 64 hosts and ports are remembered.
    ///
    /// The query of an `http` URL may hold a token: it is no part of the request for the certificate, and does not go over a
    /// WebSocket in the clear, unless the host is this machine.
    ///
    /// # Errors
    /// When the server cannot be found, cannot be trusted, refuses, or takes longer than the configured time. Of two
    /// transports that failed, the first tells why, unless it heard nothing.
    ///
    /// # Cancel safety
    /// Dropping the call abandons the attempt.
    pub async fn connect(&self, url: &Url) -> Result<AnyConnection, ConnectError> {
        if !matches!(url.scheme(), "https" | "http") {
            return Box::pin(self.in_time(self.by_scheme(url))).await;
        }
        // Boxed, for two handshakes side by side are 25 kB that would lie in every future around this one.
        let connection = Box::pin(self.race(url)).await?;
        self.websocket_wins.settle(url, matches!(connection, AnyConnection::Qmux(_)));
        Ok(connection)
    }

    async fn in_time<T>(&self, attempt: impl Future<Output = Result<T, ConnectError>>) -> Result<T, ConnectError> {
        let limit = self.config.connect_timeout;
        timeout(limit, attempt).await.unwrap_or(Err(ConnectError::Late(limit)))
    }

    /// All that is not raced.
    async fn by_scheme(&self, url: &Url) -> Result<AnyConnection, ConnectError> {
        match url.scheme() {
            "moqt" | "moql" => Ok(quic::raw(&self.endpoint, &self.raw, url).await?.into()),
            "wss" => self.websocket(url, Some(&self.https)).await,
            "ws" => self.websocket(url, None).await,
            "tcp" => Ok(bytes::tcp(url, &self.config.protocols).await?.into()),
            "unix" => Ok(bytes::unix(url, &self.config.protocols).await?.into()),
            other => Err(ConnectError::Scheme(other.to_owned())),
        }
    }

    /// WebTransport, and after a head start a WebSocket beside it: networks that drop UDP leave no other way.
    async fn race(&self, url: &Url) -> Result<AnyConnection, ConnectError> {
        let is_secure = url.scheme() == "https";
        let (dials, dialed) = oneshot::channel();
        let (running, ended) = oneshot::channel::<()>();
        let is_open = AtomicBool::new(false);
        let web_transport = self.in_time(async {
            let _running = running;
            let config = if is_secure { self.http3.clone() } else { self.pinned(url).await? };
            // Nobody listens where no WebSocket waits for it.
            let _ = dials.send(());
            let connection = quic::dial(&self.endpoint, &config, url).await?;
            is_open.store(true, Ordering::Relaxed);
            Ok(quic::web_transport(connection, url, &self.config.protocols).await?.into())
        });
        let Some(head_start) = self.config.websocket_after else {
            return web_transport.await;
        };
        let has_won = self.websocket_wins.contain(url);
        let websocket = self.in_time(async {
            // A head start is for who runs: not before there is a certificate to believe, nor once QUIC has failed.
            if dialed.await.is_ok() && !has_won {
                let _ = timeout(head_start, ended).await;
            }
            self.websocket_beside(url, is_secure).await
        });
        tokio::pin!(web_transport, websocket);
        tokio::select! {
            biased;
            connected = &mut web_transport => match connected {
                Ok(_) => connected,
                // Whoever says no does so on every transport.
                Err(refused) if is_refusal(&refused) => Err(refused),
                Err(failed) => websocket.await.map_err(|error| {
                    debug!(%error, "WebSocket failed too");
                    outcome(self.config.connect_timeout, failed, error)
                }),
            },
            connected = &mut websocket => match connected {
                Ok(connection) if has_won => Ok(shortly_after(web_transport, &is_open).await.unwrap_or(connection)),
                Ok(connection) => Ok(connection),
                Err(error) => {
                    debug!(%error, "WebSocket failed first");
                    self.without_websocket(error, web_transport).await
                }
            },
        }
    }

    /// The rest of the race once the WebSocket has failed with `error`, which is told where QUIC hears nothing.
    async fn without_websocket<T>(
        &self,
        error: ConnectError,
        web_transport: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let limit = self.config.connect_timeout;
        let patience = if is_refusal(&error) { AFTER_REFUSAL } else { limit };
        let connected = timeout(patience, web_transport).await.unwrap_or(Err(ConnectError::Late(limit)));
        connected.map_err(|failed| outcome(limit, failed, error))
    }

    /// What QUIC is configured with where the server itself says over plain HTTP which certificate to believe.
    async fn pinned(&self, url: &Url) -> Result<quinn::ClientConfig, ConnectError> {
        let trust = Trust::Fingerprints(pin::fetch(url).await?);
        let tls = tls(&trust, &self.config, &[web_transport_quinn::ALPN]).map_err(PinError::from)?;
        Ok(quic_config(&self.config, tls).map_err(PinError::from)?)
    }

    async fn websocket_beside(&self, url: &Url, is_secure: bool) -> Result<AnyConnection, ConnectError> {
        if is_secure {
            self.websocket(url, Some(&self.https)).await
        } else if url.query().is_some_and(|query| !query.is_empty()) && !resolve::is_this_machine(url) {
            Err(ConnectError::InTheClear)
        } else {
            self.websocket(url, None).await
        }
    }

    async fn websocket(&self, url: &Url, tls: Option<&Arc<rustls::ClientConfig>>) -> Result<AnyConnection, ConnectError> {
        Ok(websocket::connect(url, tls, &self.config.protocols).await?.into())
    }
}

/// QUIC, if it comes a moment after a WebSocket that did not wait for it: so that one is found out about when UDP passes again.
async fn shortly_after<T>(web_transport: impl Future<Output = Result<T, ConnectError>>, is_open: &AtomicBool) -> Option<T> {
    tokio::pin!(web_transport);
    let connected = match timeout(AFTER_WEBSOCKET, &mut web_transport).await {
        Err(_) if is_open.load(Ordering::Relaxed) => timeout(AFTER_HANDSHAKE, web_transport).await,
        connected => connected,
    };
    connected.ok()?.ok()
}

/// Whether this may be the answer of an HTTP/3 server that knows nothing of WebTransport, such as a front before the relay.
fn lacks_web_transport(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
    )
}

/// Whether somebody understood and said no, rather than a front that knows of no sessions.
fn is_refusal(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Refused(status) if !lacks_web_transport(*status))
}

/// What two failures come to: what QUIC heard, and where that is nothing, what the WebSocket did. A refusal says more
/// than a page that is missing.
fn outcome(limit: Duration, web_transport: ConnectError, websocket: ConnectError) -> ConnectError {
    let knows_less = is_silence(&web_transport) || matches!(web_transport, ConnectError::Pin(_)) && is_refusal(&websocket);
    if !knows_less || is_silence(&websocket) {
        web_transport
    } else if is_refusal(&websocket) {
        websocket
    } else {
        ConnectError::Unanswered { limit, websocket: Box::new(websocket) }
    }
}

/// Whether nothing at all was heard of whoever may be there.
fn is_silence(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Late(_) | ConnectError::Quic(quinn::ConnectionError::TimedOut))
}

/// A TLS client that believes so, and shows what is configured.
fn tls(trust: &Trust, config: &ClientConfig, protocols: &[impl AsRef<str>]) -> Result<rustls::ClientConfig, TrustError> {
    let mut tls = trust.client_config(protocols)?;
    if let Some(identity) = &config.identity {
        tls.client_auth_cert_resolver = identity.resolver();
    }
    Ok(tls)
}

fn quic_config(config: &ClientConfig, tls: rustls::ClientConfig) -> Result<quinn::ClientConfig, TlsError> {
    let mut quic = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    quic.transport_config(config.quic.transport());
    Ok(quic)
}
