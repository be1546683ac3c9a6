//! The HTTP side of the relay: what it is, how to pin its certificate, what is on air; and the door for sessions over
//! WebSocket, on any path.

mod announced;
mod certificate;
mod fetch;
mod index;
mod serve;
mod stall;
mod tls;
mod websocket;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use moq_lite::model::origin::Origin;
use moq_native::{Transport, tls::ClientCertificate};
use moq_proto::Version;
use tokio::sync::mpsc;
use tower_http::cors::{Any, CorsLayer};

#[cfg(test)]
pub(crate) use self::serve::converse;
pub(crate) use self::{
    fetch::Tally as Fetches,
    serve::{Crowd, Limits, Listener, bind, serve},
    tls::Secure,
    websocket::{Upgrade, Upgrades},
};
use crate::{
    auth::{Admission, Auth, Refused, Request, Wish},
    tls::Pins,
};

/// What the pages show and do.
pub(crate) struct Site {
    pub(crate) auth: Arc<Auth>,
    pub(crate) origin: Origin,
    pub(crate) pins: Pins,
    /// What was not fetched, and why.
    pub(crate) fetches: Arc<Fetches>,
    /// Where QUIC listens.
    pub(crate) udp: SocketAddr,
    pub(crate) versions: Vec<Version>,
    /// The tokens of the versions, for subprotocols of WebSocket.
    pub(crate) protocols: Vec<String>,
    /// Where sessions over WebSocket go. `None`: nobody takes them.
    pub(crate) sessions: Option<mpsc::Sender<Upgrade>>,
}

impl Site {
    /// What whoever sent a request may do at `target`, its path and query or what is left of them.
    ///
    /// `transport` is what is to carry a session, if this is about one.
    async fn authorize(
        &self,
        target: &str,
        headers: &HeaderMap,
        peer: &Peer,
        transport: Option<Transport>,
    ) -> Result<Admission, Refused> {
        let authorization: Vec<&[u8]> = headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
        // A page only shows what a subscriber would see.
        let wish = if transport.is_some() { Wish::Either } else { Wish::Subscribe };
        // A browser shows its certificate whichever page asks. Only the relay's own may use it.
        let certificate = peer.certificate.as_ref().filter(|_| !is_of_another_origin(headers));
        let (authorization, peer) = (&*authorization, peer.address);
        self.auth.authorize(&Request { target, authorization, wish, peer, transport, certificate }).await
    }
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// What its connection has proved to be its own.
    pub(crate) certificate: Option<ClientCertificate>,
}

/// Whether a page asks that did not come from here. Only browsers say so. Spec: RFC 6454, section 7; RFC 6455, section 10.2.
fn is_of_another_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    // A certificate is shown over TLS only, so a page from here came over TLS too.
    host.is_none() || origin.as_bytes().strip_prefix(b"https://") != host
}

/// Every route, with CORS on all of them: pages of any origin may read what anybody may.
pub(crate) fn router(site: Arc<Site>) -> Router {
    let cors = CorsLayer::new().allow_origin(Any).allow_methods([Method::GET]).allow_headers([header::AUTHORIZATION]);
    Router::new()
        .route("/", get(index::get))
        .route("/certificate.sha256", get(certificate::get))
        .route("/announced", get(announced::list))
        .route("/announced/", get(announced::list))
        .route("/announced/{*prefix}", get(announced::list))
        .route("/fetch", get(fetch::get))
        .route("/fetch/", get(fetch::get))
        .route("/fetch/{*path}", get(fetch::get))
        .fallback(missing)
        .layer(cors)
        .layer(middleware::from_fn_with_state(site.clone(), websocket::upgrade))
        .with_state(site)
}

async fn missing(method: Method) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET,HEAD")]).into_response();
    }
    (StatusCode::NOT_FOUND, "nothing here; GET / says what this is\n").into_response()
}
