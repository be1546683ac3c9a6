//! Client: a connection to a URL, over the transport that its scheme names.
//!
//! | scheme | transport |
//! |---|---|
//! | `https` | WebTransport; a WebSocket joins the race after a head start |
//! | `moqt`, `moql` | raw QUIC |
//! | `wss`, `ws` | WebSocket, with TLS and without |
//! | `tcp`, `unix` | qmux in the clear, to a host and port or to the path of a socket |
//! | `http` | WebTransport with the certificate that `/certificate.sha256` names; for development |
//!
//! The path and query of the URL go with the request. Raw QUIC, TCP and Unix sockets have none, so there the session puts them
//! into its SETUP; for a Unix socket it is the query key `path`, since the URL's own path is the socket's.

mod bytes;
mod pin;
mod quic;
mod resolve;
mod websocket;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use http::StatusCode;
use quinn::crypto::rustls::QuicClientConfig;
use tokio::time::{sleep, timeout};
use tracing::debug;
use url::Url;

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

/// Connects to servers. Clones share one UDP socket.
#[derive(Clone, Debug)]
pub struct Client {
    config: Arc<ClientConfig>,
    endpoint: quinn::Endpoint,
    http3: quinn::ClientConfig,
    raw: quinn::ClientConfig,
    https: Arc<rustls::ClientConfig>,
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
            config: Arc::new(config),
        })
    }

    /// Connects to `url`.
    ///
    /// # Errors
    /// When the server cannot be found, cannot be trusted, refuses, or takes longer than the configured time. Of two
    /// transports that failed, the first tells why, unless it heard nothing.
    ///
    /// # Cancel safety
    /// Dropping the call abandons the attempt.
    pub async fn connect(&self, url: &Url) -> Result<AnyConnection, ConnectError> {
        if url.scheme() == "https" { self.race(url).await } else { self.in_time(self.by_scheme(url)).await }
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
            "http" => {
                let trust = Trust::Fingerprints(pin::fetch(url).await?);
                let tls = tls(&trust, &self.config, &[web_transport_quinn::ALPN]).map_err(PinError::from)?;
                let pinned = quic_config(&self.config, tls).map_err(PinError::from)?;
                self.web_transport(url, &pinned).await
            }
            other => Err(ConnectError::Scheme(other.to_owned())),
        }
    }

    /// WebTransport, and after a head start a WebSocket beside it: networks that drop UDP leave no other way.
    async fn race(&self, url: &Url) -> Result<AnyConnection, ConnectError> {
        let web_transport = self.in_time(self.web_transport(url, &self.http3));
        let Some(head_start) = self.config.websocket_after else {
            return web_transport.await;
        };
        let websocket = self.in_time(async {
            sleep(head_start).await;
            self.websocket(url, Some(&self.https)).await
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

    async fn web_transport(&self, url: &Url, config: &quinn::ClientConfig) -> Result<AnyConnection, ConnectError> {
        let connection = quic::web_transport(&self.endpoint, config, url, &self.config.protocols).await?;
        Ok(connection.into())
    }

    async fn websocket(&self, url: &Url, tls: Option<&Arc<rustls::ClientConfig>>) -> Result<AnyConnection, ConnectError> {
        Ok(websocket::connect(url, tls, &self.config.protocols).await?.into())
    }
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

/// What two failures come to: what QUIC heard, and where that is nothing, what the WebSocket did.
fn outcome(limit: Duration, web_transport: ConnectError, websocket: ConnectError) -> ConnectError {
    if !is_silence(&web_transport) || is_silence(&websocket) {
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
