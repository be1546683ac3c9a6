//! What a session does with bytes no well-behaved peer sends: the peer here is a bare connection.

#![allow(clippy::unwrap_used)] // a test may fail anywhere

use std::{future::poll_fn, task::Poll, time::Duration};

use bytes::{Bytes, BytesMut};
use moq_lite::{
    model::origin::{Horizon, Origin},
    session::{Error, Roles, Session},
    testing::{
        memory::{self, Connection, RecvStream, SendStream},
        pair::{self, each_version, story},
    },
    transport::{Chunks, Connection as _, ConnectionError, Rank, RecvStream as _, SendStream as _, StreamError},
};
use moq_proto::{HopId, Path, Version};
use tokio::{task::JoinHandle, time::timeout};

const SOON: Duration = Duration::from_secs(20);

/// A session that serves a bare connection.
struct Bare {
    connection: Connection,
    served: JoinHandle<Result<(), Error>>,
}

fn serve(options: memory::Options, versions: &'static [Version]) -> Bare {
    let (connection, here) = memory::connect(options);
    let served = tokio::task::spawn_local(async move {
        let session = Session::accept(here, versions).await?;
        let hop = HopId::try_from(0x4e1a7).unwrap();
        let (origin, root) = (Origin::new(hop), Path::root());
        let horizon = Horizon::new();
        let roles = Roles {
            inbound: Some(origin.producer(root.clone(), vec![root.clone()], horizon.clone())),
            outbound: Some(origin.consumer(root.clone(), vec![root], horizon)),
            ..Roles::new(hop)
        };
        session.run(roles).await
    });
    Bare { connection, served }
}

impl Bare {
    fn new(version: Version) -> Self {
        serve(pair::options(version), Version::ALL)
    }

    async fn open_bi(&mut self, bytes: &[u8]) -> (SendStream, RecvStream) {
        let (mut send, recv) = poll_fn(|cx| self.connection.poll_open_bi(cx, Rank(0))).await.unwrap();
        write(&mut send, bytes).await;
        (send, recv)
    }

    async fn open_uni(&mut self, bytes: &[u8]) -> SendStream {
        let mut send = poll_fn(|cx| self.connection.poll_open_uni(cx, Rank(0))).await.unwrap();
        write(&mut send, bytes).await;
        send
    }

    /// How the session closes the connection.
    async fn closed(&mut self) -> (u32, String) {
        let error = timeout(SOON, poll_fn(|cx| self.connection.poll_closed(cx))).await.expect("closed in time");
        match error {
            ConnectionError::Closed { code, reason } => (code, reason),
            other => panic!("{other}"),
        }
    }

    /// The session goes on: it answers an ANNOUNCE_REQUEST for everything.
    async fn assert_alive(&mut self, version: Version) {
        let request: &[u8] = match version {
            Version::Lite04 | Version::Lite05 => &[1, 2, 0, 0],
            _ => &[1, 1, 0],
        };
        if version >= Version::Lite06 {
            // It waits for our SETUP, which names us.
            self.open_uni(&[1, 1, 0]).await.finish().unwrap();
        }
        let (_send, mut recv) = self.open_bi(request).await;
        if version == Version::Lite03 || version == Version::Lite04 {
            assert!(!self.served.is_finished(), "{version}");
            return;
        }
        let answer = timeout(SOON, read(&mut recv, 2)).await.expect("an answer in time");
        assert!(answer.is_ok(), "{version}: {answer:?}");
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

/// The code a stream is reset with, whatever came before.
async fn reset(stream: &mut RecvStream) -> Option<u32> {
    let drained = async {
        loop {
            match read(stream, 1).await {
                Ok(_) => {}
                Err(StreamError::Reset(code)) => return Some(code),
                Err(_) => return None,
            }
        }
    };
    timeout(SOON, drained).await.expect("an end in time")
}

/// The code a stream is stopped with.
async fn stopped(stream: &mut SendStream) -> Option<u32> {
    let stopped = async {
        poll_fn(|cx| match stream.poll_acked(cx) {
            Poll::Ready(Err(StreamError::Stopped(code))) => Poll::Ready(Some(code)),
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    };
    timeout(SOON, stopped).await.expect("a stop in time")
}

#[tokio::test(start_paused = true)]
async fn streams_nobody_knows_end_alone() {
    each_version(async |version| {
        if version < Version::Lite03 {
            return; // its first bidirectional stream is the handshake; see below
        }
        let mut bare = Bare::new(version);
        let (_send, mut recv) = bare.open_bi(&[0x3f, 1, 2, 3]).await;
        assert_eq!(reset(&mut recv).await, Some(1), "{version}");
        let mut uni = bare.open_uni(&[0x3e, 9]).await;
        assert_eq!(stopped(&mut uni).await, Some(1), "{version}");
        bare.assert_alive(version).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_make_no_sense_end_alone() {
    each_version(async |version| {
        if version < Version::Lite03 {
            return;
        }
        let mut bare = Bare::new(version);
        let nonsense: &[&[u8]] = &[
            &[2, 3, 0, 0, 0],             // SUBSCRIBE cut off inside
            &[2, 0x80, 0xff, 0xff, 0xff], // SUBSCRIBE larger than any may be
            &[1, 2, 5, b'x'],             // ANNOUNCE_REQUEST whose text is longer than it
        ];
        for bytes in nonsense {
            let (_send, mut recv) = bare.open_bi(bytes).await;
            assert_eq!(reset(&mut recv).await, Some(0x12), "{version}: {bytes:02x?}");
        }
        let mut group = bare.open_uni(&[0, 3, 42, 0, 0]).await;
        assert!(stopped(&mut group).await.is_some(), "{version}: a group for a subscription never made");
        bare.assert_alive(version).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_head_is_given_up_in_time() {
    each_version(async |version| {
        if version < Version::Lite03 {
            return;
        }
        let mut bare = Bare::new(version);
        let (_send, mut recv) = bare.open_bi(&[2]).await;
        assert_eq!(reset(&mut recv).await, Some(0x31), "{version}");
        bare.assert_alive(version).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_second_setup_ends_the_session() {
    for version in [Version::Lite05, Version::Lite06] {
        story(async move {
            let mut bare = Bare::new(version);
            bare.open_uni(&[1, 1, 0]).await.finish().unwrap();
            bare.open_uni(&[1, 1, 0]).await.finish().unwrap();
            assert_eq!(bare.closed().await.0, 3, "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_setup_ends_the_session() {
    for version in [Version::Lite05, Version::Lite06] {
        for bytes in [&[1u8, 2, 1, 9][..], &[1, 7, 2, 5, 1, 1, 5, 1, 1], &[1, 1, 0x3f]] {
            story(async move {
                let mut bare = Bare::new(version);
                bare.open_uni(bytes).await.finish().unwrap();
                assert_eq!(bare.closed().await.0, 3, "{version}: {bytes:02x?}");
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn announcements_that_cannot_be_followed_end_the_session() {
    // What the session's own announce stream hears.
    let cases: &[(Version, &[u8])] = &[
        (Version::Lite04, &[4, 1, 1, b'a', 0, 4, 1, 1, b'a', 0]), // active twice
        (Version::Lite04, &[4, 7, 1, b'a', 0]),                   // no such status
        (Version::Lite05, &[2, 5, 0, 3, 1, 1, b'a']),             // cut off inside
        (Version::Lite06, &[2, 5, 0, 1, 1, 0]),                   // end of what never began
        (Version::Lite06, &[2, 5, 0, 2, 4, 0, 0, 0, 0]),          // update of what never began
        (Version::Lite06, &[2, 5, 0, 0, 5, 1, b'a', 0, 0, 0, 0, 5, 1, b'a', 0, 0, 0]), // started twice
    ];
    for &(version, bytes) in cases {
        story(async move {
            let mut bare = Bare::new(version);
            let (mut send, mut recv) =
                timeout(SOON, poll_fn(|cx| bare.connection.poll_accept_bi(cx))).await.expect("asks").unwrap();
            assert_eq!(read(&mut recv, 1).await.unwrap()[0], 1, "{version}");
            write(&mut send, bytes).await;
            assert_eq!(bare.closed().await.0, 3, "{version}: {bytes:02x?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_version_in_common_ends_the_session_with_its_code() {
    story(async {
        // A legacy SETUP that offers moq-transport 14 alone.
        let mut bare = serve(memory::Options::default(), Version::ALL);
        let offer = [0x20, 0, 10, 1, 0xc0, 0, 0, 0, 0xff, 0, 0, 0x0e, 0];
        let (_send, _recv) = bare.open_bi(&offer).await;
        assert_eq!(bare.closed().await.0, 0x15);
    })
    .await;
    story(async {
        let options = memory::Options { protocol: Some("moq-lite-99".into()), ..memory::Options::default() };
        let mut bare = serve(options, Version::ALL);
        assert_eq!(bare.closed().await.0, 0x15);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_says_its_version_is_given_up() {
    story(async {
        let mut bare = serve(memory::Options::default(), Version::ALL);
        assert_eq!(bare.closed().await.0, 0x11);
        assert!(matches!(bare.served.await.unwrap(), Err(Error::Timeout(_))));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_legacy_setup_settles_what_the_client_prefers_and_its_stream_is_the_session() {
    story(async {
        let mut bare = serve(memory::Options { protocol: Some("moql".into()), ..memory::Options::default() }, Version::ALL);
        let offer = [
            0x20, 0, 0x2c, 3, // CLIENT_SETUP with three versions
            0xc0, 0, 0, 0, 0xff, 0x0d, 0xad, 0x02, // moq-lite-02
            0xc0, 0, 0, 0, 0xff, 0x0d, 0xad, 0x01, // moq-lite-01
            0xc0, 0, 0, 0, 0xff, 0, 0, 0x0e, // moq-transport 14
            2, 2, 0x80, 0, 0xa4, 0x55, 7, 0x0b, // two parameters
            b'm', b'o', b'q', b'-', b'l', b'i', b't', b'e', b'-', b'j', b's',
        ];
        let (mut send, mut recv) = bare.open_bi(&offer).await;
        let answer = timeout(SOON, read(&mut recv, 12)).await.unwrap().unwrap();
        assert_eq!(&answer[..], [0x21, 0, 9, 0xc0, 0, 0, 0, 0xff, 0x0d, 0xad, 0x02, 0]);
        bare.assert_alive(Version::Lite02).await;
        send.finish().unwrap();
        assert_eq!(bare.closed().await.0, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_the_limit_are_refused_and_places_come_back() {
    story(async {
        let version = Version::Lite05;
        let mut bare = Bare::new(version);
        let mut open = Vec::new();
        for _ in 0..64 {
            let (send, mut recv) = bare.open_bi(&[1, 2, 0, 5]).await;
            timeout(SOON, read(&mut recv, 2)).await.expect("an answer").expect("ANNOUNCE_OK");
            open.push((send, recv));
        }
        let (_send, mut refused) = bare.open_bi(&[1, 2, 0, 5]).await;
        assert_eq!(reset(&mut refused).await, Some(0x30));

        let (mut send, mut recv) = open.pop().unwrap();
        send.finish().unwrap();
        assert_eq!(reset(&mut recv).await, None, "finished in return");
        let (_send, mut again) = bare.open_bi(&[1, 2, 0, 5]).await;
        timeout(SOON, read(&mut again, 2)).await.expect("an answer").expect("ANNOUNCE_OK");
    })
    .await;
}
