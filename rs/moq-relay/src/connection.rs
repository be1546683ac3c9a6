//! One peer: who it is, what it may do, its session, its end.
//!
//! Whatever carries it, a peer goes the same way: judged by the path it asks for and the token it shows, given its part of
//! the origin, served until either side is done. Refusals come as early as the transport can say them: before a
//! WebTransport or WebSocket session exists, and as a close where the path comes with SETUP.
//! Spec: moq-lite-06, "Connection".

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper_util::rt::TokioIo;
use moq_lite::{
    model::{
        cache::Budget,
        origin::{Horizon, Origin},
    },
    session::{self, Limits, Roles, Session, fanout},
    stats::Stats,
};
use moq_native::{AnyConnection, HandshakeError, Incoming, Transport, backend::qmux, tls::ClientCertificate};
use moq_proto::{HopId, Version, close};
use moq_token::Grant;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, info, info_span};

use crate::{
    auth::{Admission, Auth, Refused, Request, Wish},
    doors,
    metrics::Metrics,
    options::Conflict,
    shutdown::{Farewell, Phase, Stopping},
    web,
};

/// What every session of the relay shares.
#[derive(Clone)]
pub(crate) struct Hub {
    pub(crate) auth: Arc<Auth>,
    pub(crate) origin: Origin,
    pub(crate) conflict: Conflict,
    pub(crate) budget: Budget,
    pub(crate) hop: HopId,
    /// In order of preference.
    pub(crate) versions: Arc<[Version]>,
    pub(crate) setup_timeout: Duration,
    pub(crate) limits: Limits,
    pub(crate) stats: Stats,
    pub(crate) metrics: Metrics,
    pub(crate) stopping: Stopping,
}

/// A peer that may come in, and what it may do.
type Admitted = (Session<AnyConnection>, Admission);

/// Why a peer never became a session.
#[derive(Debug, thiserror::Error)]
enum TurnedAway {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("the upgrade to WebSocket failed: {0}")]
    Upgrade(#[from] hyper::Error),
    #[error(transparent)]
    Session(#[from] session::Error),
    #[error("no session within {0:?}")]
    Late(Duration),
    #[error("the relay is going away")]
    Closing,
}

/// Serves a peer that came over QUIC, to its end.
pub(crate) async fn over_quic(hub: Hub, fanout: fanout::Handle<AnyConnection>, incoming: Incoming) {
    let span = info_span!("conn", id = next_id(), transport = %incoming.transport(), peer = %incoming.peer_addr());
    let deadline = incoming.deadline().into();
    let admission = admit_quic(hub.clone(), incoming);
    serve(hub, fanout, deadline, admission).instrument(span).await;
}

/// Serves a peer that came over WebSocket and was authorized with its request, to its end.
pub(crate) async fn over_websocket(hub: Hub, fanout: fanout::Handle<AnyConnection>, upgrade: web::Upgrade) {
    let span = info_span!("conn", id = next_id(), transport = %Transport::WebSocket, peer = %upgrade.peer);
    let deadline = Instant::now() + hub.setup_timeout;
    let admission = admit_websocket(hub.clone(), upgrade);
    serve(hub, fanout, deadline, admission).instrument(span).await;
}

async fn admit_quic(hub: Hub, incoming: Incoming) -> Result<Admitted, TurnedAway> {
    let Some(target) = incoming.request_target() else {
        let caller = Caller::of(&incoming);
        return admit_by_setup(hub, incoming.accept().await?, caller).await;
    };
    match authorize(&hub.auth, target, &Caller::of(&incoming)).await {
        Ok(admission) => {
            let session = Session::accept(incoming.accept().await?, &hub.versions).await?;
            Ok((session, admission))
        }
        Err(refused) => {
            incoming.reject(refused.status()).await;
            Err(refused.into())
        }
    }
}

async fn admit_websocket(hub: Hub, upgrade: web::Upgrade) -> Result<Admitted, TurnedAway> {
    let socket = TokioIo::new(upgrade.socket.await?);
    let connection = qmux::accept_upgraded(socket, upgrade.protocol.as_deref()).await;
    let session = Session::accept(connection.into(), &hub.versions).await?;
    Ok((session, upgrade.admission))
}

/// Where the transport carries no path, the peer's SETUP does; a peer whose version has none asks for the root.
async fn admit_by_setup(hub: Hub, connection: AnyConnection, caller: Caller) -> Result<Admitted, TurnedAway> {
    let mut session = Session::accept(connection, &hub.versions).await?;
    let target = session.request_target().await?.unwrap_or_default();
    match authorize(&hub.auth, &target, &caller).await {
        Ok(admission) => Ok((session, admission)),
        Err(refused) => {
            session.closer().close(refused.close_code(), refused.told());
            Err(refused.into())
        }
    }
}

/// Who asks, as far as the transport tells.
pub(crate) struct Caller {
    pub(crate) peer: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) certificate: Option<ClientCertificate>,
}

impl Caller {
    fn of(incoming: &Incoming) -> Self {
        let (peer, transport) = (incoming.peer_addr(), incoming.transport());
        Self { peer, transport, certificate: incoming.certificate().cloned() }
    }
}

/// The verdict over a request that came without headers.
pub(crate) async fn authorize(auth: &Auth, target: &str, caller: &Caller) -> Result<Admission, Refused> {
    let Caller { peer, transport, certificate } = caller;
    let (authorization, wish) = (&[], Wish::Either);
    let (peer, transport, certificate) = (*peer, Some(*transport), certificate.as_ref());
    let request = Request { target, authorization, wish, peer, transport, certificate };
    auth.authorize(&request).await
}

async fn serve(
    hub: Hub,
    fanout: fanout::Handle<AnyConnection>,
    deadline: Instant,
    admission: impl Future<Output = Result<Admitted, TurnedAway>>,
) {
    let admitted = tokio::select! {
        biased;
        admitted = timeout_at(deadline, admission) => admitted.unwrap_or(Err(TurnedAway::Late(hub.setup_timeout))),
        () = hub.stopping.closing() => Err(TurnedAway::Closing),
    };
    match admitted {
        Ok((session, admission)) => converse(hub, fanout, session, admission).await,
        Err(error) => {
            hub.metrics.refused();
            // Refusals have been told where they were decided.
            if !matches!(error, TurnedAway::Refused(_))
                && let Some(suppressed) = hub.metrics.may_tell_of_refusal()
            {
                info!(%error, suppressed, "turned away");
            }
        }
    }
}

/// The session itself: its part of the origin, and the end that comes first.
async fn converse(hub: Hub, fanout: fanout::Handle<AnyConnection>, session: Session<AnyConnection>, admission: Admission) {
    let _counted = hub.metrics.session();
    let Grant { root, publish, subscribe, .. } = &admission.grant;
    info!(version = %session.version(), %root, ?publish, ?subscribe, "session open");

    let horizon = Horizon::new();
    let inbound = doors::inbound(&hub.origin, hub.conflict, &admission, horizon.clone());
    let outbound = doors::outbound(&hub.origin, &admission, horizon);
    let mut lease = admission.lease;
    let (hop, budget, limits, stats) = (hub.hop, hub.budget, hub.limits, hub.stats);
    let roles = Roles { hop, inbound, outbound, fanout: Some(fanout), budget, limits, stats };

    let (closer, opened, mut stopping) = (session.closer(), Instant::now(), hub.stopping);
    let mut running = std::pin::pin!(session.run(roles));
    let ended = loop {
        tokio::select! {
            ended = &mut running => break ended,
            phase = stopping.next() => match phase {
                Phase::Closing(farewell) => {
                    if farewell == Farewell::Overdue {
                        hub.metrics.drain_overdue();
                    }
                    closer.close(farewell.code(), farewell.reason());
                    break running.await;
                }
                // To where it came from: whoever answers there now.
                Phase::Serving | Phase::Draining => closer.go_away(""),
            },
            over = lease.ended() => {
                info!(code = %over.code(), reason = %over, "rights ended");
                closer.close(close::session::UNAUTHORIZED, over.told());
                break running.await;
            }
        }
    };
    let (lasted, stats) = (opened.elapsed(), closer.stats());
    lease.carried(stats.bytes_sent.unwrap_or_default(), stats.bytes_received.unwrap_or_default());
    match ended {
        Ok(()) => info!(?lasted, "session closed"),
        Err(error) => info!(?lasted, %error, "session closed"),
    }
}

/// Numbers connections in the log, across all shards.
fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed)
}
