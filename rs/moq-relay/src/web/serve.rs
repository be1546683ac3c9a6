//! Serving HTTP on a socket: how many connections, how long each may take, and whom that must not hold back.
//!
//! Every connection has its own task and its own deadlines, so a slow one costs nobody but itself. HTTP/1.1 only: nothing
//! here needs more, and the floods that HTTP/2 allows stay outside.

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    rc::Rc,
    time::Duration,
};

use axum::Router;
use hyper::{server::conn::http1, service::Service as _};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use moq_native::tls::ClientCertificate;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{Peer, Secure, stall::Watched, tls::TlsRefused};
use crate::{address::household, config::WebConfig, metrics::Metrics, shutdown::Stopping};

/// First and longest pause after the system had no room for another socket.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Connections that the system keeps while the relay has not looked. Linux cuts it to its own bound, 4096 as shipped.
const BACKLOG: i32 = 1024;

/// Most bytes that the system takes beyond those it can send at present. It takes more once half of them are gone, so that a
/// reader counts as one who takes something as long as it takes about 100 KiB in the time in which it may [stall](super::stall::STALL_TIME).
/// Left alone, the system holds megabytes and takes more once a third of them are gone.
#[cfg(target_os = "linux")]
const UNSENT_MAX: u32 = 128 * 1024;

/// What all listeners together and one connection may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) header_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) max_connections: usize,
    pub(crate) max_per_ip: usize,
    pub(crate) max_header: usize,
}

impl From<&WebConfig> for Limits {
    fn from(config: &WebConfig) -> Self {
        Self {
            header_timeout: config.header_timeout,
            request_timeout: config.request_timeout,
            max_connections: config.max_connections,
            max_per_ip: config.max_per_ip,
            max_header: config.max_header,
        }
    }
}

/// Opens a TCP port. `[::]` answers IPv4 as well, whatever the system's own default.
///
/// # Errors
/// When the system refuses the address.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A restarted relay takes its port back at once.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket to serve, with TLS or without.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    /// `None`: in the clear.
    pub(crate) secure: Option<Secure>,
    /// All that it and others have let in.
    pub(crate) crowd: Crowd,
}

/// Serves `router` to everybody who connects, until `stopping` says that the relay drains. Answers under way are finished.
pub(crate) async fn serve(listener: Listener, router: Router, limits: Limits, metrics: Metrics, stopping: Stopping) {
    let Listener { socket, secure, crowd } = listener;
    let mut connections = JoinSet::new();
    let mut pause = BACKOFF.0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopping.draining() => break,
            Some(_) = connections.join_next() => continue,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = BACKOFF.0;
                // An IPv4 peer of a socket for both families comes in the clothes of IPv6.
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                let Some(place) = crowd.enter(peer.ip(), &limits) else {
                    metrics.refused();
                    continue;
                };
                let connection = one(stream, peer, secure.clone(), router.clone(), limits, metrics.clone(), stopping.clone());
                connections.spawn_local(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                metrics.accept_failed();
                if is_connections_own(&error) {
                    continue;
                }
                warn!(%error, ?pause, "no more connections for a while");
                tokio::select! {
                    () = stopping.draining() => break,
                    () = sleep(pause) => pause = (pause * 2).min(BACKOFF.1),
                }
            }
        }
    }
    // Newcomers are refused rather than left waiting, and another relay may listen here.
    drop(socket);
    while connections.join_next().await.is_some() {}
}

/// Whether accepting failed because of the one connection, and the next may be accepted at once.
fn is_connections_own(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, TimedOut};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | TimedOut)
}

/// Sets a connection up for answers, and for the session that it may become.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    // An answer, or a frame of a session after the upgrade, never waits to be joined by more.
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX)?;
    Ok(())
}

/// The life of one connection.
async fn one(
    stream: TcpStream,
    peer: SocketAddr,
    secure: Option<Secure>,
    router: Router,
    limits: Limits,
    metrics: Metrics,
    stopping: Stopping,
) {
    if let Err(error) = prepare(&stream) {
        debug!(%peer, %error, "connection lost");
        return;
    }
    let Some(secure) = secure else {
        return converse(stream, peer, None, router, limits, metrics, stopping).await;
    };
    let shaken = tokio::select! {
        () = stopping.draining() => return,
        shaken = secure.accept(stream, limits.header_timeout) => shaken,
    };
    match shaken {
        Ok((stream, certificate)) => converse(stream, peer, certificate, router, limits, metrics, stopping).await,
        Err(error) => {
            match error {
                TlsRefused::Late(_) => metrics.tls_late(),
                TlsRefused::Tls(_) | TlsRefused::Certificate(_) => metrics.tls_failed(),
            }
            debug!(%peer, %error, "handshake failed");
        }
    }
}

/// Answers requests for at most `request_timeout`, and for as long again at most the one it is at; less long a reader that takes
/// nothing. An upgrade takes the socket away before that.
pub(crate) async fn converse<S>(
    stream: S,
    peer: SocketAddr,
    certificate: Option<ClientCertificate>,
    router: Router,
    limits: Limits,
    metrics: Metrics,
    stopping: Stopping,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let from = Peer { address: peer, certificate };
    let router = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(from.clone());
        router.call(request)
    });
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_header_size(limits.max_header);
    let (stream, _watch) = Watched::new(stream, metrics);
    let mut connection = pin!(connection.serve_connection(TokioIo::new(stream), service).with_upgrades());

    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = async { tokio::select! { () = stopping.draining() => {} () = sleep(limits.request_timeout) => {} } } => {
            connection.as_mut().graceful_shutdown();
            timeout(limits.request_timeout, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "connection failed");
    }
}

/// How many connections there are, and how many of each address. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Crowd(Rc<RefCell<Counts>>);

#[derive(Default)]
struct Counts {
    all: usize,
    /// By address, IPv6 by its first 64 bits. An entry lives while it counts somebody.
    each: HashMap<IpAddr, usize>,
}

impl Crowd {
    /// A place for one more connection. `None`: there is none, or this address has its share. Loopback's share is all.
    fn enter(&self, address: IpAddr, limits: &Limits) -> Option<Place> {
        let key = household(address);
        let mut counts = self.0.borrow_mut();
        let count = counts.each.get(&key).copied().unwrap_or_default();
        if counts.all >= limits.max_connections || count >= limits.max_per_ip && !key.is_loopback() {
            return None;
        }
        counts.all += 1;
        counts.each.insert(key, count + 1);
        Some(Place { crowd: self.clone(), key })
    }
}

/// One connection's place, free again once dropped.
struct Place {
    crowd: Crowd,
    key: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.0.borrow_mut();
        counts.all -= 1;
        if let Some(count) = counts.each.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.each.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
