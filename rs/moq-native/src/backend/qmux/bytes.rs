//! qmux over a socket of bytes, TCP or Unix: records of qmux-01, and a session protocol agreed on in the first of them.
//!
//! Spec: qmux-01, "Application Protocols".

use std::sync::Arc;

use qmux::{Config, Error, Protocol, Session, SharedSocketStats, Version, transport::Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use web_transport_trait::Session as _;

use super::{
    Connection,
    counted::{Carried, Counted},
    session_config,
};

/// Why a socket carries no session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BytesError {
    #[error(transparent)]
    Qmux(#[from] Error),
    #[error("no session protocol in common")]
    NoCommonProtocol,
}

/// Serves the peer at the other end of `io`. The first of `protocols` that it speaks too is agreed on.
///
/// # Errors
/// When the peer does not begin as it must, within ten seconds, or nothing is in common.
pub async fn accept_bytes<I>(io: I, protocols: &[String], stats: Option<SharedSocketStats>) -> Result<Connection, BytesError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (config, (io, carried)) = (config(protocols), Counted::new(io));
    settled(Session::accept(stream(io, &config, stats), config).await?, carried)
}

/// Speaks to the server at the other end of `io`.
///
/// # Errors
/// As [`accept_bytes`].
pub async fn connect_bytes<I>(io: I, protocols: &[String], stats: Option<SharedSocketStats>) -> Result<Connection, BytesError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (config, (io, carried)) = (config(protocols), Counted::new(io));
    settled(Session::connect(stream(io, &config, stats), config).await?, carried)
}

fn config(protocols: &[String]) -> Config {
    let mut config = session_config(Version::QMux01);
    config.protocol = Protocol::Negotiate(protocols.to_vec());
    config
}

fn stream<I>(io: I, config: &Config, stats: Option<SharedSocketStats>) -> Stream<I>
where
    I: AsyncRead + AsyncWrite + Send + 'static,
{
    let stream = Stream::new(io, config.version, config.max_record_size);
    match stats {
        Some(stats) => stream.with_socket_stats(stats),
        None => stream,
    }
}

fn settled(session: Session, carried: Arc<Carried>) -> Result<Connection, BytesError> {
    match session.protocol() {
        Some(_) => Ok(Connection::new(session, true).counting(carried)),
        None => Err(BytesError::NoCommonProtocol),
    }
}
