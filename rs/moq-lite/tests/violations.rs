//! Which breaches end the session, and which end a stream and nothing else.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use bare::{Peer, Server, drain, everything, publish, reset, seen::End, settle, soon, stopped, write};
use moq_lite::{
    testing::{
        memory::{RecvStream, SendStream},
        pair::{each_version, story},
    },
    transport::{RecvStream as _, SendStream as _},
};
use moq_proto::{
    FrameHead, VarInt, Version, Writer, close,
    lite::{
        self,
        message::{GroupHeader, SubscribeReply, TrackInfo},
    },
};

const MALFORMED: Option<u32> = Some(close::stream::MALFORMED_TRACK.get());
const CANCELLED: Option<u32> = Some(close::stream::CANCELLED.get());

/// What stands before the first announcement of a stream.
fn greeting(version: Version) -> &'static [u8] {
    match version {
        Version::Lite01 | Version::Lite02 => &[1, 0],
        Version::Lite03 | Version::Lite04 => &[],
        _ => &[2, 5, 0],
    }
}

/// An announcement in its envelope. `kind`: status or type, which have the same numbers for what begins and what ends apart.
fn announcement(version: Version, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut wire = Writer::new();
    match version.dialect().announce_ids {
        true => wire.varint(kind.into()).sized(body),
        false => wire.sized(&[&[kind as u8], body].concat()),
    };
    wire.into_bytes().to_vec()
}

/// A route that begins; nothing of it is checked.
fn begins(version: Version, suffix: &[u8], hops: &[u32]) -> Vec<u8> {
    let mut body = Writer::new();
    body.sized(suffix);
    if version >= Version::Lite03 {
        body.varint((hops.len() as u32).into());
    }
    if version >= Version::Lite04 {
        for hop in hops {
            body.varint((*hop).into());
        }
    }
    if version >= Version::Lite06 {
        body.u8(0).u8(0);
    }
    announcement(version, u32::from(version < Version::Lite06), &body.into_bytes())
}

/// A route that ends: the first announced, which is "a".
fn ends(version: Version) -> Vec<u8> {
    match version {
        Version::Lite06 => announcement(version, 1, &[0]),
        Version::Lite01 | Version::Lite02 => announcement(version, 0, b"\x01a"),
        _ => announcement(version, 0, b"\x01a\x00"),
    }
}

/// What is said after the greeting. `None`: the version cannot say it.
type Said = fn(Version) -> Option<Vec<u8>>;

/// What makes an announce stream one that cannot be followed.
const BREACHES: [(&str, Said); 14] = [
    ("cut off by the end of the stream", |version| Some(begins(version, b"a", &[])[..2].to_vec())),
    ("larger than any may be", |version| {
        Some([&[0][u32::from(version < Version::Lite06) as usize..], &[0x80, 1, 0, 1]].concat())
    }),
    ("longer than its fields", |version| {
        Some(announcement(version, u32::from(version < Version::Lite06), b"\x01a\x00\x00\x00\x00"))
    }),
    ("no text", |version| Some(begins(version, b"\xff", &[]))),
    ("too deep a path", |version| Some(begins(version, &b"a/".repeat(33), &[]))),
    ("too many hops", |version| (version >= Version::Lite03).then(|| begins(version, b"a", &Vec::from_iter(1..34)))),
    ("a hop twice", |version| (version >= Version::Lite04).then(|| begins(version, b"a", &[1, 2, 1]))),
    ("no such status", |version| (version < Version::Lite06).then(|| announcement(version, 7, b"\x01a\x00"))),
    ("a restart before there were any", |version| {
        (version < Version::Lite05).then(|| [begins(version, b"a", &[]), announcement(version, 2, b"\x01a\x00")].concat())
    }),
    ("begun twice", |version| (version != Version::Lite05).then(|| begins(version, b"a", &[1]).repeat(2))),
    ("ended twice", |version| {
        (version >= Version::Lite06).then(|| [begins(version, b"a", &[]), ends(version).repeat(2)].concat())
    }),
    ("changed after its end", |version| {
        let update = || announcement(version, 2, &[0, 0, 0, 0]);
        (version >= Version::Lite06).then(|| [begins(version, b"a", &[]), ends(version), update()].concat())
    }),
    ("changed to a hop twice", |version| {
        let update = || announcement(version, 2, &[0, 2, 9, 9, 0, 0]);
        (version >= Version::Lite06).then(|| [begins(version, b"a", &[]), update()].concat())
    }),
    ("greeted twice", |version| (version >= Version::Lite05).then(|| greeting(version).to_vec())),
];

/// What may be said, odd as it looks.
const ODDITIES: [(&str, Said); 7] = [
    ("nothing", |_| Some(Vec::new())),
    ("ended before it began", |version| (version < Version::Lite06).then(|| ends(version))),
    ("ended twice", |version| {
        (version < Version::Lite06).then(|| [begins(version, b"a", &[]), ends(version).repeat(2)].concat())
    }),
    ("begun twice", |version| (version == Version::Lite05).then(|| begins(version, b"a", &[1]).repeat(2))),
    ("a restart", |version| (version == Version::Lite05).then(|| announcement(version, 2, b"\x01a\x01\x09"))),
    ("no such type", |version| (version >= Version::Lite06).then(|| announcement(version, 9, b"whatever"))),
    ("hops without names", |version| (version >= Version::Lite04).then(|| begins(version, b"a", &[0, 0, 0]))),
];

/// Says this on the stream on which the session asked for announcements.
async fn say(peer: &mut Peer, said: &[u8]) -> (SendStream, RecvStream) {
    let (mut send, recv) = peer.bare.accept_bi().await;
    write(&mut send, greeting(peer.version)).await;
    write(&mut send, said).await;
    (send, recv)
}

/// The session goes on: whoever subscribes is served.
async fn assert_serves(server: &Server, peer: &mut Peer, what: &str) {
    let track = server.track("still");
    publish(&track, 0);
    let _subscription = peer.subscribe(900, "still", everything()).await;
    assert_eq!(peer.group().await.map(|group| group.subscribe), Some(900), "{}: {what}", peer.version);
}

#[tokio::test(start_paused = true)]
async fn announcements_that_cannot_be_followed_end_the_session_in_every_version() {
    for (what, said) in BREACHES {
        each_version(async |version| {
            let Some(said) = said(version) else { return };
            let server = Server::new();
            let mut peer = server.join(version).await;
            let (mut send, _recv) = say(&mut peer, &said).await;
            let _ = send.finish();
            assert_eq!(peer.bare.closed().await.0, close::session::PROTOCOL_VIOLATION.get(), "{version}: {what}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_instead_of_the_greeting_ends_the_session() {
    for version in [Version::Lite05, Version::Lite06] {
        story(async move {
            let server = Server::new();
            let mut peer = server.join(version).await;
            let (mut send, _recv) = peer.bare.accept_bi().await;
            write(&mut send, &begins(version, b"a", &[])).await;
            assert_eq!(peer.bare.closed().await.0, close::session::PROTOCOL_VIOLATION.get(), "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn odd_announcements_and_ends_of_their_stream_leave_the_session_alone() {
    type Ends = fn(&mut SendStream, &mut RecvStream);
    let ends: [(&str, Ends); 4] = [
        ("left open", |_, _| {}),
        ("finished", |send, _| send.finish().unwrap()),
        ("reset", |send, _| send.reset(0)),
        ("stopped", |_, recv| recv.stop(7)),
    ];
    for (what, said) in ODDITIES {
        for (how, end) in ends {
            each_version(async |version| {
                let Some(said) = said(version) else { return };
                let server = Server::new();
                let mut peer = server.join(version).await;
                let (mut send, mut recv) = say(&mut peer, &said).await;
                settle().await;
                end(&mut send, &mut recv);
                assert_serves(&server, &mut peer, &format!("{what}, {how}")).await;
            })
            .await;
        }
    }
}

/// What a stream says that makes no sense in a version.
fn nonsense(version: Version) -> Vec<(&'static str, Vec<u8>, Option<u32>)> {
    let mut all = vec![
        ("ANNOUNCE_REQUEST with more behind", vec![1, 4, 0, 0, 0, 0], MALFORMED),
        ("SUBSCRIBE cut off", vec![2, 1, 0xff], MALFORMED),
        ("SUBSCRIBE without an end of its size", vec![2, 0x80, 1, 0, 1], MALFORMED),
        ("the type of a session that never was", vec![0, 0], CANCELLED),
        ("another legacy SETUP", vec![0x20, 0, 2, 0, 0], CANCELLED),
    ];
    if (Version::Lite03..=Version::Lite05).contains(&version) {
        all.push(("SUBSCRIBE ordered like nothing", b"\x02\x0b\x00\x04room\x00\x00\x02\x00\x00\x00".to_vec(), MALFORMED));
    }
    if version >= Version::Lite03 {
        all.push(("PROBE cut off", vec![4, 1, 0xff], MALFORMED));
    }
    if version >= Version::Lite05 {
        all.push(("TRACK cut off", vec![6, 1, 0x3f], MALFORMED));
        all.push(("TRACK with more behind", b"\x06\x02\x00\x00\x00".to_vec(), MALFORMED));
        all.push(("FETCH cut off", vec![3, 1, 0x3f], MALFORMED));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_request_that_makes_no_sense_ends_its_stream_alone_in_every_version() {
    each_version(async |version| {
        let server = Server::new();
        let mut peer = server.join(version).await;
        for (what, bytes, code) in nonsense(version) {
            let (_send, mut recv) = peer.bare.open_bi(&bytes).await;
            assert_eq!(reset(&mut recv).await, code, "{version}: {what}");
        }
        for (what, bytes, code) in [
            ("GROUP cut off", &[0, 1, 0xff][..], MALFORMED),
            ("no such type", &[9, 9], CANCELLED),
            ("GROUP of nothing", &[0, 0], MALFORMED),
        ] {
            let mut send = peer.bare.open_uni(bytes).await;
            assert_eq!(stopped(&mut send).await, code, "{version}: {what}");
        }
        assert_serves(&server, &mut peer, "all of it").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_update_that_makes_no_sense_ends_its_subscription_alone() {
    each_version(async |version| {
        let server = Server::new();
        let _video = server.track("video");
        let mut peer = server.join(version).await;
        for (id, bytes) in [(0, &[1u8, 0xff, 0xff][..]), (1, &[0]), (2, &[0x80, 1, 0, 1])] {
            let (mut send, mut recv) = peer.subscribe(id, "video", everything()).await;
            settle().await;
            // Of moq-lite-01 and 02 a byte is all there is to it.
            let bytes = if version < Version::Lite03 && id == 0 { &[2, 1, 1] } else { bytes };
            write(&mut send, bytes).await;
            send.finish().unwrap();
            assert_eq!(reset(&mut recv).await, MALFORMED, "{version}: {bytes:02x?}");
        }
        assert_serves(&server, &mut peer, "all of it").await;
    })
    .await;
}

/// A publisher, and a viewer who subscribed to what it has.
async fn published(server: &Server, version: Version) -> (Peer, Peer, VarInt, [(SendStream, RecvStream); 3]) {
    let mut publisher = server.join(version).await;
    let announced = publisher.announce("cam").await;
    server.heard("cam").await;
    let mut viewer = server.join(version).await;
    let subscribing = viewer.subscribe_to("cam", 0, "video", everything());
    let (subscription, (id, asked)) = tokio::join!(subscribing, publisher.asked());
    (publisher, viewer, id, [announced, subscription, asked])
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_makes_no_sense_ends_its_subscription_alone() {
    each_version(async |version| {
        let replies: &[&[u8]] = match version {
            Version::Lite01 => &[&[2, 0, 0]],
            Version::Lite02 => &[&[1, 0]],
            _ => &[&[0, 0], &[9, 1, 0], &[1, 1, 0xff], &[2, 5, 0, 0, 0, 0, 0], &[0, 0x80, 1, 0, 1]],
        };
        for bytes in replies {
            let server = Server::new();
            let (mut publisher, _viewer, _id, [_announced, mut subscription, mut asked]) = published(&server, version).await;
            write(&mut asked.0, bytes).await;
            assert_eq!(reset(&mut subscription.1).await, MALFORMED, "{version}: {bytes:02x?}");
            assert!(soon("the end of the question", drain(&mut asked.1)).await.is_err(), "{version}: {bytes:02x?}");
            assert_serves(&server, &mut publisher, &format!("{bytes:02x?}")).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn properties_that_make_no_sense_refuse_their_track_alone() {
    for version in [Version::Lite05, Version::Lite06] {
        story(async move {
            let server = Server::new();
            let mut publisher = server.join(version).await;
            let _announced = publisher.announce("cam").await;
            server.heard("cam").await;
            let mut viewer = server.join(version).await;
            // Without a timescale, cut off, and without anything.
            let info = TrackInfo { priority: 0, ordered: false, max_age: VarInt::ZERO, timescale: 1.try_into().unwrap() };
            let whole = version.dialect().track_info.as_ref().unwrap().to_wire(&info);
            let timeless = [&whole[..whole.len() - 1], &[0]].concat();
            for (id, bytes) in [&timeless[..], &whole[..2], &[]].into_iter().enumerate() {
                let track = format!("video{id}");
                let (_send, mut recv) = viewer.subscribe_to("cam", id as u32, &track, everything()).await;
                let (mut answer, _question) = publisher.bare.accept_bi().await;
                write(&mut answer, bytes).await;
                answer.finish().unwrap();
                assert_eq!(reset(&mut recv).await, MALFORMED, "{version}: {bytes:02x?}");
            }
            assert_serves(&server, &mut publisher, "all of it").await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_out_of_all_range_ends_its_group_alone() {
    let range = 1i64 << 61;
    let beyond = [[0, -1], [5, -6], [range - 1, 1], [range - 1, range - 1], [0, -range]];
    for version in [Version::Lite05, Version::Lite06] {
        for [first, then] in beyond {
            story(async move {
                let server = Server::new();
                let (mut publisher, mut viewer, id, _open) = published(&server, version).await;
                let frame = |delta: i64| {
                    let mut wire = Writer::new();
                    version.framing().write_head(FrameHead { delta: Some(delta), size: 1 }, &mut wire);
                    wire.u8(b'x');
                    wire.into_bytes()
                };
                let mut group = publisher.open_group(id, 0).await;
                write(&mut group, &frame(first)).await;
                let (_, mut stream) = viewer.see_stream().await;
                write(&mut group, &frame(then)).await;
                assert_eq!(stopped(&mut group).await, MALFORMED, "{version}: {first}, {then}");
                assert_eq!(reset(&mut stream).await, MALFORMED, "{version}: {first}, {then}");

                let mut group = publisher.open_group(id, 1).await;
                write(&mut group, &[&frame(range - 1)[..], &frame(1 - range)].concat()).await;
                group.finish().unwrap();
                let seen = viewer.see().await;
                let times: Vec<i64> = seen.frames.frames.iter().map(|(time, _)| *time).collect();
                assert_eq!((seen.sequence, times), (1, vec![range - 1, 0]), "{version}: {first}, {then}");
            })
            .await;
        }
    }
}

/// Whole groups are what is asked for. A part would keep the whole one out, and readers waiting.
#[tokio::test(start_paused = true)]
async fn a_part_of_a_group_that_was_asked_for_whole_is_stopped_and_the_whole_one_taken() {
    story(async {
        let server = Server::new();
        let (mut publisher, mut viewer, subscribe, _open) = published(&server, Version::Lite06).await;
        let header = GroupHeader { subscribe, sequence: VarInt::ZERO, frame_start: VarInt::from_u32(1) };
        let wire = [&[lite::stream::GROUP.get() as u8], &Version::Lite06.dialect().group.to_wire(&header)[..]].concat();
        let mut part = publisher.bare.open_uni(&wire).await;
        assert_eq!(stopped(&mut part).await, CANCELLED);
        publisher.send_group(subscribe, 0, 0).await;
        let seen = viewer.see().await;
        assert_eq!((seen.sequence, seen.first, seen.frames.end), (0, 0, End::Finished));
    })
    .await;
}

/// What a publisher leaves out is no end, and no answer that viewers wait for.
#[tokio::test(start_paused = true)]
async fn replies_out_of_turn_are_no_breach() {
    each_version(async |version| {
        let reply = &version.dialect().reply;
        let odd: Vec<SubscribeReply> = match version {
            Version::Lite01 | Version::Lite02 => vec![SubscribeReply::Ok(Default::default()); 2],
            Version::Lite03 | Version::Lite04 => {
                let ok = SubscribeReply::Ok(Default::default());
                vec![SubscribeReply::Drop(dropped(7, 3)), ok, ok, SubscribeReply::Drop(dropped(0, 9))]
            }
            _ => vec![
                SubscribeReply::Drop(dropped(7, 3)),
                SubscribeReply::Start { group: VarInt::from_u32(5) },
                SubscribeReply::Start { group: VarInt::ZERO },
            ],
        };
        let server = Server::new();
        let (mut publisher, mut viewer, id, [_announced, _subscription, mut asked]) = published(&server, version).await;
        let said: Vec<u8> = odd.iter().flat_map(|message| reply.to_wire(message)).collect();
        write(&mut asked.0, &said).await;
        settle().await;
        publisher.send_group(id, 0, 0).await;
        assert_eq!(viewer.see().await.sequence, 0, "{version}");
    })
    .await;
}

fn dropped(start: u32, end: u32) -> lite::message::SubscribeDrop {
    lite::message::SubscribeDrop { start: start.into(), end: end.into(), code: VarInt::ZERO }
}
