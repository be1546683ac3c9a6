//! What all conversations of a session share, and the dispatch of the streams a peer opens.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    future::{Future, poll_fn},
    rc::Rc,
    time::Duration,
};

use moq_proto::{
    HopId, VarInt, Version,
    lite::{
        self, Dialect,
        message::{ProbeLevel, Role, Setup},
    },
};
use tokio::sync::watch;
use tracing::{debug, trace};

use super::{
    Error, Limits, Roles, SETUP_TIMEOUT, Session, Side,
    clock::now,
    error::Failure,
    fanout::{self, Fanout},
    handshake,
    inbound::{self, Subscriptions},
    leaving::Told,
    lite as conversation,
    order::Order,
    stream::{Receiver, Sender},
    tasks::Spawner,
};
use crate::{
    model::{cache::Budget, origin},
    stats::{Stats, count},
    transport::{Connection, ConnectionError, Rank, StreamError},
};

/// Longest wait for the head of a stream the peer opened. A head fits one packet, so only a stuck peer takes longer.
const STREAM_HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for the first byte of a unidirectional stream. On QUIC a stream opens all older ones with it, whose bytes may be
/// behind those of newer groups for as long as any viewer wants such old ones.
const GROUP_HEAD_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Shared<C: Connection> {
    pub(super) connection: C,
    pub(super) version: Version,
    pub(super) dialect: &'static Dialect,
    pub(super) hop: HopId,
    pub(super) inbound: Option<origin::Producer>,
    pub(super) outbound: Option<origin::Consumer>,
    pub(super) fanout: fanout::Handle<C>,
    pub(super) budget: Budget,
    pub(super) order: Order,
    pub(super) limits: Limits,
    pub(super) stats: Stats,
    pub(super) spawner: Spawner,
    /// What we ask of the peer, by subscribe id.
    pub(super) subscriptions: Subscriptions,
    /// Whether the peer was allowed the streams and window of somebody who publishes.
    allowed: Cell<bool>,
    setup: watch::Sender<Option<Setup>>,
    /// Whether the peer asked us to leave: what it publishes is then the last resort.
    pub(super) asked: Told,
    busy: Busy,
    /// The subscribe ids that the peer uses now.
    ids: Rc<RefCell<HashSet<VarInt>>>,
}

/// One of the peer's subscribe ids in use.
pub(super) struct UsedId {
    id: VarInt,
    ids: Rc<RefCell<HashSet<VarInt>>>,
}

impl Drop for UsedId {
    fn drop(&mut self) {
        self.ids.borrow_mut().remove(&self.id);
    }
}

/// How many conversations of each kind the peer has open.
#[derive(Default)]
pub(super) struct Busy {
    pub(super) subscribes: Rc<Cell<usize>>,
    pub(super) announces: Rc<Cell<usize>>,
    pub(super) requests: Rc<Cell<usize>>,
}

/// One place among a limited number; dropping it frees the place.
pub(super) struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(count: &Rc<Cell<usize>>, max: usize) -> Result<Self, Failure> {
        if count.get() >= max {
            return Err(Failure::TooMany(max));
        }
        count.set(count.get() + 1);
        Ok(Self(count.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl<C: Connection> Shared<C> {
    pub(super) fn new(session: &Session<C>, roles: Roles<C>) -> Rc<Self> {
        let spawner = Spawner::default();
        let fanout = roles.fanout.unwrap_or_else(|| {
            let (fanout, handle) = Fanout::new(roles.stats.clone());
            spawner.spawn(async move {
                fanout.run().await;
                Ok(())
            });
            handle
        });
        let shared = Rc::new(Self {
            connection: session.connection.clone(),
            version: session.version,
            dialect: session.version.dialect(),
            hop: roles.hop,
            inbound: roles.inbound,
            outbound: roles.outbound,
            fanout,
            budget: roles.budget,
            order: Order::new(now()),
            limits: roles.limits,
            stats: roles.stats,
            spawner,
            subscriptions: Subscriptions::default(),
            allowed: Cell::new(false),
            setup: watch::Sender::new(session.setup.clone()),
            asked: session.asked.clone(),
            busy: Busy::default(),
            ids: Rc::default(),
        });
        if let Some(setup) = &session.setup {
            shared.identify(setup.hop);
        }
        shared
    }

    /// Starts what every session does.
    pub(super) fn start(self: &Rc<Self>, session: Session<C>) {
        if let Some(layout) = &self.dialect.setup {
            let setup = Setup {
                probe: if self.connection.measures_rtt() { ProbeLevel::Report } else { ProbeLevel::None },
                path: session.path,
                role: (session.side == Side::Client).then(|| self.role()).flatten(),
                cost: None,
                hop: self.hop,
            };
            let wire = layout.to_wire(&setup);
            let shared = self.clone();
            self.spawner.spawn(async move { shared.say_setup(wire).await });
        }
        if let Some(mut legacy) = session.legacy {
            self.spawner.spawn(async move {
                // SESSION_INFO only reports a bitrate; the stream itself stands for the session.
                let _sender = legacy.sender;
                let layout = Version::Lite02.dialect().session_info.as_ref();
                while let Some(layout) = layout
                    && let Ok(Some(info)) = legacy.receiver.message(layout).await
                {
                    trace!(bitrate = info.bitrate.get(), "session info");
                }
                Err(ConnectionError::Closed { code: 0, reason: "session stream ended".into() }.into())
            });
        }
        if self.inbound.is_some() {
            conversation::announce::ask(self);
        }
        self.spawner.spawn(conversation::goaway::ask_when_told(self.clone(), session.leave.subscribe()));
        self.spawner.spawn_arriving(inbound::datagrams(self.clone()));
        self.spawner.spawn_arriving(self.clone().accept_uni());
        self.spawner.spawn(self.clone().accept_bi());
    }

    /// The one role we have, if it is only one.
    fn role(&self) -> Option<Role> {
        match (&self.inbound, &self.outbound) {
            (None, Some(_)) => Some(Role::Publisher),
            (Some(_), None) => Some(Role::Subscriber),
            _ => None,
        }
    }

    async fn say_setup(self: Rc<Self>, wire: bytes::Bytes) -> Result<(), Error> {
        let mut connection = self.connection.clone();
        // Whoever allows us not even this one stream has not begun: over qmux such a peer withholds its parameters.
        let stream = tokio::time::timeout(SETUP_TIMEOUT, poll_fn(|cx| connection.poll_open_uni(cx, Rank::CONTROL))).await;
        let mut sender = Sender::new(stream.map_err(|_| Error::Timeout("leave to open a stream"))??);
        let mut head = moq_proto::Writer::new();
        head.bytes(&connection.uni_prefix()).varint(lite::stream::SETUP).bytes(&wire);
        // A peer that has no use for our SETUP may stop the stream.
        let sent = sender.send(head.into_bytes()).await;
        if sent.and_then(|()| sender.finish()).is_err() {
            debug!("the peer declined our SETUP");
        }
        Ok(())
    }

    /// The peer's SETUP, once it is here; `None` when its version has none or it does not come in time.
    pub(super) async fn peer_setup(&self) -> Option<Setup> {
        self.dialect.setup.as_ref()?;
        let mut setup = self.setup.subscribe();
        let arrived = tokio::time::timeout(SETUP_TIMEOUT, setup.wait_for(Option::is_some)).await;
        arrived.ok()?.ok()?.clone()
    }

    /// What it costs to subscribe from the peer, as far as it says.
    pub(super) fn link_cost(&self) -> u64 {
        self.setup.borrow().as_ref().and_then(|setup| setup.cost).map_or(1, VarInt::get)
    }

    /// Notes who the peer is: what came through it is not given back to it.
    pub(super) fn identify(&self, hop: HopId) {
        if let Some(outbound) = self.outbound.as_ref().filter(|_| !hop.is_unknown()) {
            outbound.set_hop(hop);
        }
    }

    /// Reserves a subscribe id of the peer's: two subscriptions cannot share one.
    pub(super) fn take_id(&self, id: VarInt) -> Result<UsedId, Failure> {
        if !self.ids.borrow_mut().insert(id) {
            return Err(Failure::IdInUse(id));
        }
        Ok(UsedId { id, ids: self.ids.clone() })
    }

    /// Lets the peer send media: called with the first request for some.
    pub(super) fn allow_media(&self) {
        if !self.allowed.replace(true) {
            self.connection.clone().allow(self.limits.streams, self.limits.window);
        }
    }

    pub(super) async fn open_bi(&self) -> Result<(Sender<C::SendStream>, Receiver<C::RecvStream>), ConnectionError> {
        let mut connection = self.connection.clone();
        let (sender, receiver) = poll_fn(|cx| connection.poll_open_bi(cx, Rank::CONTROL)).await?;
        Ok((Sender::new(sender), Receiver::new(receiver)))
    }

    async fn accept_uni(self: Rc<Self>) -> Result<(), Error> {
        let mut connection = self.connection.clone();
        loop {
            let stream = poll_fn(|cx| connection.poll_accept_uni(cx)).await?;
            self.spawner.spawn_arriving(self.clone().serve_uni(stream));
        }
    }

    async fn accept_bi(self: Rc<Self>) -> Result<(), Error> {
        let mut connection = self.connection.clone();
        loop {
            let (sender, receiver) = poll_fn(|cx| connection.poll_accept_bi(cx)).await?;
            self.spawner.spawn(self.clone().serve_bi(sender, receiver));
        }
    }

    async fn serve_uni(self: Rc<Self>, stream: C::RecvStream) -> Result<(), Error> {
        let mut receiver = Receiver::new(stream);
        let kind = tokio::time::timeout(GROUP_HEAD_TIMEOUT, receiver.kind()).await;
        let kind = match kind.unwrap_or(Err(Failure::Timeout)) {
            Ok(Some(kind)) => kind,
            Ok(None) => return Ok(()),
            Err(failure) => return self.refuse_uni(receiver, failure),
        };
        if kind == lite::stream::GROUP {
            return match inbound::group(&self, receiver).await {
                Ok(()) => Ok(()),
                Err((receiver, failure)) => self.refuse_uni(receiver, failure),
            };
        }
        match &self.dialect.setup {
            Some(layout) if kind == lite::stream::SETUP => {
                self.heard_setup(in_time(receiver.first(layout)).await.map_err(handshake::early)?)
            }
            _ => self.refuse_uni(receiver, Failure::UnknownStream(kind.get())),
        }
    }

    fn heard_setup(&self, setup: Setup) -> Result<(), Error> {
        self.identify(setup.hop);
        if self.setup.send_replace(Some(setup)).is_some() {
            return Err(Error::Violation("a second SETUP".into()));
        }
        Ok(())
    }

    fn refuse_uni(&self, mut receiver: Receiver<C::RecvStream>, failure: Failure) -> Result<(), Error> {
        debug!(%failure, "stream refused");
        receiver.stop(failure.stream_code());
        Ok(())
    }

    async fn serve_bi(self: Rc<Self>, sender: C::SendStream, receiver: C::RecvStream) -> Result<(), Error> {
        let (mut sender, mut receiver) = (Sender::new(sender), Receiver::new(receiver));
        let served = match in_time(receiver.kind()).await {
            Ok(Some(kind)) => self.converse(kind, &mut sender, &mut receiver).await,
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
        };
        match served {
            Ok(()) => {
                // A peer that went away meanwhile needs no answer.
                let _ = sender.finish();
            }
            Err(Failure::Fatal(error)) => return Err(error),
            Err(failure) => {
                debug!(%failure, "conversation ended");
                if matches!(failure, Failure::TooMany(_)) {
                    count(&self.stats.counters().refused, 1);
                }
                sender.reset(failure.stream_code());
                receiver.stop(failure.stream_code());
            }
        }
        Ok(())
    }

    async fn converse(
        self: &Rc<Self>,
        kind: VarInt,
        sender: &mut Sender<C::SendStream>,
        receiver: &mut Receiver<C::RecvStream>,
    ) -> Result<(), Failure> {
        match kind {
            lite::stream::ANNOUNCE => {
                let _place = Place::take(&self.busy.announces, self.limits.announces)?;
                let request = in_time(receiver.first(&self.dialect.announce_request)).await?;
                conversation::announce::answer(self, request, sender, receiver).await
            }
            lite::stream::SUBSCRIBE => {
                let _place = Place::take(&self.busy.subscribes, self.limits.subscribes)?;
                let request = in_time(receiver.first(&self.dialect.subscribe)).await?;
                conversation::subscribe::answer(self, request, sender, receiver).await
            }
            lite::stream::TRACK => {
                let _place = Place::take(&self.busy.requests, self.limits.requests)?;
                conversation::track::answer(self, sender, receiver).await
            }
            lite::stream::FETCH => {
                let _place = Place::take(&self.busy.requests, self.limits.requests)?;
                conversation::fetch::answer(self, sender, receiver).await
            }
            lite::stream::PROBE => {
                let _place = Place::take(&self.busy.requests, self.limits.requests)?;
                conversation::probe::answer(self, sender, receiver).await
            }
            lite::stream::GOAWAY => conversation::goaway::answer(self, receiver).await,
            other => Err(Failure::UnknownStream(other.get())),
        }
    }
}

/// Bounds the wait for the head of a stream.
pub(super) async fn in_time<T>(waiting: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(STREAM_HEAD_TIMEOUT, waiting).await.unwrap_or(Err(Failure::Timeout))
}

/// Whether a failed stream took the connection with it, so that the session's end says it all.
pub(super) fn is_gone(failure: &Failure) -> bool {
    matches!(failure, Failure::Stream(StreamError::Connection(_)))
}
