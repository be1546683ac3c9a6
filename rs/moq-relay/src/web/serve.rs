//! Serving HTTP on a socket: how many connections, how long each may take, and whom that must not hold back.
//!
//! Every connection has its own task and its own deadlines, so a slow one costs nobody but itself. HTTP/1.1 only: nothing
//! here needs more, and the floods that HTTP/2 allows stay outside.

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
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
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::Peer;
use crate::{config::WebConfig, metrics::Metrics, shutdown::Stopping};

/// First and longest pause after the system had no room for another socket.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Connections that the system keeps while the relay has not looked. Linux cuts it to its own bound, 4096 as shipped.
const BACKLOG: i32 = 1024;

/// What one listener and one connection may take.
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

/// Serves `router` to everybody who connects, until `stopping`. Answers under way are finished.
pub(crate) async fn serve(socket: TcpListener, router: Router, limits: Limits, metrics: Metrics, stopping: Stopping) {
    let mut connections = JoinSet::new();
    let crowd = Crowd::default();
    let mut pause = BACKOFF.0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopping.wait() => break,
            Some(_) = connections.join_next() => continue,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = BACKOFF.0;
                let place = crowd.enter(peer.ip(), &limits).filter(|_| connections.len() < limits.max_connections);
                let Some(place) = place else {
                    metrics.refused();
                    continue;
                };
                let connection = one(stream, peer, router.clone(), limits, stopping.clone());
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
                    () = stopping.wait() => break,
                    () = sleep(pause) => pause = (pause * 2).min(BACKOFF.1),
                }
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Whether accepting failed because of the one connection, and the next may be accepted at once.
fn is_connections_own(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, TimedOut};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | TimedOut)
}

/// The life of one connection: at most `request_timeout`, and as long again at most for the answer it is in. An upgrade
/// takes the socket away before that.
async fn one(stream: TcpStream, peer: SocketAddr, router: Router, limits: Limits, stopping: Stopping) {
    // An answer, or a frame of a session after the upgrade, never waits to be joined by more.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "connection lost");
        return;
    }
    let router = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.call(request)
    });
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_header_size(limits.max_header);
    let mut connection = pin!(connection.serve_connection(TokioIo::new(stream), service).with_upgrades());

    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = async { tokio::select! { () = stopping.wait() => {} () = sleep(limits.request_timeout) => {} } } => {
            connection.as_mut().graceful_shutdown();
            timeout(limits.request_timeout, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "connection failed");
    }
}

/// How many connections each address has.
#[derive(Clone, Default)]
struct Crowd {
    /// By address, IPv6 by its first 64 bits. An entry lives while it counts somebody.
    counts: Rc<RefCell<HashMap<IpAddr, usize>>>,
}

impl Crowd {
    /// A place for one more connection. `None`: this address has its share. Loopback always has a place.
    fn enter(&self, address: IpAddr, limits: &Limits) -> Option<Place> {
        let key = household(address);
        let mut counts = self.counts.borrow_mut();
        let count = counts.entry(key).or_default();
        if *count >= limits.max_per_ip && !key.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Place { crowd: self.clone(), key })
    }
}

/// Whom an address belongs to: itself, or its IPv6 network of 64 bits, which one household has whole.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

/// One connection's place, free again once dropped.
struct Place {
    crowd: Crowd,
    key: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.counts.borrow_mut();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
