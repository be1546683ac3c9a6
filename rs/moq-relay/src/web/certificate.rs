//! `GET /certificate.sha256`: what a client pins when it knows no authority that vouches for this relay.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::Site;

/// 64 hexadecimal digits and no newline: shipped clients take the body as it is.
pub(super) async fn get(State(site): State<Arc<Site>>) -> Response {
    match &site.fingerprint {
        Some(fingerprint) => fingerprint.clone().into_response(),
        None => (StatusCode::NOT_FOUND, "no certificate\n").into_response(),
    }
}
