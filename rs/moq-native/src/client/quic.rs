//! Dialling over QUIC: raw, or WebTransport over HTTP/3.

use url::Url;
use web_transport_proto::ConnectRequest;
use web_transport_quinn::ClientError;

use super::{ConnectError, resolve};
use crate::backend::quic;

/// The port of a URL that names none.
const PORT: u16 = 443;

/// Raw QUIC; the session's own protocol is settled by ALPN.
pub(super) async fn raw(
    endpoint: &quinn::Endpoint,
    config: &quinn::ClientConfig,
    url: &Url,
) -> Result<quic::Connection, ConnectError> {
    Ok(quic::Connection::raw(dial(endpoint, config, url).await?))
}

/// WebTransport over a connection of HTTP/3; the session's own protocol is chosen by the server from `protocols`.
pub(super) async fn web_transport(
    connection: quinn::Connection,
    url: &Url,
    protocols: &[String],
) -> Result<quic::Connection, ConnectError> {
    let mut url = url.clone();
    url.set_fragment(None);
    // All refused for URLs without a host, and those did not get here; `http` and `https` may stand for each other. A user and a
    // password are no part of an authority (RFC 9114, section 4.3.1), and nobody asked for them.
    let _ = (url.set_scheme("https"), url.set_username(""), url.set_password(None));
    let request = ConnectRequest::new(url).with_protocols(protocols.iter().cloned());
    let session = web_transport_quinn::Session::connect(connection, request).await.map_err(explain)?;
    Ok(quic::Connection::web_transport(session))
}

/// A connection whose handshake is done.
pub(super) async fn dial(
    endpoint: &quinn::Endpoint,
    config: &quinn::ClientConfig,
    url: &Url,
) -> Result<quinn::Connection, ConnectError> {
    let host = resolve::host(url)?;
    let port = url.port_or_known_default().unwrap_or(PORT);
    let attempt = async |address| Ok(endpoint.connect_with(config.clone(), address, &host)?.await?);
    resolve::first(url, port, resolve::QUIC_ATTEMPT_DELAY, attempt).await
}

/// Finds the HTTP status in an error, if there is one.
fn explain(error: ClientError) -> ConnectError {
    use web_transport_proto::ConnectError as Wire;
    use web_transport_quinn::ConnectError as Http;

    match error {
        ClientError::HttpError(Http::ErrorStatus(status) | Http::ProtoError(Wire::WrongStatus(Some(status)))) => {
            ConnectError::Refused(status)
        }
        other => ConnectError::WebTransport(other),
    }
}
