//! Sessions over WebSocket: a request to upgrade, on any path, is judged before anything is promised.
//!
//! What the connection carries afterwards is `moq_native`'s; who serves it is the shard that takes the [`Upgrade`].
//! Spec: RFC 6455, section 4.2; qmux over WebSocket.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{AppendHeaders, IntoResponse, Response},
};
use hyper::upgrade::OnUpgrade;
use moq_native::{
    Transport,
    backend::qmux::{self, NoCommonProtocol},
    tungstenite::handshake::derive_accept_key,
};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::{Peer, Site};
use crate::{
    auth::{Admission, Refused},
    listener::Arrivals,
};

/// A WebSocket on its way to a session: accepted, and not yet open.
pub(crate) struct Upgrade {
    pub(crate) socket: OnUpgrade,
    /// What both sides speak, as the client named it. `None`: it named nothing.
    pub(crate) protocol: Option<String>,
    pub(crate) admission: Admission,
    pub(crate) peer: SocketAddr,
}

/// The upgrades that pages were promised, as arrivals of the web shard.
pub(crate) struct Upgrades(pub(crate) mpsc::Receiver<Upgrade>);

impl Arrivals for Upgrades {
    type Newcomer = Upgrade;

    async fn next(&mut self) -> Option<Upgrade> {
        self.0.recv().await
    }

    fn close(&mut self) {
        self.0.close();
    }

    fn refuse(&self, newcomer: Upgrade) {
        // The client learns it from the connection's end.
        drop(newcomer);
    }
}

/// Why a request to upgrade is answered with something else.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Malformed(&'static str),
    #[error("WebSocket version 13 is the one spoken here")]
    Version,
    #[error("{}", .0.told())]
    Auth(#[from] Refused),
    #[error(transparent)]
    Protocol(#[from] NoCommonProtocol),
    #[error("no room for another session")]
    Full,
    #[error("this relay is going away")]
    Leaving,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Malformed(_) | Self::Protocol(_) => StatusCode::BAD_REQUEST,
            Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Auth(refused) => refused.status(),
            Self::Full | Self::Leaving => StatusCode::SERVICE_UNAVAILABLE,
        };
        let spoken = matches!(self, Self::Version).then_some([(header::SEC_WEBSOCKET_VERSION, "13")]);
        (status, spoken.map(AppendHeaders), format!("{self}\n")).into_response()
    }
}

/// Takes WebSocket upgrades out of the stream of requests; all others go on.
pub(super) async fn upgrade(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    match &site.sessions {
        Some(sessions) if is_websocket(&request) => accept(&site, sessions, request).await.unwrap_or_else(Refusal::into_response),
        _ => next.run(request).await,
    }
}

fn is_websocket(request: &Request) -> bool {
    lists(request.headers(), &header::UPGRADE, "websocket")
}

async fn accept(site: &Site, sessions: &mpsc::Sender<Upgrade>, request: Request) -> Result<Response, Refusal> {
    let key = handshake_key(&request)?;
    let (parts, _body) = request.into_parts();
    // Other readers would take a bare name for a path.
    let target = parts.uri.path_and_query().ok_or(Refusal::Malformed("a path begins with a slash"))?.as_str();
    let peer: &Peer = parts.extensions.get().ok_or(Refusal::Malformed("nobody sent this"))?;
    let protocol = qmux::negotiate(&offered(&parts.headers), &site.protocols)?;
    let admission = site.authorize(target, &parts.headers, peer, Some(Transport::WebSocket)).await?;

    let peer = peer.address;
    let socket = hyper::upgrade::on(Request::from_parts(parts, ()));
    let response = switching(&key, protocol.as_deref());
    sessions.try_send(Upgrade { socket, protocol, admission, peer }).map_err(|unsent| match unsent {
        TrySendError::Full(_) => Refusal::Full,
        TrySendError::Closed(_) => Refusal::Leaving,
    })?;
    Ok(response)
}

/// The client's key, once the request is a handshake that RFC 6455 allows.
fn handshake_key(request: &Request) -> Result<HeaderValue, Refusal> {
    let headers = request.headers();
    if request.method() != Method::GET || !lists(headers, &header::CONNECTION, "upgrade") {
        return Err(Refusal::Malformed("a WebSocket handshake is a GET with `connection: upgrade`"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Refusal::Version);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).cloned();
    key.ok_or(Refusal::Malformed("a WebSocket handshake has a `sec-websocket-key`"))
}

/// The subprotocols that the client offers, in its order.
fn offered(headers: &HeaderMap) -> Vec<&str> {
    items(headers, &header::SEC_WEBSOCKET_PROTOCOL).collect()
}

/// Whether a header that is a list has this item, in upper or lower case.
fn lists(headers: &HeaderMap, name: &HeaderName, item: &str) -> bool {
    items(headers, name).any(|listed| listed.eq_ignore_ascii_case(item))
}

fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

/// 101, with the protocol that was chosen.
fn switching(key: &HeaderValue, protocol: Option<&str>) -> Response {
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    // Both are made of characters that a header may have: base64, and what stood in the client's own header.
    headers.extend(HeaderValue::try_from(derive_accept_key(key.as_bytes())).map(|accept| (header::SEC_WEBSOCKET_ACCEPT, accept)));
    let protocol = protocol.and_then(|protocol| HeaderValue::from_str(protocol).ok());
    headers.extend(protocol.map(|protocol| (header::SEC_WEBSOCKET_PROTOCOL, protocol)));
    response
}
