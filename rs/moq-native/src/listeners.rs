//! Listeners beside UDP: TCP and a Unix socket, for peers that have no use for encryption because they share a machine or a
//! private network.

use std::{
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::sleep,
};
use tracing::warn;

use crate::{
    Transport,
    backend::qmux::{self, BytesError},
};

/// How long to wait when the system has no descriptor or memory left for another socket.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What listens besides UDP; possibly nothing.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    tcp: Option<TcpListener>,
    unix: Option<UnixSocket>,
}

/// A listener at a path, which it takes away with it.
#[derive(Debug)]
struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Which file it is, by device and number. `None`: nobody could say.
    file: Option<(u64, u64)>,
}

/// A peer that connected and said nothing yet.
#[derive(Debug)]
pub(crate) enum Newcomer {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Listeners {
    /// Opens the listeners that are asked for.
    ///
    /// # Errors
    /// With the address or path that cannot be had.
    pub(crate) fn bind(tcp: Option<SocketAddr>, unix: Option<&Path>) -> Result<Self, (String, io::Error)> {
        let tcp = tcp.map(|address| bind_tcp(address).map_err(|error| (format!("TCP {address}"), error)));
        let unix = unix.map(|path| UnixSocket::bind(path).map_err(|error| (format!("Unix socket {}", path.display()), error)));
        Ok(Self { tcp: tcp.transpose()?, unix: unix.transpose()? })
    }

    /// Where TCP is listened on.
    pub(crate) fn tcp_addr(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// The next peer. Pending for ever where nothing listens.
    ///
    /// # Cancel safety
    /// Dropping the call loses nobody.
    pub(crate) async fn accept(&self) -> Newcomer {
        loop {
            let accepted = tokio::select! {
                accepted = accept_tcp(self.tcp.as_ref()) => accepted,
                accepted = accept_unix(self.unix.as_ref()) => accepted,
            };
            match accepted {
                Ok(newcomer) => return newcomer,
                Err(error) if is_of_peer(&error) => {}
                Err(error) => {
                    warn!(%error, "cannot accept connections for the moment");
                    sleep(EXHAUSTED).await;
                }
            }
        }
    }
}

async fn accept_tcp(listener: Option<&TcpListener>) -> io::Result<Newcomer> {
    let Some(listener) = listener else {
        return pending().await;
    };
    let (socket, peer) = listener.accept().await?;
    // Records are small and each is awaited.
    socket.set_nodelay(true)?;
    Ok(Newcomer::Tcp(socket, SocketAddr::new(peer.ip().to_canonical(), peer.port())))
}

async fn accept_unix(socket: Option<&UnixSocket>) -> io::Result<Newcomer> {
    match socket {
        Some(socket) => Ok(Newcomer::Unix(socket.listener.accept().await?.0)),
        None => pending().await,
    }
}

/// Whether a failed accept is the end of one peer and says nothing of the next.
fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput)
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

impl UnixSocket {
    /// Listens at `path`. A socket that nobody listens at any more is replaced, any other file is not.
    fn bind(path: &Path) -> io::Result<Self> {
        let is_socket = path.symlink_metadata().is_ok_and(|file| file.file_type().is_socket());
        if is_socket && is_stale(path) {
            std::fs::remove_file(path)?;
        }
        Ok(Self { listener: UnixListener::bind(path)?, path: path.to_owned(), file: identity(path) })
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Somebody may have put another in its place. Left behind it is stale, which the next server sees.
        if self.file.is_some() && identity(&self.path) == self.file {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether nobody listens at a socket. Does not wait for somebody who does and accepts nobody.
fn is_stale(path: &Path) -> bool {
    let connect = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    connect().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().ok().map(|file| (file.dev(), file.ino()))
}

impl Newcomer {
    pub(crate) fn transport(&self) -> Transport {
        match self {
            Self::Tcp(..) => Transport::Tcp,
            Self::Unix(_) => Transport::Unix,
        }
    }

    /// Where it connects from. Whoever reaches a Unix socket is on this machine.
    pub(crate) fn peer(&self) -> SocketAddr {
        match self {
            Self::Tcp(_, peer) => *peer,
            Self::Unix(_) => (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }

    /// Agrees with the peer on one of `protocols`.
    pub(crate) async fn begin(self, protocols: &[String]) -> Result<qmux::Connection, BytesError> {
        match self {
            Self::Tcp(socket, _) => {
                // Without them, round trips are measured by qmux itself.
                let stats = ::qmux::TcpStats::new(&socket).ok();
                qmux::accept_bytes(socket, protocols, stats.map(|stats| Arc::new(stats) as _)).await
            }
            Self::Unix(socket) => qmux::accept_bytes(socket, protocols, None).await,
        }
    }
}
