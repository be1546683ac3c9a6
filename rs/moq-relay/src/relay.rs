//! The relay: its shards around one origin, from a configuration to its end.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, anyhow, bail};
use futures::stream::{FuturesUnordered, StreamExt as _};
use moq_lite::{
    model::{cache::Budget, origin::Origin},
    session::{self, Limits, fanout::Fanout},
    stats::Stats,
};
use moq_native::{
    AnyConnection, Server, ServerConfig,
    tls::{Certificates, PemFiles},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing::{debug, info, warn};

use crate::{
    auth::{self, Auth, FileError, Files, Public},
    cache,
    config::{self, Config, KeyConfig, QuicConfig, TlsConfig, WebConfig},
    connection::{self, Hub},
    listener::{self, TASKS_MAX},
    metrics::Metrics,
    options::Address,
    shard::Shard,
    shutdown::{GRACE, REASON, Shutdown, Signals},
    web::{self, Site, Upgrade, Upgrades},
};

/// WebSockets that were promised and not yet taken by their shard: a burst of a second or so.
const UPGRADES_MAX: usize = 256;

/// Counts, by reason, what somebody wanted to publish and may not.
const ANNOUNCEMENTS_REFUSED: &str = "moq_relay_announcements_refused_total";

/// A relay that listens.
pub(crate) struct Relay {
    shards: Vec<Shard>,
    shutdown: Shutdown,
    signals: Signals,
    metrics: Metrics,
    auth: Arc<Auth>,
    origin: Origin,
}

/// Reads the files that the configuration names, as a start does.
///
/// # Errors
/// What a start would fail with.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    certificates(&config.server.tls)?;
    keys(config.auth.keys.clone()).map(drop)
}

impl Relay {
    /// Opens every socket and starts to serve.
    ///
    /// # Errors
    /// When a certificate or a key cannot be had, or a socket is refused.
    pub(crate) async fn build(config: Config) -> anyhow::Result<Self> {
        let files = keys(config.auth.keys)?;
        let certificates = certificates(&config.server.tls)?;
        let fingerprint = certificates.fingerprints().first().map(ToString::to_string);
        let http = match &config.web.http {
            Some(address) => Some(bind_http(address).await?),
            None => None,
        };
        let (signals, (shutdown, stopping)) = (Signals::listen().context("listening for signals")?, Shutdown::new());
        let (metrics, hop) = (Metrics::default(), session::random_hop());
        let public = Public::new(config.auth.public_publish, config.auth.public_subscribe);
        let hub = Hub {
            auth: Arc::new(Auth::new(public, files.verifier())),
            origin: Origin::new(hop),
            conflict: config.publish.conflict,
            budget: Budget::with_policy(cache::policy(&config.cache)),
            hop,
            versions: config.server.versions.clone().into(),
            setup_timeout: config.server.setup_timeout,
            limits: limits(&config.server.quic),
            stats: Stats::default(),
            metrics: metrics.clone(),
            stopping,
        };

        let origin = hub.origin.clone();
        let (auth, watching, stopping) = (hub.auth.clone(), hub.auth.clone(), hub.stopping.clone());
        let (rights, ()) = Shard::start("auth", move |ready| auth::watch(watching, files, stopping, ready)).await?;
        let mut shards = vec![rights];

        let server = server_config(&config.server, certificates).await?;
        let quic_hub = hub.clone();
        let (quic, udp) = Shard::start("quic", move |ready| serve_quic(server, quic_hub, ready)).await?;
        info!(transport = %"quic", address = %udp, "listening");
        shards.push(quic);
        if let Some(socket) = http {
            let (auth, origin) = (hub.auth.clone(), hub.origin.clone());
            let (protocols, versions) = (config.server.protocols(), config.server.versions);
            let site = move |sessions| Site { auth, origin, fingerprint, udp, versions, protocols, sessions };
            let (web, tcp) = Shard::start("web", move |ready| serve_web(socket, config.web, site, hub, ready)).await?;
            info!(transport = %"http", address = %tcp, "listening");
            shards.push(web);
        }
        info!(version = env!("CARGO_PKG_VERSION"), "ready");
        Ok(Self { shards, shutdown, signals, metrics, auth, origin })
    }

    /// Serves until a signal, or until a shard fails; then tells every client and ends.
    ///
    /// # Errors
    /// Why a shard failed.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let mut shards: FuturesUnordered<_> = self.shards.into_iter().map(Shard::ended).collect();
        let outcome = tokio::select! {
            signal = self.signals.next() => {
                info!(signal, "stopping");
                Ok(())
            }
            Some(ended) = shards.next() => ended.and_then(|()| bail!("a shard ended by itself")),
        };
        self.shutdown.begin();
        tokio::select! {
            ended = timeout(GRACE, shards.count()) => match ended {
                Ok(_) => info!("stopped"),
                Err(_) => warn!(grace = ?GRACE, "stopped before every session had ended"),
            },
            signal = self.signals.next() => warn!(signal, "stopped at once"),
        }
        for (name, value) in self.metrics.read() {
            debug!(name, value, "counted");
        }
        let refusals = self.origin.refusals().by_reason().map(|(reason, value)| (ANNOUNCEMENTS_REFUSED, reason, value));
        for (name, reason, value) in self.auth.counts().chain(refusals).filter(|(.., value)| *value > 0) {
            debug!(name, reason, value, "counted");
        }
        outcome
    }
}

/// The life of the shard that serves QUIC.
async fn serve_quic(config: ServerConfig, hub: Hub, ready: oneshot::Sender<SocketAddr>) -> anyhow::Result<()> {
    let mut server = Server::bind(config)?;
    let (fanout, viewers) = Fanout::new(hub.stats.clone());
    // Whoever asked for the address may be gone; the end comes with `stopping` then.
    let _ = ready.send(server.local_addr());

    let (metrics, stopping) = (hub.metrics.clone(), hub.stopping.clone());
    let sessions = listener::run(&mut server, TASKS_MAX, metrics, stopping, |incoming| {
        connection::over_quic(hub.clone(), viewers.clone(), incoming)
    });
    during(fanout, sessions).await;
    server.close(0, REASON).await;
    Ok(())
}

/// The life of the shard that serves HTTP, and sessions over WebSocket.
async fn serve_web(
    socket: std::net::TcpListener,
    config: WebConfig,
    site: impl FnOnce(Option<mpsc::Sender<Upgrade>>) -> Site,
    hub: Hub,
    ready: oneshot::Sender<SocketAddr>,
) -> anyhow::Result<()> {
    let socket = TcpListener::from_std(socket).context("taking over the HTTP socket")?;
    let (fanout, viewers) = Fanout::new(hub.stats.clone());
    let (promised, taken) = mpsc::channel(UPGRADES_MAX);
    let site = site(config.websocket.then_some(promised));
    // Whoever asked for the address may be gone; the end comes with `stopping` then.
    let _ = ready.send(socket.local_addr()?);

    let (metrics, stopping) = (hub.metrics.clone(), hub.stopping.clone());
    let pages = web::serve(socket, web::router(Arc::new(site)), web::Limits::from(&config), metrics.clone(), stopping.clone());
    let mut upgrades = Upgrades(taken);
    let sessions = listener::run(&mut upgrades, TASKS_MAX, metrics, stopping, |upgrade| {
        connection::over_websocket(hub.clone(), viewers.clone(), upgrade)
    });
    during(fanout, async { tokio::join!(pages, sessions) }).await;
    Ok(())
}

/// Keeps viewers supplied for as long as `sessions` last.
async fn during<T>(fanout: Fanout<AnyConnection>, sessions: impl Future<Output = T>) {
    tokio::select! {
        _ = sessions => {}
        () = fanout.run() => {}
    }
}

/// The certificates that `config` names.
fn certificates(config: &TlsConfig) -> anyhow::Result<Certificates> {
    if config.pairs.is_empty() {
        return Certificates::generate(&config.generate).context("generating a certificate");
    }
    let files: Vec<_> =
        config.pairs.iter().map(|pair| PemFiles { certificate: pair.cert.clone(), key: pair.key.clone() }).collect();
    Certificates::load(&files).context("loading certificates")
}

/// The keys and revocations that `config` names.
fn keys(config: KeyConfig) -> anyhow::Result<Files> {
    let told = |wrong: Vec<FileError>| wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    Files::load(config).map_err(|wrong| anyhow!("reading the files of [auth]: {}", told(wrong)))
}

async fn server_config(config: &config::ServerConfig, certificates: Certificates) -> anyhow::Result<ServerConfig> {
    let address = config.bind.resolve().await.with_context(|| format!("looking up {}", config.bind))?;
    let mut server = ServerConfig::new(address, certificates);
    server.protocols = config.protocols();
    server.setup_timeout = config.setup_timeout;
    server.quic.idle_timeout = config.quic.idle_timeout;
    server.quic.keep_alive = config.quic.keep_alive;
    Ok(server)
}

async fn bind_http(address: &Address) -> anyhow::Result<std::net::TcpListener> {
    let resolved = address.resolve().await.with_context(|| format!("looking up {address}"))?;
    web::bind(resolved).with_context(|| format!("opening TCP {resolved} for HTTP"))
}

fn limits(config: &QuicConfig) -> Limits {
    Limits { streams: config.max_streams, window: config.receive_window, ..Limits::default() }
}
