//! What a server shows and whom it believes, both changed while it serves.
//!
//! One `rustls` configuration lasts as long as its server; what changes is behind it, so a handshake under way keeps what it
//! began with, and neither address tokens nor session tickets are lost.
//! Spec: RFC 8446, sections 4.4.2 and 4.6.1.

use std::sync::Arc;

use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    server::{NoClientAuth, NoServerSessionStorage, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use rustls_pki_types::CertificateDer;

use super::{Certificates, ClientCertificate, ClientCertificateError, ClientRoots, client::ByRoots, provider, select::ByName};

/// What a server shows, and whom it believes. Clones are the same: a change to one is a change to all.
#[derive(Clone, Debug)]
pub struct ServerTls {
    shown: Arc<ByName>,
    /// `None`: clients are not asked for certificates.
    clients: Option<Arc<ByRoots>>,
}

impl From<Certificates> for ServerTls {
    fn from(certificates: Certificates) -> Self {
        Self { shown: Arc::new(ByName::new(certificates)), clients: None }
    }
}

impl ServerTls {
    /// A server that shows the same as this one, now and later, and asks clients for certificates that `roots` vouch for.
    /// Clients need not have any. Sessions are not resumed then, so that each is judged by the roots of its time.
    #[must_use]
    pub fn with_client_roots(&self, roots: ClientRoots) -> Self {
        Self { shown: self.shown.clone(), clients: Some(Arc::new(ByRoots::new(roots))) }
    }

    /// A server that shows the same as this one, now and later, and asks clients for nothing.
    #[must_use]
    pub fn without_client_roots(&self) -> Self {
        Self { shown: self.shown.clone(), clients: None }
    }

    /// What newcomers are shown.
    pub fn certificates(&self) -> Certificates {
        self.shown.certificates()
    }

    /// Shows newcomers other certificates; connections that exist go on.
    pub fn set_certificates(&self, certificates: Certificates) {
        self.shown.set(certificates);
    }

    /// Believes clients by other authorities from now on; connections that exist go on. Does nothing for a server that does
    /// not ask.
    pub fn set_client_roots(&self, roots: ClientRoots) {
        if let Some(clients) = &self.clients {
            clients.set(roots);
        }
    }

    /// What the certificates say that a client has shown in a handshake with this server. `None`: it has shown none.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn client(&self, chain: Option<&[CertificateDer<'_>]>) -> Result<Option<ClientCertificate>, ClientCertificateError> {
        match (chain, &self.clients) {
            (Some(chain), Some(clients)) => ClientCertificate::read(chain, clients.clone()).map(Some),
            _ => Ok(None),
        }
    }

    /// A server for QUIC that agrees on the first of its own `protocols` that the client has.
    ///
    /// # Errors
    /// When the system gives no randomness for session tickets.
    pub fn quic_config(&self, protocols: &[impl AsRef<str>]) -> Result<ServerConfig, rustls::Error> {
        self.config(protocols, &[&TLS13])
    }

    /// The same for TCP, where clients may be older.
    ///
    /// # Errors
    /// When the system gives no randomness for session tickets.
    pub fn tcp_config(&self, protocols: &[impl AsRef<str>]) -> Result<ServerConfig, rustls::Error> {
        self.config(protocols, &[&TLS13, &TLS12])
    }

    fn config(
        &self,
        protocols: &[impl AsRef<str>],
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<ServerConfig, rustls::Error> {
        let clients: Arc<dyn ClientCertVerifier> = match &self.clients {
            Some(clients) => clients.clone(),
            None => Arc::new(NoClientAuth),
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(self.shown.clone());
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_ref().as_bytes().to_vec()).collect();
        config.ignore_client_order = true;
        if self.clients.is_some() {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            config.ticketer = aws_lc_rs::Ticketer::new()?;
        }
        Ok(config)
    }
}
