//! Server: one UDP socket, TCP and a Unix socket where asked for, and everybody who arrives there as an [`Incoming`].
//!
//! Handshakes run beside each other, each under a deadline, so that a slow or hostile one holds nobody back. What a peer may
//! do is decided by whoever takes the [`Incoming`].
//!
//! Spec: RFC 9000, section 8.1.2 (Retry); RFC 9114, section 3; WebTransport over HTTP/3, section 3.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures::{
    future::BoxFuture,
    stream::{FuturesUnordered, StreamExt as _},
};
use quinn::{EndpointConfig, TokioRuntime, crypto::rustls::QuicServerConfig};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use crate::{
    Counters, Incoming, ServerConfig,
    counters::Refusal,
    incoming,
    listeners::{Listeners, Newcomer},
    socket,
    tls::Fingerprint,
};

/// Newcomers that wait to be looked at, and bytes of theirs that are kept meanwhile, each and together.
const WAITING: (usize, u64, u64) = (1024, 64 * 1024, 8 * 1024 * 1024);

/// How long connections that their sessions have closed may take to tell their peers.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long the last packets of a closing server may take.
const DRAIN: Duration = Duration::from_secs(3);

/// A server for WebTransport and raw QUIC.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    endpoint: quinn::Endpoint,
    address: SocketAddr,
    listeners: Listeners,
    is_leaving: bool,
    handshakes: FuturesUnordered<BoxFuture<'static, Result<Incoming, Refusal>>>,
    counters: Arc<Counters>,
}

/// Why a server could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    #[error("opening {socket}: {source}")]
    Socket {
        /// Its kind and its address.
        socket: String,
        source: io::Error,
    },
    #[error("setting up TLS: {0}")]
    Tls(#[from] TlsError),
}

/// Why certificates cannot be used for QUIC.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    #[error("QUIC needs AES-128-GCM for its first packets")]
    InitialCipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

impl Server {
    /// Opens the socket. Call it inside a tokio runtime, which then carries the connections.
    ///
    /// # Errors
    /// When the address cannot be had, or TLS cannot be set up.
    pub fn bind(config: ServerConfig) -> Result<Self, BindError> {
        let failed = |source| BindError::Socket { socket: format!("UDP {}", config.bind), source };
        let quic = quic_config(&config)?;
        let socket = socket::udp(config.bind).map_err(failed)?;
        let endpoint = quinn::Endpoint::new(EndpointConfig::default(), Some(quic), socket, Arc::new(TokioRuntime));
        let endpoint = endpoint.map_err(failed)?;
        let listeners = Listeners::bind(config.tcp, config.unix.as_deref())
            .map_err(|(socket, source)| BindError::Socket { socket, source })?;
        Ok(Self {
            listeners,
            address: endpoint.local_addr().map_err(failed)?,
            endpoint,
            config,
            is_leaving: false,
            handshakes: FuturesUnordered::new(),
            counters: Arc::default(),
        })
    }

    /// The UDP address listened on, with the port that the system chose where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The TCP address listened on. `None`: none was asked for.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.listeners.tcp_addr()
    }

    /// The fingerprint of each certificate shown to newcomers.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.config.tls.certificates().fingerprints()
    }

    /// What was counted since the server began.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// The next peer that asks for a session. `None` once the server is closed.
    ///
    /// Handshakes go on only while this is waited for.
    ///
    /// # Cancel safety
    /// Dropping the call loses nobody.
    pub async fn accept(&mut self) -> Option<Incoming> {
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.handshakes.next() => match ended {
                    Ok(incoming) => {
                        self.counters.admitted();
                        return Some(incoming);
                    }
                    Err(refusal) => self.counters.refused(refusal),
                },
                newcomer = self.endpoint.accept() => self.greet(newcomer?),
                newcomer = self.listeners.accept() => self.greet_bytes(newcomer),
            }
        }
    }

    /// Lets nobody begin any more, while those who have begun come in and those inside stay. Over QUIC newcomers are refused,
    /// for as long as [`accept`](Self::accept) is waited for, so that they need not find out by silence; TCP and the Unix socket
    /// are closed, which another server may then have. The UDP socket is not free before the [end](Self::close).
    pub fn refuse_newcomers(&mut self) {
        self.is_leaving = true;
        self.listeners = Listeners::default();
    }

    /// Lets a newcomer begin its handshake, if there is room.
    fn greet(&mut self, newcomer: quinn::Incoming) {
        self.counters.arrived();
        if self.is_leaving {
            self.counters.refused(Refusal::Leaving);
            newcomer.refuse();
            return;
        }
        if self.handshakes.len() >= self.config.max_handshakes {
            self.counters.refused(Refusal::Busy);
            newcomer.refuse();
            return;
        }
        let newcomer = if self.handshakes.len() >= self.config.retry_above && newcomer.may_retry() {
            match newcomer.retry() {
                Ok(()) => return self.counters.retried(),
                Err(error) => error.into_incoming(),
            }
        } else {
            newcomer
        };
        let tls = self.config.tls.clone();
        self.begin(|protocols, deadline| async move { incoming::over_quic(newcomer, &tls, &protocols, deadline).await });
    }

    /// As [`greet`](Self::greet), for whoever has shown by connecting that its address is its own.
    fn greet_bytes(&mut self, newcomer: Newcomer) {
        self.counters.arrived();
        if self.handshakes.len() >= self.config.max_handshakes {
            self.counters.refused(Refusal::Busy);
        } else {
            self.begin(|protocols, deadline| async move { incoming::over_bytes(newcomer, &protocols, deadline).await });
        }
    }

    fn begin<F>(&mut self, handshake: impl FnOnce(Vec<String>, std::time::Instant) -> F)
    where
        F: Future<Output = Result<Incoming, Refusal>> + Send + 'static,
    {
        let deadline = Instant::now() + self.config.setup_timeout;
        let handshake = handshake(self.config.protocols.clone(), deadline.into_std());
        self.handshakes.push(Box::pin(async move { timeout_at(deadline, handshake).await.unwrap_or(Err(Refusal::Late)) }));
    }

    /// Ends. Connections that their sessions have closed get half a second to tell their peers why; those still open end
    /// with `code`, which sessions over WebTransport cannot read.
    pub async fn close(self, code: u32, reason: &str) {
        let Self { endpoint, handshakes, listeners, .. } = self;
        endpoint.set_server_config(None);
        drop((handshakes, listeners));
        let _ = timeout(FAREWELL, endpoint.wait_idle()).await;
        endpoint.close(code.into(), reason.as_bytes());
        if timeout(DRAIN, endpoint.wait_idle()).await.is_err() {
            debug!("peers did not confirm the end in time");
        }
    }
}

fn quic_config(config: &ServerConfig) -> Result<quinn::ServerConfig, TlsError> {
    let mut protocols = config.protocols.clone();
    protocols.push(web_transport_quinn::ALPN.to_owned());
    let tls = config.tls.quic_config(&protocols)?;
    let mut quic = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let (newcomers, bytes, bytes_total) = WAITING;
    quic.transport_config(config.quic.transport())
        .max_incoming(newcomers)
        .incoming_buffer_size(bytes)
        .incoming_buffer_size_total(bytes_total);
    Ok(quic)
}
