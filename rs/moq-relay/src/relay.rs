//! The relay: its shards around one origin, from a configuration on. How it ends is in `drain`.

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::SystemTime};

use anyhow::Context as _;
use futures::future::join_all;
use moq_lite::{
    model::{cache::Budget, origin::Origin},
    session::{self, Limits, fanout::Fanout},
    stats::Stats,
};
use moq_native::{AnyConnection, Server, ServerConfig, tls::ServerTls};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};
use tracing::{debug, info};

use crate::{
    auth::{self, Auth},
    cache,
    config::{self, Config, QuicConfig, WebConfig},
    connection::{self, Hub},
    drain::Drain,
    listener::{self, TASKS_MAX},
    metrics::Metrics,
    options::Address,
    shard::Shard,
    shutdown::{Farewell, Shutdown, Signals},
    tls::{self, Store},
    web::{self, Crowd, Fetches, Secure, Site, Upgrade, Upgrades},
};

/// WebSockets that were promised and not yet taken by their shard: a burst of a second or so.
const UPGRADES_MAX: usize = 256;

/// Counts, by reason, what somebody wanted to publish and may not.
const ANNOUNCEMENTS_REFUSED: &str = "moq_relay_announcements_refused_total";

/// Counts, by reason, what was asked for over HTTP and is not shown.
const FETCHES_REFUSED: &str = "moq_relay_fetches_refused_total";

/// A relay that listens.
pub(crate) struct Relay {
    drain: Drain,
    metrics: Metrics,
    auth: Arc<Auth>,
    origin: Origin,
    fetches: Arc<Fetches>,
    certificates: Arc<tls::Counts>,
}

/// A socket for HTTP.
struct Door {
    transport: &'static str,
    socket: std::net::TcpListener,
    /// `None`: in the clear.
    tls: Option<ServerTls>,
}

/// Reads the files that the configuration names, as a start does.
///
/// # Errors
/// What a start would fail with.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    Store::load(&config.server.tls, config.web.https.as_ref(), SystemTime::now())?;
    auth::open(config.auth.clone()).map(drop)
}

impl Relay {
    /// Opens every socket and starts to serve.
    ///
    /// # Errors
    /// When a certificate or a key cannot be had, or a socket is refused.
    pub(crate) async fn build(config: Config) -> anyhow::Result<Self> {
        let (auth, keeper) = auth::open(config.auth)?;
        let certificates = Store::load(&config.server.tls, config.web.https.as_ref(), SystemTime::now())?;
        let mut doors = Vec::new();
        if let Some(address) = &config.web.http {
            doors.push(Door { transport: "http", socket: bind_http(address).await?, tls: None });
        }
        if let Some(https) = &config.web.https {
            doors.push(Door { transport: "https", socket: bind_http(&https.listen).await?, tls: certificates.https() });
        }
        let (signals, (shutdown, stopping)) = (Signals::listen().context("listening for signals")?, Shutdown::new());
        let (metrics, hop) = (Metrics::default(), session::random_hop());
        let hub = Hub {
            auth: Arc::new(auth),
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

        let (origin, fetches) = (hub.origin.clone(), Arc::<Fetches>::default());
        let (auth, watching, stopping) = (hub.auth.clone(), hub.auth.clone(), hub.stopping.clone());
        let (rights, ()) = Shard::start("auth", move |ready| keeper.run(watching, stopping, ready)).await?;
        let mut helping = vec![rights];

        let (shown, pins, counted, stopping) =
            (certificates.quic(), certificates.pins(), Arc::<tls::Counts>::default(), hub.stopping.clone());
        let counts = counted.clone();
        let (renewal, ()) = Shard::start("tls", move |ready| tls::watch(certificates, counts, stopping, ready)).await?;
        helping.push(renewal);

        let server = server_config(&config.server, shown).await?;
        let quic_hub = hub.clone();
        let (quic, (udp, tcp)) = Shard::start("quic", move |ready| serve_quic(server, quic_hub, ready)).await?;
        info!(transport = %"quic", address = %udp, "listening");
        if let Some(address) = tcp {
            info!(transport = %"tcp", %address, "listening");
        }
        if let Some(path) = &config.server.unix {
            info!(transport = %"unix", address = %path.display(), "listening");
        }
        let mut serving = vec![quic];
        if !doors.is_empty() {
            let (auth, origin, fetches) = (hub.auth.clone(), hub.origin.clone(), fetches.clone());
            let (protocols, versions) = (config.server.protocols(), config.server.versions);
            let site = move |sessions| Site { auth, origin, fetches, pins, udp, versions, protocols, sessions };
            let (web, addresses) = Shard::start("web", move |ready| serve_web(doors, config.web, site, hub, ready)).await?;
            for (transport, address) in addresses {
                info!(%transport, %address, "listening");
            }
            serving.push(web);
        }
        info!(version = env!("CARGO_PKG_VERSION"), "ready");
        let drain = Drain::new((serving, helping), shutdown, signals, config.drain_timeout, metrics.clone());
        Ok(Self { drain, metrics, auth, certificates: counted, origin, fetches })
    }

    /// Serves until a signal, or until a shard fails, and then to the end of the last session. Returns what the process ends with.
    ///
    /// # Errors
    /// Why a shard failed.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let outcome = self.drain.run().await;
        for (name, value) in self.metrics.read().into_iter().chain(self.certificates.all()) {
            debug!(name, value, "counted");
        }
        let refusals = self.origin.refusals().by_reason().map(|(reason, value)| (ANNOUNCEMENTS_REFUSED, reason, value));
        let fetches = self.fetches.read().map(|(reason, value)| (FETCHES_REFUSED, reason, value));
        for (name, reason, value) in self.auth.counts().chain(refusals).chain(fetches).filter(|(.., value)| *value > 0) {
            debug!(name, reason, value, "counted");
        }
        outcome
    }
}

/// The life of the shard that serves QUIC, and sessions over plain TCP and a Unix socket.
async fn serve_quic(
    config: ServerConfig,
    hub: Hub,
    ready: oneshot::Sender<(SocketAddr, Option<SocketAddr>)>,
) -> anyhow::Result<()> {
    let mut server = Server::bind(config)?;
    let (fanout, viewers) = Fanout::new(hub.stats.clone());
    // Whoever asked for the address may be gone; the end comes with `stopping` then.
    let _ = ready.send((server.local_addr(), server.tcp_addr()));

    let (metrics, stopping) = (hub.metrics.clone(), hub.stopping.clone());
    let sessions = listener::run(&mut server, TASKS_MAX, metrics, stopping, |incoming| {
        connection::over_quic(hub.clone(), viewers.clone(), incoming)
    });
    during(fanout, sessions).await;
    server.close(Farewell::GoingAway.code().get(), Farewell::GoingAway.reason()).await;
    Ok(())
}

/// The life of the shard that serves HTTP, with TLS and without, and sessions over WebSocket.
async fn serve_web(
    doors: Vec<Door>,
    config: WebConfig,
    site: impl FnOnce(Option<mpsc::Sender<Upgrade>>) -> Site,
    hub: Hub,
    ready: oneshot::Sender<Vec<(&'static str, SocketAddr)>>,
) -> anyhow::Result<()> {
    let (fanout, viewers) = Fanout::new(hub.stats.clone());
    let (promised, taken) = mpsc::channel(UPGRADES_MAX);
    let (metrics, stopping) = (hub.metrics.clone(), hub.stopping.clone());
    let (router, limits) = (web::router(Arc::new(site(config.websocket.then_some(promised)))), web::Limits::from(&config));
    let (mut addresses, mut pages, crowd) = (Vec::new(), Vec::new(), Crowd::default());
    for Door { transport, socket, tls } in doors {
        let socket = TcpListener::from_std(socket).with_context(|| format!("taking over the socket for {transport}"))?;
        addresses.push((transport, socket.local_addr()?));
        let listener = web::Listener { socket, secure: tls.map(Secure::new).transpose()?, crowd: crowd.clone() };
        pages.push(web::serve(listener, router.clone(), limits, metrics.clone(), stopping.clone()));
    }
    // Whoever asked for the addresses may be gone; the end comes with `stopping` then.
    let _ = ready.send(addresses);

    let mut upgrades = Upgrades(taken);
    let sessions = listener::run(&mut upgrades, TASKS_MAX, metrics, stopping, |upgrade| {
        connection::over_websocket(hub.clone(), viewers.clone(), upgrade)
    });
    during(fanout, async { tokio::join!(join_all(pages), sessions) }).await;
    Ok(())
}

/// Keeps viewers supplied for as long as `sessions` last.
async fn during<T>(fanout: Fanout<AnyConnection>, sessions: impl Future<Output = T>) {
    tokio::select! {
        _ = sessions => {}
        () = fanout.run() => {}
    }
}

async fn server_config(config: &config::ServerConfig, tls: ServerTls) -> anyhow::Result<ServerConfig> {
    let address = config.bind.resolve().await.with_context(|| format!("looking up {}", config.bind))?;
    let mut server = ServerConfig::new(address, tls);
    if let Some(address) = &config.tcp {
        server.tcp = Some(address.resolve().await.with_context(|| format!("looking up {address}"))?);
    }
    server.unix.clone_from(&config.unix);
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
