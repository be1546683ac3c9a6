//! TLS under HTTP: a handshake with an end, and whom it has shown the client to be.

use std::{io, sync::Arc, time::Duration};

use moq_native::tls::{ClientCertificate, ClientCertificateError, ServerTls};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What is spoken above: HTTP/1.1, which WebSocket needs.
const PROTOCOLS: [&str; 1] = ["http/1.1"];

/// Makes connections secure. Clones are the same.
#[derive(Clone)]
pub(crate) struct Secure {
    tls: ServerTls,
    acceptor: TlsAcceptor,
}

/// Why a connection did not become secure.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsRefused {
    #[error("no TLS handshake within {0:?}")]
    Late(Duration),
    #[error("TLS: {0}")]
    Tls(#[from] io::Error),
    #[error(transparent)]
    Certificate(#[from] ClientCertificateError),
}

impl Secure {
    /// # Errors
    /// When the system gives no randomness for session tickets.
    pub(crate) fn new(tls: ServerTls) -> anyhow::Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(tls.tcp_config(&PROTOCOLS)?));
        Ok(Self { tls, acceptor })
    }

    /// The stream once it is secure, and the certificate that the client has shown to be its own.
    ///
    /// # Errors
    /// When that takes longer than `limit`, or fails.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        limit: Duration,
    ) -> Result<(TlsStream<TcpStream>, Option<ClientCertificate>), TlsRefused> {
        let stream = timeout(limit, self.acceptor.accept(stream)).await.map_err(|_| TlsRefused::Late(limit))??;
        let certificate = self.tls.client(stream.get_ref().1.peer_certificates())?;
        Ok((stream, certificate))
    }
}
