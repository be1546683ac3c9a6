//! Incoming: a peer that asks for a session, before anything is promised to it.
//!
//! Spec: WebTransport over HTTP/3, section 3.3 (application protocol); moq-lite-06, "Session".

use std::{borrow::Cow, fmt, net::SocketAddr, time::Instant};

use http::StatusCode;
use moq_lite::transport::Connection as _;
use moq_proto::close;
use rustls_pki_types::CertificateDer;
use tokio::time::{Duration, timeout, timeout_at};
use tracing::debug;

use crate::{
    AnyConnection,
    backend::{
        qmux,
        quic::{self, http3},
    },
    counters::Refusal,
    listeners::Newcomer,
    tls::{ClientCertificate, ServerTls},
};

/// How long a peer may take to hear that it is rejected before the connection goes all the same.
const FAREWELL: Duration = Duration::from_secs(1);

/// What carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    WebTransport,
    Quic,
    WebSocket,
    Tcp,
    Unix,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WebTransport => "webtransport",
            Self::Quic => "quic",
            Self::WebSocket => "websocket",
            Self::Tcp => "tcp",
            Self::Unix => "unix",
        })
    }
}

/// A peer whose handshake is done and whose request waits for an answer. Dropped unanswered, its connection closes.
pub struct Incoming {
    peer: SocketAddr,
    authority: Option<String>,
    target: Option<String>,
    protocol: Option<String>,
    deadline: Instant,
    transport: Transport,
    certificate: Option<ClientCertificate>,
    request: Request,
}

enum Request {
    WebTransport(Box<http3::Asking>),
    Quic(quinn::Connection),
    Qmux(qmux::Connection),
}

/// Why an accepted peer became no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    #[error("the peer did not take its answer in time")]
    Late,
    #[error("answering the CONNECT request: {0}")]
    Respond(#[from] http3::AnswerError),
}

impl Incoming {
    /// Path and query of what the peer asks for, as it wrote them. `None`: this transport does not say; SETUP may.
    pub fn request_target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// The host that the peer believes it speaks to, without a port on raw QUIC. `None`: it did not say.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// Where the peer's packets come from. Loopback for a Unix socket.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The certificate that the peer has proved to be its own, where the server asks for one. `None`: it has shown none.
    pub fn certificate(&self) -> Option<&ClientCertificate> {
        self.certificate.as_ref()
    }

    /// The session protocol that will be agreed on. `None`: the first messages of the session settle it.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// By when the session has to be open: authorization and the exchange of SETUP included.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Grants the request.
    ///
    /// # Errors
    /// When the peer is gone, or does not take the answer by the [`deadline`](Self::deadline).
    pub async fn accept(self) -> Result<AnyConnection, HandshakeError> {
        match self.request {
            Request::Quic(connection) => Ok(quic::Connection::raw(connection).into()),
            Request::Qmux(connection) => Ok(connection.into()),
            Request::WebTransport(request) => {
                let session = timeout_at(self.deadline.into(), request.grant(self.protocol)).await;
                Ok(quic::Connection::served(session.map_err(|_| HandshakeError::Late)??).into())
            }
        }
    }

    /// Refuses the request with an HTTP status, or with what comes nearest to it where there is no HTTP. Waits until the peer
    /// has heard, a second at most.
    pub async fn reject(self, status: StatusCode) {
        match self.request {
            Request::Quic(connection) => connection.close(close_code(status).into(), reason(status).as_bytes()),
            Request::Qmux(connection) => connection.close(close_code(status), reason(status)),
            Request::WebTransport(mut request) => {
                if let Ok(Err(error)) = timeout(FAREWELL, request.reject(status)).await {
                    debug!(%error, "rejected peer left before its answer");
                }
                request.connection().close(http3::H3_NO_ERROR, reason(status).as_bytes());
            }
        }
    }
}

/// The session code that a refusal becomes where there is no HTTP.
fn close_code(status: StatusCode) -> u32 {
    let code = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => close::session::UNAUTHORIZED,
        status if status.is_client_error() => close::session::PROTOCOL_VIOLATION,
        _ => close::session::INTERNAL_ERROR,
    };
    code.get()
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or_default()
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The target may hold a token.
        f.debug_struct("Incoming")
            .field("transport", &self.transport())
            .field("peer", &self.peer)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

/// Brings a newcomer over QUIC to the point where it has asked for something.
pub(crate) async fn over_quic(
    newcomer: quinn::Incoming,
    tls: &ServerTls,
    protocols: &[String],
    deadline: Instant,
) -> Result<Incoming, Refusal> {
    let peer = canonical(newcomer.remote_address());
    let lost = |error: quinn::ConnectionError| {
        debug!(%peer, %error, "handshake failed");
        Refusal::Quic
    };
    let connection = newcomer.accept().map_err(lost)?.await.map_err(lost)?;
    let settled = connection.handshake_data().and_then(|data| data.downcast::<quinn::crypto::rustls::HandshakeData>().ok());
    let (alpn, name) = settled.map_or((None, None), |settled| (settled.protocol, settled.server_name));
    let chain = connection.peer_identity().and_then(|shown| shown.downcast::<Vec<CertificateDer<'static>>>().ok());
    let certificate = tls.client(chain.as_deref().map(Vec::as_slice)).map_err(|error| {
        debug!(%peer, %error, "handshake failed");
        Refusal::Quic
    })?;
    if alpn.as_deref() != Some(web_transport_quinn::ALPN.as_bytes()) {
        return Ok(Incoming {
            peer,
            authority: name,
            target: None,
            protocol: alpn.and_then(|alpn| String::from_utf8(alpn).ok()),
            deadline,
            transport: Transport::Quic,
            certificate,
            request: Request::Quic(connection),
        });
    }

    let asking = http3::accept(connection).await.map_err(|violation| {
        debug!(%peer, %violation, "no WebTransport request");
        Refusal::Http3
    })?;
    let request = &asking.request;
    Ok(Incoming {
        peer,
        authority: Some(request.authority().to_owned()),
        target: Some(request.target().to_owned()),
        // The client's order decides.
        protocol: request.choose(protocols).map(str::to_owned),
        deadline,
        transport: Transport::WebTransport,
        certificate,
        request: Request::WebTransport(Box::new(asking)),
    })
}

/// Brings a newcomer over a socket of bytes to the point where its protocol is known.
pub(crate) async fn over_bytes(newcomer: Newcomer, protocols: &[String], deadline: Instant) -> Result<Incoming, Refusal> {
    let (peer, transport) = (newcomer.peer(), newcomer.transport());
    let connection = newcomer.begin(protocols).await.map_err(|error| {
        debug!(%peer, %transport, %error, "handshake failed");
        Refusal::Qmux
    })?;
    Ok(Incoming {
        peer,
        authority: None,
        target: None,
        protocol: connection.protocol().map(str::to_owned),
        deadline,
        transport,
        certificate: None,
        request: Request::Qmux(connection),
    })
}

/// An IPv4 peer of a socket for both families comes in the clothes of IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// What a client asks for with a URL, as a request carries it: its path and query, or for a Unix socket, whose own path is that of
/// a file, what the key `path` in its query says.
pub fn request_target(url: &url::Url) -> Cow<'_, str> {
    match url.scheme() {
        "unix" => url.query_pairs().find(|(key, _)| key == "path").map_or(Cow::Borrowed(""), |(_, path)| path),
        _ => Cow::Borrowed(&url[url::Position::BeforePath..url::Position::AfterQuery]),
    }
}
