//! `[server]`: where sessions arrive, and what they may speak.

use std::{fmt, io, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use moq_proto::Version;
use serde::Deserialize;

use super::{quic::QuicOptions, tls::TlsOptions, value};

/// `[server]` as the operator wrote it.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[command(next_help_heading = "[server]")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerOptions {
    /// UDP address for QUIC and WebTransport. `[::]` answers IPv4 as well; port 0 takes a free one. Default: `[::]:443`.
    #[arg(id = "server.bind", long = "server-bind", visible_alias = "listen", env = "MOQ_SERVER_BIND", value_name = "ADDR")]
    #[serde(deserialize_with = "value::text")]
    pub bind: Option<Address>,
    /// Deadline from a client's first packet to its authorized session. Default: `10s`.
    #[arg(
        id = "server.setup_timeout",
        long = "server-setup-timeout",
        env = "MOQ_SERVER_SETUP_TIMEOUT",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    #[serde(deserialize_with = "value::duration")]
    pub setup_timeout: Option<Duration>,
    /// Protocol versions to speak, such as `moq-lite-05`. Default: all.
    #[arg(
        id = "server.version",
        long = "server-version",
        env = "MOQ_SERVER_VERSION",
        value_name = "VERSION",
        value_delimiter = ','
    )]
    #[serde(deserialize_with = "value::list")]
    pub version: Option<Vec<Version>>,
    #[command(flatten)]
    pub tcp: TcpOptions,
    #[command(flatten)]
    pub unix: UnixOptions,
    #[command(flatten)]
    pub tls: TlsOptions,
    #[command(flatten)]
    pub quic: QuicOptions,
}

impl ServerOptions {
    /// Lays `self` over `file`: whatever is set here wins.
    pub(crate) fn over(self, file: Self) -> Self {
        Self {
            bind: self.bind.or(file.bind),
            setup_timeout: self.setup_timeout.or(file.setup_timeout),
            version: self.version.or(file.version),
            tcp: TcpOptions { bind: self.tcp.bind.or(file.tcp.bind) },
            unix: UnixOptions { bind: self.unix.bind.or(file.unix.bind) },
            tls: self.tls.over(file.tls),
            quic: self.quic.over(file.quic),
        }
    }
}

/// `[server.tcp]` as the operator wrote it.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TcpOptions {
    /// TCP address for sessions in the clear, where no encryption is needed. Default: none.
    #[arg(id = "server.tcp.bind", long = "server-tcp-bind", env = "MOQ_SERVER_TCP_BIND", value_name = "ADDR")]
    #[serde(deserialize_with = "value::text")]
    pub bind: Option<Address>,
}

/// `[server.unix]` as the operator wrote it.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UnixOptions {
    /// Unix socket for sessions of this machine; whoever may open the file may connect. Default: none.
    #[arg(id = "server.unix.bind", long = "server-unix-bind", env = "MOQ_SERVER_UNIX_BIND", value_name = "FILE")]
    pub bind: Option<PathBuf>,
}

/// Where to listen: an IP address or a host name, with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Ip(SocketAddr),
    /// Looked up once, when the socket is bound; its first address counts.
    Name(String),
}

impl Address {
    /// The socket address to bind.
    ///
    /// # Errors
    /// When the name cannot be looked up.
    pub(crate) async fn resolve(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Ip(address) => Ok(*address),
            Self::Name(name) => {
                let mut found = tokio::net::lookup_host(name).await?;
                found.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// Text that is no listening address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address with a port; write \"[::]:4443\" for all interfaces, or \"127.0.0.1:4443\" for this machine only")]
pub(crate) struct AddressError;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError)?;
        let is_name = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
        if is_name && !host.ends_with(|c: char| c.is_ascii_digit()) && port.parse::<u16>().is_ok() {
            return Ok(Self::Name(text.to_owned()));
        }
        Err(AddressError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_or_a_name_with_a_port() {
        for text in ["[::]:4443", "0.0.0.0:443", "127.0.0.1:0", "[fe80::1]:1"] {
            assert!(matches!(text.parse(), Ok(Address::Ip(_))), "{text}");
        }
        for text in ["localhost:4443", "fly-global-services:443"] {
            assert!(matches!(text.parse(), Ok(Address::Name(_))), "{text}");
        }
        for text in ["", "4443", ":4443", "[::]", "::4443:", "localhost", "localhost:99999", "http://localhost:1", "1.2.3:80"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError), "{text}");
        }
    }
}
