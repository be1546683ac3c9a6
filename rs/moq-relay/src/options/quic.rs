//! `[server.quic]`: how much a connection may carry, and when it counts as dead.

use std::time::Duration;

use serde::Deserialize;

use super::value;

/// `[server.quic]` as the operator wrote it.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[command(next_help_heading = "[server.quic]")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QuicOptions {
    /// Streams a client may have open towards the relay once it publishes; a group takes one. Default: `1024`.
    #[arg(
        id = "server.quic.max_streams",
        long = "server-quic-max-streams",
        visible_alias = "server-max-streams",
        env = "MOQ_SERVER_QUIC_MAX_STREAMS",
        value_name = "N"
    )]
    pub max_streams: Option<u32>,
    /// Bytes a client may send ahead of the relay once it publishes. Default: `16777216`.
    #[arg(
        id = "server.quic.receive_window",
        long = "server-quic-receive-window",
        env = "MOQ_SERVER_QUIC_RECEIVE_WINDOW",
        value_name = "BYTES"
    )]
    pub receive_window: Option<u32>,
    /// Silence after which a connection is dead. Default: `10s`.
    #[arg(
        id = "server.quic.idle_timeout",
        long = "server-quic-idle-timeout",
        env = "MOQ_SERVER_QUIC_IDLE_TIMEOUT",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    #[serde(deserialize_with = "value::duration")]
    pub idle_timeout: Option<Duration>,
    /// Silence after which the relay asks a client whether it is still there; `0s` never asks. Default: `3s`.
    #[arg(
        id = "server.quic.keep_alive",
        long = "server-quic-keep-alive",
        env = "MOQ_SERVER_QUIC_KEEP_ALIVE",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    #[serde(deserialize_with = "value::duration")]
    pub keep_alive: Option<Duration>,
}

impl QuicOptions {
    /// Lays `self` over `file`: whatever is set here wins.
    pub(crate) fn over(self, file: Self) -> Self {
        Self {
            max_streams: self.max_streams.or(file.max_streams),
            receive_window: self.receive_window.or(file.receive_window),
            idle_timeout: self.idle_timeout.or(file.idle_timeout),
            keep_alive: self.keep_alive.or(file.keep_alive),
        }
    }
}
