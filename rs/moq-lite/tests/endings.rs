//! What is left when something ends: a session, a broadcast, a group cut short, a subscription its publisher gives up.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::{
    fmt,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bare::{Server, drain, everything, hop, read, roles, settle, soon, write};
use bytes::Bytes;
use moq_lite::{
    model::{cache::Budget, demand, origin::Origin},
    session::Session,
    testing::{
        memory::{self, Connection, RecvStream, SendStream},
        pair::{self, Relay, each_version},
    },
    transport::{self, Connection as _, ConnectionError, ConnectionStats, Rank, SendStream as _},
};
use moq_proto::{
    CloseCode, FrameHead, Writer,
    lite::{Replies, message::SubscribeReply},
};
use tokio::time::{Instant, sleep};

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

    fn is_strained(&self, now: std::time::Instant) -> bool {
        self.inner.is_strained(now)
    }

    fn measures_rtt(&self) -> bool {
        self.inner.measures_rtt()
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
        let origin = Origin::new(hop(7));
        let roles = roles(&origin);
        if matches!(ends, Ends::BeforeItRuns) {
            peer.close(0, "bye");
        }
        let run = tokio::task::spawn_local(session.run(roles));
        // Requests that are being waited on when it ends.
        let _open = poll_fn(|cx| peer.poll_open_bi(cx, Rank(0))).await;
        let _uni = poll_fn(|cx| peer.poll_open_uni(cx, Rank(0))).await;
        settle().await;
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
async fn groups_of_a_broadcast_that_was_withdrawn_are_let_go_of_in_time() {
    each_version(async |version| {
        let budget = Budget::new(1 << 30);
        let relay = Relay::with_budget(budget.clone());
        let publisher = relay.join(version).await;
        for _ in 0..3 {
            let viewer = relay.join(version).await;
            let room = publisher.publish("room/alice");
            let video = room.create_track("video");
            let track = viewer.consume("room/alice").await.track("video").await.unwrap();
            let mut groups = track.subscribe(demand::Ask::default());
            settle().await;
            video.append_group().write_all([vec![1; 100_000]]);
            soon("its frames", soon("a group", groups.next()).await.unwrap().frames()).await;
            assert!(budget.used() >= 100_000, "{version}: kept for others");
            drop((groups, track, room, video, viewer));
        }
        // Longer than anything is kept that nobody wants.
        sleep(Duration::from_secs(120)).await;
        assert_eq!(budget.used(), 0, "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_group_that_ends_inside_a_frame_is_never_finished_for_its_viewers() {
    each_version(async |version| {
        let server = Server::new();
        let mut publisher = server.join(version).await;
        let _announced = publisher.announce("live").await;
        let live = server.heard("live").await;
        let (track, (id, _subscription)) = tokio::join!(
            async {
                let track = soon("the track", live.track("video")).await.unwrap();
                let groups = track.subscribe(demand::Ask::default());
                (track, groups)
            },
            publisher.asked(),
        );
        let (_track, mut groups) = track;

        // One whole frame, and one that promises ten bytes; a byte at a time.
        let mut frames = Writer::new();
        for (size, payload) in [(3, "key"), (10, "d")] {
            version.framing().write_head(FrameHead { delta: Some(0), size }, &mut frames);
            frames.bytes(payload.as_bytes());
        }
        let mut stream = publisher.open_group(id, 0).await;
        for byte in frames.into_bytes() {
            write(&mut stream, &[byte]).await;
            tokio::task::yield_now().await;
        }
        let mut seen = soon("a group", groups.next()).await.unwrap();
        assert_eq!(soon("a frame", seen.next_frame()).await.unwrap().unwrap().payload, "key", "{version}");
        stream.finish().unwrap();
        assert!(soon("its end", seen.next_frame()).await.is_err(), "{version}: cut, not finished");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_resets_again_and_again_is_asked_a_few_times_ever_later_and_then_no_more() {
    each_version(async |version| {
        let server = Server::new();
        let mut publisher = server.join(version).await;
        let _announced = publisher.announce("live").await;
        let live = server.heard("live").await;
        let mut asked = Vec::new();
        let refuse = async {
            loop {
                let (id, (mut send, _recv)) = publisher.asked().await;
                asked.push(Instant::now());
                // It always begins well.
                publisher.open_group(id, 0).await.finish().unwrap();
                settle().await;
                send.reset(77);
            }
        };
        let watch = async {
            let track = soon("the track", live.track("video")).await.unwrap();
            let mut groups = track.subscribe(demand::Ask::default());
            while soon("a group, or their end", groups.next()).await.is_some() {}
            track.ended()
        };
        let ended = tokio::select! {
            ended = watch => ended,
            () = refuse => unreachable!("it refuses for ever"),
        };
        assert_eq!(ended, Some(Err(CloseCode::new(77))), "{version}");
        let pauses: Vec<Duration> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!((2..=6).contains(&asked.len()), "{version}: asked {} times", asked.len());
        assert!(pauses.is_sorted_by(|earlier, later| earlier < later), "{version}: {pauses:?}");
    })
    .await;
}

/// A relay that is asked for the rest of a track hears of its own source's groups in whatever order.
#[tokio::test(start_paused = true)]
async fn what_is_missing_of_a_resumed_track_is_waited_for_though_a_later_group_is_named_first() {
    each_version(async |version| {
        let dialect = version.dialect();
        let server = Server::new();
        let mut publisher = server.join(version).await;
        let _announced = publisher.announce("live").await;
        let live = server.heard("live").await;
        let (mut groups, (id, (mut send, _recv))) = tokio::join!(
            async {
                let track = soon("the track", live.track("video")).await.unwrap();
                track.subscribe(demand::Ask { start: demand::Start::At(0), ..demand::Ask::default() })
            },
            publisher.asked(),
        );
        publisher.open_group(id, 5).await.finish().unwrap();
        assert_eq!(soon("a group", groups.next()).await.unwrap().sequence(), 5, "{version}");
        publisher.open_group(id, 8).await.finish().unwrap();
        assert_eq!(soon("a group", groups.next()).await.unwrap().sequence(), 8, "{version}");
        send.reset(77);

        let (asked, (mut send, _recv)) = publisher.asked_for().await;
        let id = asked.id;
        // The first versions cannot say where to begin.
        let start = (!version.has_legacy_setup()).then(|| 6_u8.into());
        assert_eq!(asked.options.group_start, start, "{version}: with what has not come at all");
        publisher.open_group(id, 8).await.finish().unwrap();
        if dialect.replies == Replies::StartEnd {
            for reply in [SubscribeReply::Start { group: 8_u8.into() }, SubscribeReply::End { group: 9_u8.into() }] {
                write(&mut send, &dialect.reply.to_wire(&reply)).await;
            }
        }
        send.finish().unwrap();
        settle().await;
        for late in [6, 7] {
            publisher.open_group(id, late).await.finish().unwrap();
        }
        let mut rest = Vec::new();
        while let Some(group) = soon("a group, or the end", groups.next()).await {
            rest.push(group.sequence());
        }
        assert_eq!(rest, [6, 7], "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_last_words_of_a_publisher_that_leaves_are_heard() {
    each_version(async |version| {
        let server = Server::new();
        let mut publisher = server.join(version).await;
        let _announced = publisher.announce("live").await;
        let live = server.heard("live").await;
        let (mut groups, (id, _subscription)) = tokio::join!(
            async {
                let track = soon("the track", live.track("video")).await.unwrap();
                track.subscribe(demand::Ask { start: demand::Start::At(0), ..demand::Ask::default() })
            },
            publisher.asked(),
        );
        // One group under way and one that nobody has seen yet get their last bytes in the moment of the close.
        let mut frame = Writer::new();
        version.framing().write_head(FrameHead { delta: Some(0), size: 3 }, &mut frame);
        frame.bytes(b"end");
        let frame = frame.into_bytes();
        let mut running = publisher.open_group(id, 0).await;
        write(&mut running, &frame).await;
        let mut first = soon("a group", groups.next()).await.unwrap();
        assert_eq!(soon("a frame", first.next_frame()).await.unwrap().unwrap().payload, "end", "{version}");
        write(&mut running, &frame).await;
        let mut last = publisher.open_group(id, 1).await;
        write(&mut last, &frame).await;
        running.finish().unwrap();
        last.finish().unwrap();
        publisher.bare.connection.close(0, "that was all");

        assert_eq!(soon("the rest", first.frames()).await, ["end"], "{version}");
        let second = soon("the last group", groups.next()).await.unwrap();
        assert_eq!(soon("its frames", second.frames()).await, ["end"], "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_viewer_hears_that_its_publisher_is_gone_after_what_was_sent_before() {
    each_version(async |version| {
        let server = Server::new();
        let mut publisher = server.join(version).await;
        let _announced = publisher.announce("live").await;
        server.heard("live").await;
        let mut viewer = server.join(version).await;
        let subscribing = viewer.subscribe_to("live", 0, "video", everything());
        let ((_send, mut heard), (id, _subscription)) = tokio::join!(subscribing, publisher.asked());
        settle().await;
        publisher.open_group(id, 0).await.finish().unwrap();
        let gone = Instant::now();
        publisher.bare.connection.close(0, "that was all");

        assert_eq!(soon("the last group", viewer.group()).await.map(|group| group.sequence), Some(0), "{version}");
        while read(&mut heard, 1).await.is_ok() {}
        assert!(gone.elapsed() >= Duration::from_millis(200), "{version}: told after {:?}", gone.elapsed());
        assert!(gone.elapsed() <= Duration::from_secs(1), "{version}: told after {:?}", gone.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_publisher_sent_whole_is_a_slow_viewers_even_when_the_publisher_is_gone() {
    each_version(async |version| {
        let server = Server::new();
        let mut publisher = server.join(version).await;
        let _announced = publisher.announce("live").await;
        server.heard("live").await;
        let mut viewer = server.join_over(version, memory::Options { window: 1000, ..pair::options(version) }).await;
        let subscribing = viewer.subscribe_to("live", 0, "video", everything());
        let ((_send, mut heard), (id, _subscription)) = tokio::join!(subscribing, publisher.asked());
        let mut frame = Writer::new();
        version.framing().write_head(FrameHead { delta: Some(0), size: 5000 }, &mut frame);
        frame.bytes(&[0; 5000]);
        let frame = frame.into_bytes();
        let mut whole = publisher.open_group(id, 0).await;
        write(&mut whole, &frame).await;
        whole.finish().unwrap();
        let mut cut = publisher.open_group(id, 1).await;
        write(&mut cut, &frame[..4000]).await;
        settle().await;
        publisher.bare.connection.close(0, "that was all");
        sleep(Duration::from_secs(1)).await;

        let (mut first, mut second) = (viewer.group().await.unwrap(), viewer.group().await.unwrap());
        assert_eq!((first.sequence, second.sequence), (0, 1), "{version}");
        assert_eq!(drain(&mut first.stream).await, Ok(()), "{version}: the one that is whole");
        assert!(drain(&mut second.stream).await.is_err(), "{version}: the one that was cut off");
        while read(&mut heard, 1).await.is_ok() {}
    })
    .await;
}
