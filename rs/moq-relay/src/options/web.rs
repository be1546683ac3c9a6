//! `[web]`: the HTTP side of the relay, where browsers without WebTransport come in as well.

use std::time::Duration;

use serde::Deserialize;

use super::{server::Address, value};

/// `[web]` as the operator wrote it.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[command(next_help_heading = "[web]")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebOptions {
    /// Whether sessions may come over WebSocket. Default: `true`.
    #[arg(
        id = "web.ws",
        long = "web-ws",
        env = "MOQ_WEB_WS",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub ws: Option<bool>,
    /// Deadline for the head of a request, counted from the moment the relay waits for it. Default: `5s`.
    #[arg(
        id = "web.header_timeout",
        long = "web-header-timeout",
        env = "MOQ_WEB_HEADER_TIMEOUT",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    #[serde(deserialize_with = "value::duration")]
    pub header_timeout: Option<Duration>,
    /// How long an HTTP connection takes requests, and then at most for the last answer; not for WebSockets. Default: `30s`.
    #[arg(
        id = "web.request_timeout",
        long = "web-request-timeout",
        env = "MOQ_WEB_REQUEST_TIMEOUT",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    #[serde(deserialize_with = "value::duration")]
    pub request_timeout: Option<Duration>,
    /// HTTP connections at a time, WebSockets not counted. Default: `1024`.
    #[arg(id = "web.max_connections", long = "web-max-connections", env = "MOQ_WEB_MAX_CONNECTIONS", value_name = "N")]
    pub max_connections: Option<usize>,
    /// HTTP connections at a time from one address, IPv6 by its /64; loopback is exempt. Default: `64`.
    #[arg(id = "web.max_per_ip", long = "web-max-per-ip", env = "MOQ_WEB_MAX_PER_IP", value_name = "N")]
    pub max_per_ip: Option<usize>,
    /// Bytes that the head of a request may have, at least 1024. Default: `16384`.
    #[arg(id = "web.max_header", long = "web-max-header", env = "MOQ_WEB_MAX_HEADER", value_name = "BYTES")]
    pub max_header: Option<usize>,
    #[command(flatten)]
    pub http: HttpOptions,
}

impl WebOptions {
    /// Lays `self` over `file`: whatever is set here wins.
    pub(crate) fn over(self, file: Self) -> Self {
        Self {
            ws: self.ws.or(file.ws),
            header_timeout: self.header_timeout.or(file.header_timeout),
            request_timeout: self.request_timeout.or(file.request_timeout),
            max_connections: self.max_connections.or(file.max_connections),
            max_per_ip: self.max_per_ip.or(file.max_per_ip),
            max_header: self.max_header.or(file.max_header),
            http: self.http.over(file.http),
        }
    }
}

/// `[web.http]` as the operator wrote it.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[command(next_help_heading = "[web.http]")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpOptions {
    /// TCP address for plain HTTP and WebSocket; may be the port number of `server.bind`. Default: none.
    #[arg(id = "web.http.listen", long = "web-http-listen", env = "MOQ_WEB_HTTP_LISTEN", value_name = "ADDR")]
    #[serde(deserialize_with = "value::text")]
    pub listen: Option<Address>,
}

impl HttpOptions {
    /// Lays `self` over `file`: whatever is set here wins.
    pub(crate) fn over(self, file: Self) -> Self {
        Self { listen: self.listen.or(file.listen) }
    }
}
