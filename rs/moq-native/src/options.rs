//! What a server or a client is built from, and the QUIC limits that follow.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use moq_proto::Version;
use quinn::{IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};

use crate::{
    backend::quic::{allowance::BIDI_STREAMS, congestion::Congestion, window::SEND_WINDOW},
    tls::{Identity, ServerTls, Trust},
};

/// Unidirectional streams that a peer may have open before media is expected of it: SETUP, HTTP/3's own, and a few groups
/// that arrive early. A session that subscribes allows more.
const UNI_STREAMS: u32 = 16;

/// Bytes that a peer may send ahead of the reader before media is expected of it.
const RECEIVE_WINDOW: u32 = 256 * 1024;

/// Bytes that one stream may be ahead of its reader: a large key frame and some.
const STREAM_RECEIVE_WINDOW: u32 = 1024 * 1024;

/// Bytes of datagrams that wait, each way.
const DATAGRAM_BYTES: usize = 64 * 1024;

/// Largest packet that paths are probed for, in bytes: what Ethernet leaves of 1,500 under IPv6 and a tunnel.
const MTU_MAX: u16 = 1452;

/// What a server is built from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// UDP address to listen on. `[::]` takes IPv4 too.
    pub bind: SocketAddr,
    /// TCP address to listen on too, in the clear. `None`: none.
    pub tcp: Option<SocketAddr>,
    /// Path of a Unix socket to listen on too. `None`: none.
    pub unix: Option<PathBuf>,
    /// What is shown, and whether clients are asked for certificates; kept, it can be changed while the server runs.
    pub tls: ServerTls,
    /// Tokens of the session protocols that are spoken, in order of preference.
    pub protocols: Vec<String>,
    /// From the first packet to an open session.
    pub setup_timeout: Duration,
    /// Handshakes at a time; newcomers beyond that are refused.
    pub max_handshakes: usize,
    /// Handshakes at a time above which a newcomer has to show that its address is its own.
    pub retry_above: usize,
    pub quic: QuicConfig,
}

impl ServerConfig {
    /// `tls` may be certificates alone.
    pub fn new(bind: SocketAddr, tls: impl Into<ServerTls>) -> Self {
        Self {
            bind,
            tcp: None,
            unix: None,
            tls: tls.into(),
            protocols: protocols(),
            setup_timeout: Duration::from_secs(10),
            max_handshakes: 1024,
            retry_above: 256,
            quic: QuicConfig::default(),
        }
    }
}

/// What a client is built from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// UDP address to speak from. `[::]` reaches IPv4 too.
    pub bind: SocketAddr,
    pub trust: Trust,
    /// What is shown to servers that ask for a certificate. `None`: nothing.
    pub identity: Option<Identity>,
    /// Tokens of the session protocols that are spoken, in order of preference.
    pub protocols: Vec<String>,
    /// From the first packet to an accepted connection.
    pub connect_timeout: Duration,
    /// When a WebSocket joins the race for an `https` or `http` URL, counted from when QUIC is dialled; sooner if that fails
    /// first, and at once where a WebSocket [has won before](crate::Client::connect). `None`: never.
    pub websocket_after: Option<Duration>,
    pub quic: QuicConfig,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([0u16; 8], 0)),
            trust: Trust::default(),
            identity: None,
            protocols: protocols(),
            connect_timeout: Duration::from_secs(10),
            websocket_after: Some(Duration::from_millis(200)),
            quic: QuicConfig::default(),
        }
    }
}

/// When a QUIC connection counts as dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuicConfig {
    /// After so long without a packet.
    pub idle_timeout: Duration,
    /// How often to send a packet when there is nothing to send. `None`: never.
    ///
    /// QUIC settles it with the connection, so a peer is kept alive before it is known too; the setup timeout bounds that.
    pub keep_alive: Option<Duration>,
}

impl Default for QuicConfig {
    fn default() -> Self {
        Self { idle_timeout: Duration::from_secs(10), keep_alive: Some(Duration::from_secs(3)) }
    }
}

impl QuicConfig {
    /// Limits of a connection, as they are while its peer is a stranger.
    pub(crate) fn transport(&self) -> Arc<TransportConfig> {
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(MTU_MAX);

        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_uni_streams(UNI_STREAMS.into())
            .max_concurrent_bidi_streams(BIDI_STREAMS.into())
            .receive_window(RECEIVE_WINDOW.into())
            .stream_receive_window(STREAM_RECEIVE_WINDOW.into())
            .send_window(SEND_WINDOW)
            .datagram_receive_buffer_size(Some(DATAGRAM_BYTES))
            .datagram_send_buffer_size(DATAGRAM_BYTES)
            .mtu_discovery_config(Some(discovery))
            .congestion_controller_factory(Arc::new(Congestion))
            .max_idle_timeout(Some(idle_timeout(self.idle_timeout)))
            .keep_alive_interval(self.keep_alive);
        Arc::new(transport)
    }
}

/// QUIC counts it in milliseconds; what is beyond its range is as good as never.
fn idle_timeout(timeout: Duration) -> IdleTimeout {
    IdleTimeout::try_from(timeout).unwrap_or_else(|_| VarInt::MAX.into())
}

/// Every version, newest first.
fn protocols() -> Vec<String> {
    Version::ALPNS.iter().map(|token| (*token).to_owned()).collect()
}
