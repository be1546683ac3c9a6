//! A peer that speaks QUIC and does the rest by hand, as strangers do.

use std::{net::SocketAddr, sync::Arc};

use moq_native::{Server, tls::Trust};
use quinn::crypto::rustls::QuicClientConfig;

/// A client of QUIC alone, that offers one ALPN.
pub(crate) struct Stranger {
    endpoint: quinn::Endpoint,
    config: quinn::ClientConfig,
    server: SocketAddr,
}

impl Stranger {
    pub(crate) fn of(server: &Server, alpn: &str) -> Self {
        let tls = Trust::Fingerprints(server.fingerprints()).client_config(&[alpn]).unwrap();
        Self {
            endpoint: quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap(),
            config: quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap())),
            server: server.local_addr(),
        }
    }

    pub(crate) async fn connect(&self) -> Result<quinn::Connection, quinn::ConnectionError> {
        self.endpoint.connect_with(self.config.clone(), self.server, "localhost").unwrap().await
    }
}
