//! `GET /certificate.sha256`: what a client pins when it knows no authority that vouches for this relay.
//!
//! It is the certificate that QUIC shows to who dials the host of the request. `?all` tells beside it the one that will be
//! shown next, one a line; a client that pins both does not notice when a generated certificate is replaced.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use super::Site;

/// 64 hexadecimal digits each, and no newline at the end: shipped clients take the body as it is.
pub(super) async fn get(State(site): State<Arc<Site>>, headers: HeaderMap, uri: Uri) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let mut pins = site.pins.all(host);
    if !uri.query().is_some_and(|query| query.split('&').any(|item| item == "all")) {
        pins.truncate(1);
    }
    match pins.as_slice() {
        [] => (StatusCode::NOT_FOUND, "no certificate\n").into_response(),
        pins => pins.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").into_response(),
    }
}
