//! Peers that are bare connections: they say what their test tells them to, bytes or messages, and do nothing by themselves.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]
#![allow(dead_code, reason = "each file of tests has a use for a part of it")]

pub(crate) mod on_air;
pub(crate) mod seen;

use std::{
    future::{Future, poll_fn},
    task::Poll,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use moq_lite::{
    model::{
        broadcast,
        cache::Budget,
        origin::{self, Horizon, Origin},
        route::Route,
        track,
    },
    session::{Error, Roles, Session, fanout},
    stats::Stats,
    testing::{
        memory::{self, Connection, RecvStream, SendStream},
        pair,
    },
    transport::{self, Chunks, Connection as _, ConnectionError, Rank, RecvStream as _, SendStream as _, StreamError},
};
use moq_proto::{
    Cost, FrameHead, HopChain, HopId, Path, Prefix, Timescale, VarInt, Version, Writer,
    lite::{
        self, Dialect, Hops,
        legacy::ClientSetup,
        message::{
            Announce, AnnounceInit, AnnounceOk, Fetch, GroupHeader, Setup, Subscribe, SubscribeOptions, SubscribeReply,
            SubscribeUpdate, TrackInfo,
        },
    },
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Longest wait for what must come, and for what must not.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Long enough for everything under way to arrive, in a transport without delay.
pub(crate) const SETTLED: Duration = Duration::from_millis(50);

/// Everything that `origin` has, and may be given.
pub(crate) fn roles<C: transport::Connection>(origin: &Origin) -> Roles<C> {
    let (horizon, root) = (Horizon::new(), Path::root());
    Roles {
        inbound: Some(origin.producer(root.clone(), vec![root.clone()], horizon.clone())),
        outbound: Some(origin.consumer(root.clone(), vec![root], horizon)),
        ..Roles::new(origin.id())
    }
}

/// Waits for what must come.
pub(crate) async fn soon<T>(what: &str, coming: impl Future<Output = T>) -> T {
    timeout(SOON, coming).await.unwrap_or_else(|_| panic!("in time: {what}"))
}

/// A connection to a session that serves it.
pub(crate) struct Bare {
    pub(crate) connection: Connection,
    pub(crate) served: JoinHandle<Result<(), Error>>,
}

impl Bare {
    /// A session over a transport made to order. Nothing was said yet.
    pub(crate) fn serve(options: memory::Options, versions: &'static [Version], roles: Roles<Connection>) -> Self {
        let (connection, here) = memory::connect(options);
        let served = tokio::task::spawn_local(async move { Session::accept(here, versions).await?.run(roles).await });
        Self { connection, served }
    }

    pub(crate) async fn open_bi(&mut self, bytes: &[u8]) -> (SendStream, RecvStream) {
        let (mut send, recv) = poll_fn(|cx| self.connection.poll_open_bi(cx, Rank(0))).await.unwrap();
        write(&mut send, bytes).await;
        (send, recv)
    }

    pub(crate) async fn open_uni(&mut self, bytes: &[u8]) -> SendStream {
        let mut send = poll_fn(|cx| self.connection.poll_open_uni(cx, Rank(0))).await.unwrap();
        write(&mut send, bytes).await;
        send
    }

    /// The next stream that the session opens to ask for something.
    pub(crate) async fn accept_bi(&mut self) -> (SendStream, RecvStream) {
        soon("a request", poll_fn(|cx| self.connection.poll_accept_bi(cx))).await.unwrap()
    }

    /// The next stream that the session opens to tell something.
    pub(crate) async fn accept_uni(&mut self) -> RecvStream {
        soon("a stream", poll_fn(|cx| self.connection.poll_accept_uni(cx))).await.unwrap()
    }

    /// How the session closes the connection.
    pub(crate) async fn closed(&mut self) -> (u32, String) {
        match soon("a close", poll_fn(|cx| self.connection.poll_closed(cx))).await {
            ConnectionError::Closed { code, reason } => (code, reason),
            other => panic!("{other}"),
        }
    }
}

/// A relay's origin with a broadcast of its own, "room", and one shard for all its peers.
pub(crate) struct Server {
    pub(crate) origin: Origin,
    pub(crate) budget: Budget,
    pub(crate) stats: Stats,
    broadcast: broadcast::Producer,
    handle: fanout::Handle<Connection>,
    _publication: origin::Publication,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::named(hop(0x4e1a7))
    }

    pub(crate) fn named(name: HopId) -> Self {
        let origin = Origin::new(name);
        let (budget, stats) = (Budget::new(1 << 30), Stats::default());
        let (fanout, handle) = fanout::Fanout::new(stats.clone());
        tokio::task::spawn_local(fanout.run());
        let broadcast = broadcast::Producer::new(budget.account());
        let door = origin.producer(Path::root(), vec![Path::root()], Horizon::new());
        let publication = door.publish(&path("room"), Route::local(), broadcast.consume()).unwrap();
        Self { origin, budget, stats, broadcast, handle, _publication: publication }
    }

    fn roles(&self) -> Roles<Connection> {
        let (fanout, budget, stats) = (Some(self.handle.clone()), self.budget.clone(), self.stats.clone());
        Roles { fanout, budget, stats, ..roles(&self.origin) }
    }

    /// Becomes a peer of another server, so that each has what the other has.
    pub(crate) async fn link(&self, other: &Self, version: Version) {
        let (there, here) = memory::connect(pair::options(version));
        let versions = [version];
        let (ours, theirs) = tokio::join!(Session::connect(here, &versions), Session::accept(there, &versions));
        tokio::task::spawn_local(ours.unwrap().run(self.roles()));
        tokio::task::spawn_local(theirs.unwrap().run(other.roles()));
    }

    /// A track of the room's.
    pub(crate) fn track(&self, name: &str) -> track::Producer {
        self.broadcast.create_track(name, track::Info::default()).unwrap()
    }

    /// A broadcast that a peer announces, once it is heard of.
    pub(crate) async fn heard(&self, broadcast: &str) -> broadcast::Consumer {
        let view = self.origin.consumer(Path::root(), vec![Path::root()], Horizon::new());
        soon("an announcement", view.consume_wait(&path(broadcast))).await
    }

    /// A peer that names itself nowhere.
    pub(crate) async fn join(&self, version: Version) -> Peer {
        self.join_over(version, pair::options(version)).await
    }

    /// A peer over a transport made to order.
    pub(crate) async fn join_over(&self, version: Version, options: memory::Options) -> Peer {
        let mut peer = self.join_unnamed(version, options).await;
        peer.introduce(HopId::UNKNOWN).await;
        peer
    }

    /// A peer that has not said its SETUP yet, where its version has one.
    pub(crate) async fn join_unnamed(&self, version: Version, options: memory::Options) -> Peer {
        let mut bare = Bare::serve(options, Version::ALL, self.roles());
        let mut legacy = None;
        if version.has_legacy_setup() {
            let offer = ClientSetup { versions: vec![VarInt::from_u32(version.setup_code())], path: None };
            let (send, mut recv) = bare.open_bi(&offer.to_wire()).await;
            soon("the answer to the offer", read(&mut recv, 12)).await.unwrap();
            legacy = Some((send, recv));
        }
        let dialect = version.dialect();
        if dialect.setup.is_some() {
            // The session's own, so that all streams that come from now on are groups.
            let mut theirs = soon("their SETUP", poll_fn(|cx| bare.connection.poll_accept_uni(cx))).await.unwrap();
            assert_eq!(soon("its end", drain(&mut theirs)).await, Ok(()));
        }
        Peer { bare, version, dialect, _legacy: legacy }
    }
}

/// A bare connection whose version is settled.
pub(crate) struct Peer {
    pub(crate) bare: Bare,
    pub(crate) version: Version,
    dialect: &'static Dialect,
    /// The stream that stands for the session on moq-lite-01 and 02.
    _legacy: Option<(SendStream, RecvStream)>,
}

/// A group on its way to a peer: its header was read, and maybe more.
pub(crate) struct Arrived {
    pub(crate) subscribe: u64,
    pub(crate) sequence: u64,
    pub(crate) stream: RecvStream,
}

impl Peer {
    /// Says SETUP, where the version has one, and in it who this is.
    pub(crate) async fn introduce(&mut self, hop: HopId) {
        self.introduce_as(&Setup { hop, ..Setup::default() }).await;
    }

    /// Says this as its SETUP, where the version has one.
    pub(crate) async fn introduce_as(&mut self, setup: &Setup) {
        if let Some(layout) = &self.dialect.setup {
            self.bare.open_uni(&starting(lite::stream::SETUP, &layout.to_wire(setup))).await.finish().unwrap();
        }
    }
}

// What a peer does that watches.
impl Peer {
    /// Asks for a track of the room.
    pub(crate) async fn subscribe(&mut self, id: u32, track: &str, options: SubscribeOptions) -> (SendStream, RecvStream) {
        self.subscribe_to("room", id, track, options).await
    }

    pub(crate) async fn subscribe_to(
        &mut self,
        broadcast: &str,
        id: u32,
        track: &str,
        options: SubscribeOptions,
    ) -> (SendStream, RecvStream) {
        let request = Subscribe { id: VarInt::from_u32(id), broadcast: path(broadcast), track: track.into(), options };
        self.bare.open_bi(&starting(lite::stream::SUBSCRIBE, &self.dialect.subscribe.to_wire(&request))).await
    }

    /// Asks for one group.
    pub(crate) async fn fetch(&mut self, broadcast: &str, track: &str, group: u32, priority: u8) -> (SendStream, RecvStream) {
        let (group, frame_start) = (VarInt::from_u32(group), VarInt::ZERO);
        let request = Fetch { broadcast: path(broadcast), track: track.into(), priority, group, frame_start, frame_end: None };
        self.bare.open_bi(&starting(lite::stream::FETCH, &self.dialect.fetch.as_ref().unwrap().to_wire(&request))).await
    }

    /// Changes what a subscription asks for.
    pub(crate) async fn update(&self, subscription: &mut SendStream, options: SubscribeOptions) {
        write(subscription, &self.dialect.subscribe_update.to_wire(&SubscribeUpdate(options))).await;
    }

    async fn next(&mut self) -> Arrived {
        let mut stream = poll_fn(|cx| self.bare.connection.poll_accept_uni(cx)).await.unwrap();
        let head = read(&mut stream, 4).await.unwrap();
        let mut prefix = Prefix::new(&head);
        assert_eq!(prefix.varint().unwrap(), lite::stream::GROUP);
        let (_size, subscribe, sequence) = (prefix.varint().unwrap(), prefix.varint().unwrap(), prefix.varint().unwrap());
        Arrived { subscribe: subscribe.get(), sequence: sequence.get(), stream }
    }

    /// The next group that comes. `None`: none does.
    pub(crate) async fn group(&mut self) -> Option<Arrived> {
        timeout(SOON, self.next()).await.ok()
    }

    /// The sequences of all groups that come until there are no more.
    pub(crate) async fn groups(&mut self) -> Vec<u64> {
        let mut sequences = Vec::new();
        while let Some(group) = self.group().await {
            sequences.push(group.sequence);
        }
        sequences
    }

    /// The groups that are here already.
    pub(crate) fn arrived(&mut self) -> Vec<Arrived> {
        std::iter::from_fn(|| self.next().now_or_never()).collect()
    }
}

// What a peer does that publishes.
impl Peer {
    /// Announces a broadcast, for as long as the stream is kept: the one on which the session asked for announcements, which
    /// it does first.
    pub(crate) async fn announce(&mut self, broadcast: &str) -> (SendStream, RecvStream) {
        let (mut send, recv) = self.bare.accept_bi().await;
        let mut wire = BytesMut::new();
        if let Some(layout) = &self.dialect.announce_init {
            wire.extend_from_slice(&layout.to_wire(&AnnounceInit::default()));
        }
        if let Some(layout) = &self.dialect.announce_ok {
            wire.extend_from_slice(&layout.to_wire(&AnnounceOk { hop: HopId::UNKNOWN, active: VarInt::from_u32(1) }));
        }
        let suffix = path(broadcast);
        let hops = match self.dialect.hops {
            Hops::None | Hops::SenderImplied => HopChain::new(),
            Hops::Count | Hops::SenderIncluded => HopChain::try_from_iter([HopId::UNKNOWN]).unwrap(),
        };
        let active = match self.dialect.announce_ids {
            true => Announce::Start { suffix, hops, cost: Cost::UNPRICED },
            false => Announce::Active { suffix, hops },
        };
        wire.extend_from_slice(&self.dialect.announce.to_wire(&active));
        write(&mut send, &wire).await;
        (send, recv)
    }

    /// The next subscription that the session asks for; on the way it is told what the track is like.
    pub(crate) async fn asked(&mut self) -> (VarInt, (SendStream, RecvStream)) {
        let (request, streams) = self.asked_for().await;
        (request.id, streams)
    }

    /// As [`asked`](Self::asked), with all that the session says of it.
    pub(crate) async fn asked_for(&mut self) -> (Subscribe, (SendStream, RecvStream)) {
        let (kind, body, streams) = self.request().await;
        assert_eq!(kind, lite::stream::SUBSCRIBE);
        (self.dialect.subscribe.decode(&body).unwrap(), streams)
    }

    /// The next group that the session asks for by itself.
    pub(crate) async fn fetched(&mut self) -> (Fetch, (SendStream, RecvStream)) {
        let (kind, body, streams) = self.request().await;
        assert_eq!(kind, lite::stream::FETCH);
        (self.dialect.fetch.as_ref().unwrap().decode(&body).unwrap(), streams)
    }

    /// The next request but those for what a track is like, which are answered.
    async fn request(&mut self) -> (VarInt, Bytes, (SendStream, RecvStream)) {
        loop {
            let (mut send, mut recv) = self.bare.accept_bi().await;
            let request = soon("a request", read(&mut recv, 2)).await.unwrap();
            let mut prefix = Prefix::new(&request);
            let (kind, size) = (prefix.varint().unwrap(), prefix.varint().unwrap().get() as usize);
            if kind != lite::stream::TRACK {
                let head = prefix.consumed();
                return (kind, request.freeze().slice(head..head + size), (send, recv));
            }
            let (max_age, timescale) = (VarInt::from_u32(60_000), Timescale::try_from(1000).unwrap());
            let info = TrackInfo { priority: 0, ordered: false, max_age, timescale };
            write(&mut send, &self.dialect.track_info.as_ref().unwrap().to_wire(&info)).await;
            send.finish().unwrap();
        }
    }

    /// Says something of a subscription.
    pub(crate) async fn reply(&self, subscription: &mut SendStream, reply: &SubscribeReply) {
        write(subscription, &self.dialect.reply.to_wire(reply)).await;
    }

    /// Sends a group of one frame, `millis` into the track.
    pub(crate) async fn send_group(&mut self, subscribe: VarInt, sequence: u32, millis: u32) {
        let mut stream = self.open_group(subscribe, sequence).await;
        write(&mut stream, &frame(self.version, millis)).await;
        stream.finish().unwrap();
    }

    /// Opens a group for a subscription.
    pub(crate) async fn open_group(&mut self, subscribe: VarInt, sequence: u32) -> SendStream {
        let header = GroupHeader { subscribe, sequence: VarInt::from_u32(sequence), frame_start: VarInt::ZERO };
        self.bare.open_uni(&starting(lite::stream::GROUP, &self.dialect.group.to_wire(&header))).await
    }
}

/// Everything from the newest group on, however old.
pub(crate) fn everything() -> SubscribeOptions {
    SubscribeOptions { priority: 1, ..SubscribeOptions::default() }
}

/// No group that is as many milliseconds behind the newest.
pub(crate) fn younger_than(millis: u32) -> SubscribeOptions {
    SubscribeOptions { max_age: Some(VarInt::from_u32(millis)), ..everything() }
}

/// What a stream of this kind starts with.
fn starting(kind: VarInt, message: &[u8]) -> Bytes {
    let mut wire = Writer::new();
    wire.varint(kind).bytes(message);
    wire.into_bytes()
}

pub(crate) fn path(text: &str) -> Path {
    text.parse().unwrap()
}

pub(crate) fn hop(id: u64) -> HopId {
    HopId::try_from(id).unwrap()
}

/// Publishes a group of one frame, `millis` into the track.
pub(crate) fn publish(track: &track::Producer, millis: u64) {
    let mut group = track.append_group();
    group.write_frame("frame", at(millis)).unwrap();
    group.finish();
}

/// The time of a frame.
pub(crate) fn at(millis: u64) -> Option<moq_proto::Timestamp> {
    Some(millis.try_into().unwrap())
}

/// The first frame of a group, `millis` into the track where frames tell their time.
pub(crate) fn frame(version: Version, millis: u32) -> Bytes {
    let mut wire = Writer::new();
    version.framing().write_head(FrameHead { delta: Some(i64::from(millis)), size: 5 }, &mut wire);
    wire.bytes(b"frame");
    wire.into_bytes()
}

/// Lets everything that is under way arrive.
pub(crate) async fn settle() {
    sleep(SETTLED).await;
}

/// Lets every other task of this thread run once.
pub(crate) async fn others() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

pub(crate) async fn write(stream: &mut SendStream, bytes: &[u8]) {
    let mut chunks = Chunks::from(Bytes::copy_from_slice(bytes));
    poll_fn(|cx| match stream.try_write(cx, &mut chunks) {
        Ok(_) if !chunks.is_empty() => Poll::Pending,
        _ => Poll::Ready(()),
    })
    .await
}

/// Reads at least `count` bytes.
pub(crate) async fn read(stream: &mut RecvStream, count: usize) -> Result<BytesMut, StreamError> {
    let (mut burst, mut all) = (Vec::new(), BytesMut::new());
    while all.len() < count {
        if !poll_fn(|cx| stream.poll_read(cx, &mut burst)).await? {
            return Err(StreamError::Closed);
        }
        burst.drain(..).for_each(|chunk| all.extend_from_slice(&chunk));
    }
    Ok(all)
}

/// Reads until the stream ends. `Ok`: it was finished.
pub(crate) async fn drain(stream: &mut RecvStream) -> Result<(), StreamError> {
    loop {
        match read(stream, 1).await {
            Ok(_) => {}
            Err(StreamError::Closed) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// The code a stream is reset with, whatever came before.
pub(crate) async fn reset(stream: &mut RecvStream) -> Option<u32> {
    match soon("an end", drain(stream)).await {
        Err(StreamError::Reset(code)) => Some(code),
        _ => None,
    }
}

/// The code a stream is stopped with.
pub(crate) async fn stopped(stream: &mut SendStream) -> Option<u32> {
    let stopped = poll_fn(|cx| match stream.poll_acked(cx) {
        Poll::Ready(Err(StreamError::Stopped(code))) => Poll::Ready(Some(code)),
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    soon("a stop", stopped).await
}
