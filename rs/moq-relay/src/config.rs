//! What the options settle to: every value has its default, contradictions are refused, nothing is optional that is needed.
//!
//! Pure: no file is read and no name looked up here. All that is wrong is reported at once.

mod auth;

use std::{fmt, path::PathBuf, time::Duration};

use moq_native::tls::PemFiles;
use moq_proto::Version;

pub(crate) use self::auth::{AuthConfig, FetchConfig, KeyConfig, MtlsConfig, PenaltyConfig, RemoteConfig};
use crate::{
    endpoint::EndpointError,
    options::{
        Address, CacheOptions, Capacity, Conflict, Format, HttpsOptions, Level, LogOptions, Options, PublishOptions, QuicOptions,
        ServerOptions, TlsOptions, WebOptions,
    },
};

/// The least for the head of a request, in bytes: browsers send half as much.
const HEADER_BYTES_MIN: usize = 1024;

/// What stands for all that is longer, so that a deadline can be reckoned: a hundred years.
const TIME_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The whole configuration, settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// How long clients may take to leave once they are asked to. Zero: they are not asked.
    pub drain_timeout: Duration,
    pub log: LogConfig,
    pub server: ServerConfig,
    pub web: WebConfig,
    pub auth: AuthConfig,
    pub publish: PublishConfig,
    pub cache: CacheConfig,
}

/// `[log]`, settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogConfig {
    pub level: Level,
    pub format: Format,
}

/// `[server]`, settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerConfig {
    pub bind: Address,
    /// Where sessions come in the clear over TCP; `None`: nowhere.
    pub tcp: Option<Address>,
    /// The Unix socket where they come; `None`: none.
    pub unix: Option<PathBuf>,
    pub setup_timeout: Duration,
    /// In order of preference.
    pub versions: Vec<Version>,
    pub tls: TlsConfig,
    pub quic: QuicConfig,
}

impl ServerConfig {
    /// The tokens that stand for the versions where a transport negotiates, in their order.
    pub(crate) fn protocols(&self) -> Vec<String> {
        let mut tokens: Vec<String> = Vec::new();
        for version in &self.versions {
            if !tokens.iter().any(|token| token == version.alpn()) {
                tokens.push(version.alpn().into());
            }
        }
        tokens
    }
}

/// `[server.tls]`, settled: at least one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsConfig {
    pub pairs: Vec<PemFiles>,
    /// Names for one generated certificate, after those of the files.
    pub generate: Vec<String>,
    /// Authorities that vouch for clients. None: clients are not asked for certificates.
    pub roots: Vec<PathBuf>,
}

/// `[server.quic]`, settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QuicConfig {
    pub max_streams: u32,
    /// In bytes.
    pub receive_window: u32,
    pub idle_timeout: Duration,
    /// `None`: never.
    pub keep_alive: Option<Duration>,
}

/// `[web]`, settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebConfig {
    /// Where plain HTTP listens; `None`: nowhere.
    pub http: Option<Address>,
    /// Where HTTP with TLS listens; `None`: nowhere.
    pub https: Option<HttpsConfig>,
    pub websocket: bool,
    pub header_timeout: Duration,
    pub request_timeout: Duration,
    pub max_connections: usize,
    pub max_per_ip: usize,
    /// In bytes.
    pub max_header: usize,
}

/// `[web.https]`, settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpsConfig {
    pub listen: Address,
    /// None: what `[server.tls]` shows is shown here too.
    pub pairs: Vec<PemFiles>,
    /// Authorities that vouch for clients. None: clients are not asked for certificates.
    pub roots: Vec<PathBuf>,
}

/// `[publish]`, settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PublishConfig {
    pub conflict: Conflict,
}

/// `[cache]`, settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheConfig {
    /// A share is one of the memory this process may use. `None`: the default share, up to the default bound.
    pub capacity: Option<Capacity>,
    /// A share is one of the capacity.
    pub per_broadcast: Capacity,
    pub min_age: Duration,
    pub max_age: Duration,
    pub linger: Duration,
}

/// Why options settle to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "\n" })?;
        }
        if self.problems.contains(&Problem::NoCertificate) && self.problems.contains(&Problem::NobodyMayEnter) {
            f.write_str(
                "\nTo try a relay without any file: moq-relay --listen '[::]:4443' --tls-generate localhost --auth-public ''",
            )?;
        }
        Ok(())
    }
}

/// One thing that is missing or contradictory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Problem {
    #[error(
        "no certificate: set `cert` and `key` in [server.tls] (--tls-cert, --tls-key) to PEM files, \
         or for development `generate = [\"localhost\"]` (--tls-generate localhost)"
    )]
    NoCertificate,
    #[error("{certs} certificates and {keys} keys in [{table}]: each `cert` needs its `key`, in the same order")]
    UnpairedCertificates { table: &'static str, certs: usize, keys: usize },
    #[error("[web.https] listens nowhere: set its `listen`, such as \"[::]:443\", or take its other keys away")]
    HttpsNowhere,
    #[error("a name in `server.tls.generate` is empty; name the hosts, such as [\"localhost\"]")]
    NamelessCertificate,
    #[error(
        "nobody could come in: in [auth], set `key` (--auth-key) to a file of keys that tokens are checked with, \
         or `key_dir` (--auth-key-dir) to a folder of them, as `moq-token generate` makes, \
         or `url` (--auth-url) to a server that decides; \
         or set `mtls` to what certificates of clients allow, and `root` in [server.tls] to the authorities that vouch for them; \
         or set `public` (--auth-public) to the paths open to everybody, such as \"demo\", or to \"\" for all of them"
    )]
    NobodyMayEnter,
    #[error("a table of `auth.mtls` has no `match`; it is a name in a certificate, or \"sha256:\" and a fingerprint")]
    MatchesNobody,
    #[error(
        "`auth.mtls` for {0:?} allows nothing: set `publish` or `subscribe` to paths, such as \"demo\" or \"\" for all of them"
    )]
    MatchedForNothing(String),
    #[error(
        "`auth.mtls` is set, and clients are not asked for certificates: set `root` in [server.tls] (--tls-root), in [web.https] \
         or in both to PEM files of the authorities that vouch for them"
    )]
    NobodyVouches,
    #[error(
        "clients are asked for certificates (`server.tls.root`, `web.https.root`) that allow nothing: say in [auth] what they do, \
         as in mtls = [{{ match = \"cam.example.com\", publish = \"cams\" }}]"
    )]
    VouchedForNothing,
    // What was written may hold a password.
    #[error("`{key}`: {error}")]
    Endpoint { key: &'static str, error: EndpointError },
    #[error("`auth.refresh` ({refresh:?}) is below `auth.refresh_min` ({refresh_min:?})")]
    RefreshCrossed { refresh: Duration, refresh_min: Duration },
    #[error("`server.version` is an empty list; leave it out to speak every version")]
    NoVersion,
    #[error("`{0}` is zero, which leaves no time at all")]
    NoTime(&'static str),
    #[error("`{0}` is zero, which lets nobody in")]
    NoRoom(&'static str),
    #[error("`server.quic.keep_alive` ({keep_alive:?}) is not below `server.quic.idle_timeout` ({idle_timeout:?})")]
    KeepAliveTooLate { keep_alive: Duration, idle_timeout: Duration },
    #[error("`web.max_header` is {0} bytes, and {HEADER_BYTES_MIN} is the least")]
    HeaderTooSmall(usize),
    #[error("`cache.min_age` ({min_age:?}) is above `cache.max_age` ({max_age:?})")]
    AgesCrossed { min_age: Duration, max_age: Duration },
}

impl TryFrom<Options> for Config {
    type Error = ConfigError;

    fn try_from(options: Options) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let config = Self {
            drain_timeout: options.drain_timeout.unwrap_or(Duration::from_secs(10)),
            log: log(options.log),
            server: server(options.server, &mut problems),
            web: web(options.web, &mut problems),
            auth: AuthConfig::settle(options.auth, &mut problems),
            publish: publish(options.publish),
            cache: cache(&options.cache, &mut problems),
        };
        certificates(&config, &mut problems);
        if problems.is_empty() { Ok(config) } else { Err(ConfigError { problems }) }
    }
}

fn log(options: LogOptions) -> LogConfig {
    LogConfig { level: options.level.unwrap_or_default(), format: options.format.unwrap_or_default() }
}

fn server(options: ServerOptions, problems: &mut Vec<Problem>) -> ServerConfig {
    let versions = options.version.unwrap_or_else(|| Version::ALL.to_vec());
    if versions.is_empty() {
        problems.push(Problem::NoVersion);
    }
    ServerConfig {
        bind: options.bind.unwrap_or_else(|| Address::Ip(([0; 8], 443).into())),
        tcp: options.tcp.bind,
        unix: options.unix.bind,
        setup_timeout: time("server.setup_timeout", options.setup_timeout, Duration::from_secs(10), problems),
        versions,
        tls: tls(options.tls, problems),
        quic: quic(&options.quic, problems),
    }
}

fn tls(options: TlsOptions, problems: &mut Vec<Problem>) -> TlsConfig {
    let is_named = |files: &Option<Vec<PathBuf>>| files.as_ref().is_some_and(|files| !files.is_empty());
    let has_files = is_named(&options.cert) || is_named(&options.key);
    let pairs = pairs("server.tls", options.cert, options.key, problems);
    let generate = options.generate.unwrap_or_default();
    if !has_files && generate.is_empty() {
        problems.push(Problem::NoCertificate);
    }
    if generate.iter().any(String::is_empty) {
        problems.push(Problem::NamelessCertificate);
    }
    TlsConfig { pairs, generate, roots: options.root.unwrap_or_default() }
}

/// Each certificate with its key.
fn pairs(
    table: &'static str,
    certs: Option<Vec<PathBuf>>,
    keys: Option<Vec<PathBuf>>,
    problems: &mut Vec<Problem>,
) -> Vec<PemFiles> {
    let (certs, keys) = (certs.unwrap_or_default(), keys.unwrap_or_default());
    if certs.len() != keys.len() {
        problems.push(Problem::UnpairedCertificates { table, certs: certs.len(), keys: keys.len() });
    }
    certs.into_iter().zip(keys).map(|(certificate, key)| PemFiles { certificate, key }).collect()
}

fn quic(options: &QuicOptions, problems: &mut Vec<Problem>) -> QuicConfig {
    let idle_timeout = time("server.quic.idle_timeout", options.idle_timeout, Duration::from_secs(10), problems);
    let keep_alive = options.keep_alive.unwrap_or(Duration::from_secs(3).min(idle_timeout / 3));
    if keep_alive >= idle_timeout && !idle_timeout.is_zero() {
        problems.push(Problem::KeepAliveTooLate { keep_alive, idle_timeout });
    }
    QuicConfig {
        max_streams: options.max_streams.unwrap_or(1024),
        receive_window: options.receive_window.unwrap_or(16 << 20),
        idle_timeout,
        keep_alive: Some(keep_alive).filter(|time| !time.is_zero()),
    }
}

fn web(options: WebOptions, problems: &mut Vec<Problem>) -> WebConfig {
    let max_connections = options.max_connections.unwrap_or(1024);
    if max_connections == 0 {
        problems.push(Problem::NoRoom("web.max_connections"));
    }
    let max_per_ip = options.max_per_ip.unwrap_or(64);
    if max_per_ip == 0 {
        problems.push(Problem::NoRoom("web.max_per_ip"));
    }
    let max_header = options.max_header.unwrap_or(16 << 10);
    if max_header < HEADER_BYTES_MIN {
        problems.push(Problem::HeaderTooSmall(max_header));
    }
    WebConfig {
        http: options.http.listen,
        https: https(options.https, problems),
        websocket: options.ws.unwrap_or(true),
        header_timeout: time("web.header_timeout", options.header_timeout, Duration::from_secs(5), problems),
        request_timeout: time("web.request_timeout", options.request_timeout, Duration::from_secs(30), problems),
        max_connections,
        max_per_ip,
        max_header,
    }
}

fn https(options: HttpsOptions, problems: &mut Vec<Problem>) -> Option<HttpsConfig> {
    let is_silent = options.cert.is_none() && options.key.is_none() && options.root.is_none();
    let pairs = pairs("web.https", options.cert, options.key, problems);
    if options.listen.is_none() && !is_silent {
        problems.push(Problem::HttpsNowhere);
    }
    options.listen.map(|listen| HttpsConfig { listen, pairs, roots: options.root.unwrap_or_default() })
}

/// Whether there are mappings where clients are asked for certificates, and only there.
fn certificates(config: &Config, problems: &mut Vec<Problem>) {
    let is_asked = !config.server.tls.roots.is_empty() || config.web.https.as_ref().is_some_and(|https| !https.roots.is_empty());
    match (is_asked, config.auth.mtls.is_empty()) {
        (false, false) => problems.push(Problem::NobodyVouches),
        (true, true) => problems.push(Problem::VouchedForNothing),
        _ => {}
    }
}

fn publish(options: PublishOptions) -> PublishConfig {
    PublishConfig { conflict: options.conflict.unwrap_or_default() }
}

fn cache(options: &CacheOptions, problems: &mut Vec<Problem>) -> CacheConfig {
    let min_age = bounded(options.min_age.unwrap_or_default());
    let max_age = bounded(options.max_age.unwrap_or(Duration::from_secs(30)));
    if min_age > max_age {
        problems.push(Problem::AgesCrossed { min_age, max_age });
    }
    CacheConfig {
        capacity: options.capacity,
        per_broadcast: options.per_broadcast.unwrap_or(Capacity::Percent(25)),
        min_age,
        max_age,
        linger: bounded(options.linger.unwrap_or(Duration::from_secs(30))),
    }
}

/// A time that may not be zero.
fn time(key: &'static str, written: Option<Duration>, default: Duration, problems: &mut Vec<Problem>) -> Duration {
    let time = written.unwrap_or(default);
    if time.is_zero() {
        problems.push(Problem::NoTime(key));
    }
    bounded(time)
}

/// A time that a clock can be ahead.
fn bounded(time: Duration) -> Duration {
    time.min(TIME_MAX)
}

#[cfg(test)]
mod tests;
