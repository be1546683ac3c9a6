//! Dialling over a socket of bytes, in the clear.

use std::{path::PathBuf, sync::Arc};

use tokio::net::UnixStream;
use url::Url;

use super::{ConnectError, resolve};
use crate::backend::qmux;

/// TCP, to the host and port of `url`.
pub(super) async fn tcp(url: &Url, protocols: &[String]) -> Result<qmux::Connection, ConnectError> {
    let port = url.port().ok_or(ConnectError::Port)?;
    let socket = resolve::tcp(url, port).await?;
    // Without them, round trips are measured by qmux itself.
    let stats = ::qmux::TcpStats::new(&socket).ok();
    Ok(qmux::connect_bytes(socket, protocols, stats.map(|stats| Arc::new(stats) as _)).await?)
}

/// The Unix socket at the path of `url`.
pub(super) async fn unix(url: &Url, protocols: &[String]) -> Result<qmux::Connection, ConnectError> {
    let path = path(url).ok_or(ConnectError::Path)?;
    let socket = UnixStream::connect(&path).await.map_err(|source| ConnectError::Unix { path, source })?;
    Ok(qmux::connect_bytes(socket, protocols, None).await?)
}

/// The path of `url` as the file system knows it. `None`: it has none, or a host before it.
fn path(url: &Url) -> Option<PathBuf> {
    let mut file = Url::parse("file:///").ok()?;
    file.set_path(url.path());
    if url.has_host() || url.path().is_empty() { None } else { file.to_file_path().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_the_file_system_calls_it() {
        for (url, expected) in [
            ("unix:///run/moq.sock?path=/room", Some("/run/moq.sock")),
            ("unix:///run/with%20space/%C3%A9", Some("/run/with space/é")),
            ("unix://run/moq.sock", None),
        ] {
            assert_eq!(path(&url.parse().unwrap()), expected.map(PathBuf::from), "{url}");
        }
    }
}
