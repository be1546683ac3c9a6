//! `[web]`: the HTTP side of the relay, where browsers without WebTransport come in as well.

use std::{path::PathBuf, time::Duration};

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
    /// Deadline for a TLS handshake, and for the head of a request from the moment the relay waits for it. Default: `5s`.
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
    #[command(flatten)]
    pub https: HttpsOptions,
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
            https: self.https.over(file.https),
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

/// `[web.https]` as the operator wrote it.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[command(next_help_heading = "[web.https]")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpsOptions {
    /// TCP address for HTTP and WebSocket with TLS; may be the port number of `server.bind`. Default: none.
    #[arg(id = "web.https.listen", long = "web-https-listen", env = "MOQ_WEB_HTTPS_LISTEN", value_name = "ADDR")]
    #[serde(deserialize_with = "value::text")]
    pub listen: Option<Address>,
    /// PEM files with a certificate chain each. Default: all that [server.tls] shows.
    #[arg(
        id = "web.https.cert",
        long = "web-https-cert",
        env = "MOQ_WEB_HTTPS_CERT",
        value_name = "FILE",
        value_delimiter = ','
    )]
    #[serde(deserialize_with = "value::list")]
    pub cert: Option<Vec<PathBuf>>,
    /// PEM files with the private keys, in the order of the certificates.
    #[arg(id = "web.https.key", long = "web-https-key", env = "MOQ_WEB_HTTPS_KEY", value_name = "FILE", value_delimiter = ',')]
    #[serde(deserialize_with = "value::list")]
    pub key: Option<Vec<PathBuf>>,
    /// PEM files of authorities that vouch for clients, as `server.tls.root` for QUIC. Default: none.
    #[arg(
        id = "web.https.root",
        long = "web-https-root",
        env = "MOQ_WEB_HTTPS_ROOT",
        value_name = "FILE",
        value_delimiter = ','
    )]
    #[serde(deserialize_with = "value::list")]
    pub root: Option<Vec<PathBuf>>,
}

impl HttpsOptions {
    /// Lays `self` over `file`: whatever is set here wins. A certificate and its key come from the same place.
    pub(crate) fn over(self, file: Self) -> Self {
        let (cert, key) = match (self.cert, self.key) {
            (None, None) => (file.cert, file.key),
            here => here,
        };
        Self { listen: self.listen.or(file.listen), cert, key, root: self.root.or(file.root) }
    }
}
