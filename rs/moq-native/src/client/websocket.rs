//! Dialling over WebSocket, with TLS and without.
//!
//! Spec: RFC 6455, section 4.1.

use std::sync::Arc;

use http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{self, client::IntoClientRequest as _},
};
use url::Url;

use super::{ConnectError, resolve};
use crate::backend::qmux;

/// Opens a WebSocket to the host, path and query of `url`, offering every framing for each of `protocols`.
pub(super) async fn connect(
    url: &Url,
    tls: Option<&Arc<rustls::ClientConfig>>,
    protocols: &[String],
) -> Result<qmux::Connection, ConnectError> {
    let port = url.port_or_known_default().ok_or(ConnectError::Host)?;
    let tcp = resolve::tcp(url, port).await?;

    let mut url = url.clone();
    url.set_fragment(None);
    // Refused for URLs without a host, and those did not get here.
    let _ = url.set_scheme(if tls.is_some() { "wss" } else { "ws" });
    match tls {
        None => upgrade(&url, tcp, protocols).await,
        Some(tls) => {
            let name = ServerName::try_from(resolve::host(&url)?).map_err(|_| ConnectError::Host)?;
            let secure = TlsConnector::from(tls.clone()).connect(name, tcp).await.map_err(ConnectError::Tls)?;
            upgrade(&url, secure, protocols).await
        }
    }
}

async fn upgrade<S>(url: &Url, stream: S, protocols: &[String]) -> Result<qmux::Connection, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut request = url.as_str().into_client_request().map_err(explain)?;
    let offered =
        HeaderValue::try_from(qmux::offer(protocols).join(", ")).map_err(|error| explain(http::Error::from(error).into()))?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, offered);
    let (socket, response) = client_async_with_config(request, stream, Some(qmux::websocket_config())).await.map_err(explain)?;
    let chosen = response.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(|chosen| chosen.to_str().ok());
    Ok(qmux::connect(socket, chosen))
}

/// Finds the HTTP status in an error, if there is one.
fn explain(error: tungstenite::Error) -> ConnectError {
    match error {
        tungstenite::Error::Http(response) => ConnectError::Refused(response.status()),
        tungstenite::Error::Io(error) => ConnectError::Tcp(error),
        other => ConnectError::WebSocket(Box::new(other)),
    }
}
