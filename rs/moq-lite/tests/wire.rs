//! What a session does with bytes no well-behaved peer sends: the peer here is a bare connection.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::time::Duration;

use bare::{Bare, Server, everything, hop, read, reset, roles, settle, soon, stopped, write};
use moq_lite::{
    model::origin::Origin,
    session::Error,
    testing::{
        memory,
        pair::{self, each_version, story},
    },
    transport::SendStream as _,
};
use moq_proto::{VarInt, Version, lite::message::GroupHeader};
use tokio::time::sleep;

fn serve(options: memory::Options) -> Bare {
    Bare::serve(options, Version::ALL, roles(&Origin::new(hop(0x4e1a7))))
}

fn speaking(version: Version) -> Bare {
    serve(pair::options(version))
}

/// The session goes on: it answers an ANNOUNCE_REQUEST for everything.
async fn assert_alive(bare: &mut Bare, version: Version) {
    let request: &[u8] = match version {
        Version::Lite04 | Version::Lite05 => &[1, 2, 0, 0],
        _ => &[1, 1, 0],
    };
    if version >= Version::Lite06 {
        // It waits for our SETUP, which names us.
        bare.open_uni(&[1, 1, 0]).await.finish().unwrap();
    }
    let (_send, mut recv) = bare.open_bi(request).await;
    if version == Version::Lite03 || version == Version::Lite04 {
        assert!(!bare.served.is_finished(), "{version}");
        return;
    }
    let answer = soon("an answer", read(&mut recv, 2)).await;
    assert!(answer.is_ok(), "{version}: {answer:?}");
}

#[tokio::test(start_paused = true)]
async fn streams_nobody_knows_end_alone() {
    each_version(async |version| {
        if version < Version::Lite03 {
            return; // its first bidirectional stream is the handshake; see below
        }
        let mut bare = speaking(version);
        let (_send, mut recv) = bare.open_bi(&[0x3f, 1, 2, 3]).await;
        assert_eq!(reset(&mut recv).await, Some(1), "{version}");
        let mut uni = bare.open_uni(&[0x3e, 9]).await;
        assert_eq!(stopped(&mut uni).await, Some(1), "{version}");
        assert_alive(&mut bare, version).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_make_no_sense_end_alone() {
    each_version(async |version| {
        if version < Version::Lite03 {
            return;
        }
        let mut bare = speaking(version);
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
        assert_alive(&mut bare, version).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_head_is_given_up_in_time() {
    each_version(async |version| {
        if version < Version::Lite03 {
            return;
        }
        let mut bare = speaking(version);
        let (_send, mut recv) = bare.open_bi(&[2]).await;
        assert_eq!(reset(&mut recv).await, Some(0x31), "{version}");
        assert_alive(&mut bare, version).await;
    })
    .await;
}

/// On QUIC a stream opens all older ones with it; their bytes may be far behind.
#[tokio::test(start_paused = true)]
async fn a_group_whose_first_byte_is_late_is_taken_and_one_without_any_is_given_up() {
    each_version(async |version| {
        let server = Server::new();
        let mut publisher = server.join(version).await;
        let _announced = publisher.announce("cam").await;
        server.heard("cam").await;
        let mut viewer = server.join(version).await;
        let subscribing = viewer.subscribe_to("cam", 0, "video", everything());
        let (_subscription, (id, _asked)) = tokio::join!(subscribing, publisher.asked());
        let (mut late, mut never) = (publisher.bare.open_uni(&[]).await, publisher.bare.open_uni(&[]).await);
        sleep(Duration::from_secs(25)).await;
        let header = GroupHeader { subscribe: id, sequence: VarInt::ZERO, frame_start: VarInt::ZERO };
        write(&mut late, &[&[0], &version.dialect().group.to_wire(&header)[..]].concat()).await;
        late.finish().unwrap();
        assert_eq!(soon("a group", viewer.group()).await.map(|group| group.sequence), Some(0), "{version}");
        assert_eq!(stopped(&mut never).await, Some(0x31), "{version}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_second_setup_ends_the_session() {
    for version in [Version::Lite05, Version::Lite06] {
        story(async move {
            let mut bare = speaking(version);
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
                let mut bare = speaking(version);
                bare.open_uni(bytes).await.finish().unwrap();
                assert_eq!(bare.closed().await.0, 3, "{version}: {bytes:02x?}");
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_setup_that_stays_away_in_the_middle_is_waited_for_in_vain() {
    for version in [Version::Lite05, Version::Lite06] {
        story(async move {
            let mut bare = speaking(version);
            let _setup = bare.open_uni(&[1, 4, 1]).await;
            assert_eq!(bare.closed().await.0, 0x11, "{version}");
        })
        .await;
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
            let mut bare = speaking(version);
            let (mut send, mut recv) = bare.accept_bi().await;
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
        let mut bare = serve(memory::Options::default());
        let offer = [0x20, 0, 10, 1, 0xc0, 0, 0, 0, 0xff, 0, 0, 0x0e, 0];
        let (_send, _recv) = bare.open_bi(&offer).await;
        assert_eq!(bare.closed().await.0, 0x15);
    })
    .await;
    story(async {
        let options = memory::Options { protocol: Some("moq-lite-99".into()), ..memory::Options::default() };
        let mut bare = serve(options);
        assert_eq!(bare.closed().await.0, 0x15);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_legacy_setup_that_makes_no_sense_offers_no_version() {
    // Another type, a body cut off inside, a body too long for what it says, and a stream that ends before it.
    let cases: [&[u8]; 4] = [&[0x40, 0, 1, 0], &[0x20, 0, 2, 1, 0xc0], &[0x20, 0, 3, 0, 0, 0], &[0x20, 0]];
    for bytes in cases {
        story(async move {
            let mut bare = serve(memory::Options::default());
            let (mut send, _recv) = bare.open_bi(bytes).await;
            send.finish().unwrap();
            assert_eq!(bare.closed().await.0, 0x15, "{bytes:02x?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_allows_no_stream_for_our_setup_is_given_up() {
    for version in [Version::Lite05, Version::Lite06] {
        story(async move {
            let mut bare = serve(memory::Options { uni_streams: 0, ..pair::options(version) });
            assert_eq!(bare.closed().await.0, 0x11, "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_says_its_version_is_given_up() {
    story(async {
        let mut bare = serve(memory::Options::default());
        assert_eq!(bare.closed().await.0, 0x11);
        assert!(matches!(bare.served.await.unwrap(), Err(Error::Timeout(_))));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_legacy_setup_settles_what_the_client_prefers_and_its_stream_is_the_session() {
    story(async {
        let mut bare = serve(memory::Options { protocol: Some("moql".into()), ..memory::Options::default() });
        let offer = [
            0x20, 0, 0x2c, 3, // CLIENT_SETUP with three versions
            0xc0, 0, 0, 0, 0xff, 0x0d, 0xad, 0x02, // moq-lite-02
            0xc0, 0, 0, 0, 0xff, 0x0d, 0xad, 0x01, // moq-lite-01
            0xc0, 0, 0, 0, 0xff, 0, 0, 0x0e, // moq-transport 14
            2, 2, 0x80, 0, 0xa4, 0x55, 7, 0x0b, // two parameters
            b'm', b'o', b'q', b'-', b'l', b'i', b't', b'e', b'-', b'j', b's',
        ];
        let (mut send, mut recv) = bare.open_bi(&offer).await;
        let answer = soon("an answer", read(&mut recv, 12)).await.unwrap();
        assert_eq!(&answer[..], [0x21, 0, 9, 0xc0, 0, 0, 0, 0xff, 0x0d, 0xad, 0x02, 0]);
        assert_alive(&mut bare, Version::Lite02).await;
        send.finish().unwrap();
        assert_eq!(bare.closed().await.0, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_the_limit_are_refused_and_counted_and_places_come_back() {
    // What fills a place for as long as it is open, and how many of it there may be.
    type Request = fn(u16) -> Vec<u8>;
    let announce: Request = |_| vec![1, 2, 0, 5];
    let probe: Request = |_| vec![4];
    // Waits for the peer's SETUP, which does not come.
    let subscribe: Request = |id| {
        let [high, low] = (0x4000 | id).to_be_bytes();
        vec![2, 11, high, low, 1, b'a', 1, b'b', 0, 0, 0, 0, 0]
    };
    for (name, request, limit) in [("announce", announce, 64), ("probe", probe, 128), ("subscribe", subscribe, 1024)] {
        story(async move {
            let roles = roles(&Origin::new(hop(0x4e1a7)));
            let stats = roles.stats.clone();
            let refusals = || stats.counters().refused.load(std::sync::atomic::Ordering::Relaxed);
            let mut bare = Bare::serve(pair::options(Version::Lite05), Version::ALL, roles);
            let mut open = Vec::new();
            for number in 0..limit {
                open.push(bare.open_bi(&request(number)).await);
            }
            settle().await;
            assert_eq!(refusals(), 0, "{name}: as many as may be");
            let (_send, mut refused) = bare.open_bi(&request(limit)).await;
            assert_eq!(reset(&mut refused).await, Some(0x30), "{name}");
            assert_eq!(refusals(), 1, "{name}");

            let (mut send, mut recv) = open.pop().unwrap();
            send.finish().unwrap();
            assert_eq!(reset(&mut recv).await, None, "{name}: finished in return");
            let _again = bare.open_bi(&request(limit + 1)).await;
            settle().await;
            assert_eq!(refusals(), 1, "{name}: the place is free again");
            assert!(!bare.served.is_finished(), "{name}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn announcements_beyond_the_limit_end_the_session() {
    story(async {
        let mut bare = speaking(Version::Lite04);
        let (mut send, _recv) = bare.accept_bi().await;
        for number in 0..1024 {
            let suffix = format!("{number:05}");
            write(&mut send, &[&[8, 1, 5], suffix.as_bytes(), &[0]].concat()).await;
        }
        settle().await;
        assert!(!bare.served.is_finished(), "as many as may be");
        write(&mut send, b"\x08\x01\x0501024\x00").await;
        let (code, reason) = bare.closed().await;
        assert_eq!((code, reason.as_str()), (3, "protocol violation: more than 1024 broadcasts announced"));
    })
    .await;
}
