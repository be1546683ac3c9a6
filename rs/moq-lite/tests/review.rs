//! What a session owes whoever leaves, comes back, or gets only a part: a relay's origin and fanout, and bare connections
//! beside well-behaved peers.

#![allow(clippy::unwrap_used)] // a test may fail anywhere

use std::{
    fmt,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use moq_lite::{
    model::{
        broadcast,
        cache::Budget,
        demand,
        origin::{self, Horizon, Origin},
        route::Route,
        track,
    },
    session::{Error, Roles, Session, fanout},
    stats::Stats,
    testing::{
        memory::{self, Connection, RecvStream, SendStream},
        pair::{self, Relay, each_version, story},
    },
    transport::{
        self, Chunks, Connection as _, ConnectionError, ConnectionStats, Rank, RecvStream as _, SendStream as _, StreamError,
    },
};
use moq_proto::{
    HopChain, HopId, Path, Prefix, VarInt, Version, Writer,
    lite::{
        self,
        message::{Announce, GroupHeader, Subscribe, SubscribeOptions, SubscribeUpdate},
    },
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

const SOON: Duration = Duration::from_secs(5);

/// Long enough for everything under way to arrive, in a transport without delay.
const SETTLED: Duration = Duration::from_millis(50);

/// A relay's origin with one broadcast of its own, "room".
struct Server {
    origin: Origin,
    budget: Budget,
    handle: fanout::Handle<Connection>,
    broadcast: broadcast::Producer,
    _publication: origin::Publication,
}

fn roles<C: transport::Connection>(origin: &Origin) -> Roles<C> {
    let (horizon, root) = (Horizon::new(), Path::root());
    Roles {
        inbound: Some(origin.producer(root.clone(), vec![root.clone()], horizon.clone())),
        outbound: Some(origin.consumer(root.clone(), vec![root], horizon)),
        ..Roles::new(origin.id())
    }
}

impl Server {
    fn new() -> Self {
        let origin = Origin::new(HopId::try_from(0x4e1a7).unwrap());
        let budget = Budget::new(1 << 30);
        let (fanout, handle) = fanout::Fanout::new(Stats::default());
        tokio::task::spawn_local(fanout.run());
        let broadcast = broadcast::Producer::new(budget.account());
        let door = origin.producer(Path::root(), vec![Path::root()], Horizon::new());
        let publication = door.publish(&"room".parse().unwrap(), Route::local(), broadcast.consume()).unwrap();
        Self { origin, budget, handle, broadcast, _publication: publication }
    }

    fn track(&self, name: &str) -> track::Producer {
        self.broadcast.create_track(name, track::Info::default()).unwrap()
    }

    /// A session with a bare connection, which names itself nowhere.
    async fn bare(&self, version: Version) -> Bare {
        let (connection, here) = memory::connect(pair::options(version));
        let roles = Roles { fanout: Some(self.handle.clone()), budget: self.budget.clone(), ..roles(&self.origin) };
        let served = tokio::task::spawn_local(async move { Session::accept(here, &[version]).await?.run(roles).await });
        let mut bare = Bare { connection, version, _served: served };
        if version.dialect().setup.is_some() {
            bare.open_uni(&[1, 1, 0]).await.finish().unwrap();
        }
        bare
    }
}

struct Bare {
    connection: Connection,
    version: Version,
    _served: JoinHandle<Result<(), Error>>,
}

/// Everything from the newest group on, however old.
fn everything() -> SubscribeOptions {
    SubscribeOptions {
        priority: 1,
        ordered: false,
        max_age: Some(VarInt::from_u32(60_000)),
        group_start: None,
        group_end: None,
        frame_start: VarInt::ZERO,
        frame_end: None,
    }
}

impl Bare {
    async fn open_uni(&mut self, bytes: &[u8]) -> SendStream {
        let mut send = poll_fn(|cx| self.connection.poll_open_uni(cx, Rank(0))).await.unwrap();
        write(&mut send, bytes).await;
        send
    }

    async fn subscribe(&mut self, options: SubscribeOptions) -> (SendStream, RecvStream) {
        let (mut send, recv) = poll_fn(|cx| self.connection.poll_open_bi(cx, Rank(0))).await.unwrap();
        let message = Subscribe { id: VarInt::ZERO, broadcast: "room".parse().unwrap(), track: "video".into(), options };
        let mut wire = Writer::new();
        wire.varint(lite::stream::SUBSCRIBE).bytes(&self.version.dialect().subscribe.to_wire(&message));
        write(&mut send, &wire.into_bytes()).await;
        (send, recv)
    }

    /// The sequence of the next group that comes. `None`: none does.
    async fn group(&mut self) -> Option<u64> {
        loop {
            let mut stream = timeout(SOON, poll_fn(|cx| self.connection.poll_accept_uni(cx))).await.ok()?.unwrap();
            let Ok(head) = read(&mut stream, 4).await else { continue };
            let mut prefix = Prefix::new(&head);
            if prefix.varint().unwrap() == lite::stream::GROUP {
                let (_size, _id) = (prefix.varint().unwrap(), prefix.varint().unwrap());
                return Some(prefix.varint().unwrap().get());
            }
        }
    }
}

async fn write(stream: &mut SendStream, bytes: &[u8]) {
    let mut chunks = Chunks::from(Bytes::copy_from_slice(bytes));
    poll_fn(|cx| match stream.try_write(cx, &mut chunks) {
        Ok(_) if !chunks.is_empty() => Poll::Pending,
        _ => Poll::Ready(()),
    })
    .await
}

/// Reads at least `count` bytes.
async fn read(stream: &mut RecvStream, count: usize) -> Result<BytesMut, StreamError> {
    let (mut burst, mut all) = (Vec::new(), BytesMut::new());
    while all.len() < count {
        if !poll_fn(|cx| stream.poll_read(cx, &mut burst)).await? {
            return Err(StreamError::Closed);
        }
        burst.drain(..).for_each(|chunk| all.extend_from_slice(&chunk));
    }
    Ok(all)
}

/// A connection whose last handle is noticed.
#[derive(Clone)]
struct Counted {
    inner: Connection,
    _held: Rc<()>,
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl transport::Connection for Counted {
    type SendStream = SendStream;
    type RecvStream = RecvStream;

    fn protocol(&self) -> Option<&str> {
        self.inner.protocol()
    }

    fn uni_prefix(&self) -> Bytes {
        self.inner.uni_prefix()
    }

    fn poll_open_uni(&mut self, cx: &mut Context<'_>, rank: Rank) -> Poll<Result<SendStream, ConnectionError>> {
        self.inner.poll_open_uni(cx, rank)
    }

    fn poll_open_bi(&mut self, cx: &mut Context<'_>, rank: Rank) -> Poll<Result<(SendStream, RecvStream), ConnectionError>> {
        self.inner.poll_open_bi(cx, rank)
    }

    fn poll_accept_uni(&mut self, cx: &mut Context<'_>) -> Poll<Result<RecvStream, ConnectionError>> {
        self.inner.poll_accept_uni(cx)
    }

    fn poll_accept_bi(&mut self, cx: &mut Context<'_>) -> Poll<Result<(SendStream, RecvStream), ConnectionError>> {
        self.inner.poll_accept_bi(cx)
    }

    fn max_datagram_size(&self) -> Option<usize> {
        self.inner.max_datagram_size()
    }

    fn send_datagram(&mut self, payload: Bytes) -> bool {
        self.inner.send_datagram(payload)
    }

    fn poll_recv_datagram(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ConnectionError>> {
        self.inner.poll_recv_datagram(cx)
    }

    fn allow(&mut self, streams: u32, window: u32) {
        self.inner.allow(streams, window);
    }

    fn close(&self, code: u32, reason: &str) {
        self.inner.close(code, reason);
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionError> {
        self.inner.poll_closed(cx)
    }

    fn stats(&self) -> ConnectionStats {
        self.inner.stats()
    }
}

/// What happens to a session, from outside.
enum Ends {
    BeforeItRuns,
    ByItsPeer,
    Dropped,
}

async fn nothing_is_kept_of_a_session(ends: Ends) {
    each_version(async |version| {
        if version.has_legacy_setup() {
            return; // a bare peer cannot settle the version
        }
        let (mut peer, here) = memory::connect(pair::options(version));
        let held = Rc::new(());
        let kept = Rc::downgrade(&held);
        let session = Session::accept(Counted { inner: here, _held: held }, &[version]).await.unwrap();
        let origin = Origin::new(HopId::try_from(7).unwrap());
        let roles = roles(&origin);
        if matches!(ends, Ends::BeforeItRuns) {
            peer.close(0, "bye");
        }
        let run = tokio::task::spawn_local(session.run(roles));
        // Requests that are being waited on when it ends.
        let _open = poll_fn(|cx| peer.poll_open_bi(cx, Rank(0))).await;
        let _uni = poll_fn(|cx| peer.poll_open_uni(cx, Rank(0))).await;
        sleep(SETTLED).await;
        if matches!(ends, Ends::Dropped) {
            run.abort();
            assert!(run.await.unwrap_err().is_cancelled());
        } else {
            peer.close(0, "bye");
            run.await.unwrap().unwrap();
        }
        assert_eq!(kept.strong_count(), 0, "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_a_session_whose_peer_left_before_it_ran() {
    nothing_is_kept_of_a_session(Ends::BeforeItRuns).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_a_session_whose_peer_left() {
    nothing_is_kept_of_a_session(Ends::ByItsPeer).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_a_session_that_was_dropped() {
    nothing_is_kept_of_a_session(Ends::Dropped).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_to_an_empty_room_gets_the_open_group_from_its_first_frame() {
    each_version(async |version| {
        let relay = Relay::new();
        let publisher = relay.join(version).await;
        let room = publisher.publish("room/alice");
        let video = room.create_track("video");
        let mut group = None;
        for visit in 0..3 {
            let viewer = relay.join(version).await;
            let track = viewer.consume("room/alice").await.track("video").await.unwrap();
            let mut groups = track.subscribe(demand::Ask::default());
            sleep(SETTLED).await;
            let group = group.get_or_insert_with(|| video.append_group());
            group.write_frame(format!("{visit}"), None).unwrap();
            let mut seen = timeout(SOON, groups.next()).await.expect("in time").expect("a group");
            for frame in 0..=visit {
                let found = timeout(SOON, seen.next_frame()).await.expect("in time").unwrap().unwrap();
                assert_eq!(found.payload, format!("{frame}"), "{version}");
            }
            drop((groups, track, viewer));
            // The last viewer's leaving reaches the publisher, and the cache still has the track.
            sleep(Duration::from_secs(2)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn groups_above_the_end_come_once_the_end_is_raised() {
    for version in [Version::Lite03, Version::Lite04, Version::Lite05, Version::Lite06] {
        story(async move {
            let server = Server::new();
            let video = server.track("video");
            let mut bare = server.bare(version).await;
            let end = |end| SubscribeOptions { group_end: Some(VarInt::from_u32(end)), ..everything() };
            let (mut send, _recv) = bare.subscribe(end(1)).await;
            sleep(SETTLED).await;
            (0..5).for_each(|_| video.append_group().write_all(["frame"]));
            assert_eq!([bare.group().await, bare.group().await, bare.group().await], [Some(0), Some(1), None], "{version}");

            let update = SubscribeUpdate(end(3));
            write(&mut send, &version.dialect().subscribe_update.to_wire(&update)).await;
            assert_eq!([bare.group().await, bare.group().await, bare.group().await], [Some(2), Some(3), None], "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_ends_inside_a_frame_is_never_finished_for_its_viewers() {
    for version in [Version::Lite03, Version::Lite04] {
        story(async move {
            let server = Server::new();
            let mut bare = server.bare(version).await;
            let (mut announcements, _) = poll_fn(|cx| bare.connection.poll_accept_bi(cx)).await.unwrap();
            let hops = HopChain::try_from_iter([HopId::UNKNOWN]).unwrap();
            let active = Announce::Active { suffix: "live".parse().unwrap(), hops };
            write(&mut announcements, &version.dialect().announce.to_wire(&active)).await;
            let view = server.origin.consumer(Path::root(), vec![Path::root()], Horizon::new());
            let live = timeout(SOON, view.consume_wait(&"live".parse().unwrap())).await.unwrap();
            let track = timeout(SOON, live.track("video")).await.unwrap().unwrap();
            let mut groups = track.subscribe(demand::Ask::default());
            let _subscribe = timeout(SOON, poll_fn(|cx| bare.connection.poll_accept_bi(cx))).await.unwrap();

            let header = GroupHeader { subscribe: VarInt::ZERO, sequence: VarInt::ZERO, frame_start: VarInt::ZERO };
            let mut wire = Writer::new();
            wire.varint(lite::stream::GROUP).bytes(&version.dialect().group.to_wire(&header));
            let mut stream = bare.open_uni(&wire.into_bytes()).await;
            // One whole frame, and one that promises ten bytes; a byte at a time.
            for byte in [3, b'k', b'e', b'y', 10, b'd'] {
                write(&mut stream, &[byte]).await;
                tokio::task::yield_now().await;
            }
            let mut seen = timeout(SOON, groups.next()).await.unwrap().unwrap();
            assert_eq!(timeout(SOON, seen.next_frame()).await.unwrap().unwrap().unwrap().payload, "key", "{version}");
            stream.finish().unwrap();
            assert!(timeout(SOON, seen.next_frame()).await.unwrap().is_err(), "{version}: cut, not finished");
        })
        .await;
    }
}
