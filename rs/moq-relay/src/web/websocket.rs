//! Sessions over WebSocket: a request to upgrade, on any path, is judged before anything is promised.
//!
//! What the connection carries afterwards is `moq_native`'s; who serves it is the shard that takes the [`Upgrade`].
//! Spec: RFC 6455, section 4.2; qmux over WebSocket.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::upgrade::OnUpgrade;
use moq_native::backend::qmux;
use moq_native::tungstenite::handshake::derive_accept_key;
use moq_token::Grant;
use tokio::sync::mpsc;
use tracing::debug;

use super::{Peer, Site};
use crate::{auth, listener::Arrivals};

/// A WebSocket on its way to a session: accepted, and not yet open.
pub(crate) struct Upgrade {
    pub(crate) socket: OnUpgrade,
    /// What both sides speak, as the client named it. `None`: it named nothing.
    pub(crate) protocol: Option<String>,
    pub(crate) grant: Grant,
    pub(crate) peer: SocketAddr,
}

/// The upgrades that pages were promised, as arrivals of the web shard.
pub(crate) struct Upgrades(pub(crate) mpsc::Receiver<Upgrade>);

impl Arrivals for Upgrades {
    type Newcomer = Upgrade;

    async fn next(&mut self) -> Option<Upgrade> {
        self.0.recv().await
    }

    fn refuse(&self, newcomer: Upgrade) {
        // The client learns it from the connection's end.
        drop(newcomer);
    }
}

/// Takes WebSocket upgrades out of the stream of requests; all others go on.
pub(super) async fn upgrade(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    match &site.sessions {
        Some(sessions) if is_websocket(&request) => accept(&site, sessions, &mut request).unwrap_or_else(|refusal| refusal),
        _ => next.run(request).await,
    }
}

fn is_websocket(request: &Request) -> bool {
    lists(request.headers(), &header::UPGRADE, "websocket")
}

fn accept(site: &Site, sessions: &mpsc::Sender<Upgrade>, request: &mut Request) -> Result<Response, Response> {
    let key = handshake_key(request)?;
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let grant = auth::Request::from_target(target).map_err(auth::Refused::from).and_then(|asked| site.auth.authorize(&asked));
    let grant = grant.map_err(|refused| (refused.status(), format!("{refused}\n")).into_response())?;

    let protocol = qmux::negotiate(&offered(request.headers()), &site.protocols);
    let protocol = protocol.map_err(|error| (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response())?;
    let &Peer(peer) = request.extensions().get().ok_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())?;

    let socket = hyper::upgrade::on(&mut *request);
    let response = switching(&key, protocol.as_deref());
    debug!(%peer, ?protocol, root = %grant.root, "websocket upgrade");
    let taken = sessions.try_send(Upgrade { socket, protocol, grant, peer });
    taken.map(|()| response).map_err(|_| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

/// The client's key, once the request is a handshake that RFC 6455 allows.
fn handshake_key(request: &Request) -> Result<HeaderValue, Response> {
    let headers = request.headers();
    if request.method() != Method::GET || !lists(headers, &header::CONNECTION, "upgrade") {
        return Err(bad("a WebSocket handshake is a GET with `connection: upgrade`"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let mut refusal = bad("WebSocket version 13 is the one spoken here");
        *refusal.status_mut() = StatusCode::UPGRADE_REQUIRED;
        refusal.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Err(refusal);
    }
    headers.get(header::SEC_WEBSOCKET_KEY).cloned().ok_or_else(|| bad("a WebSocket handshake has a `sec-websocket-key`"))
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

fn bad(why: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response()
}
