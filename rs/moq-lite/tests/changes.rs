//! What peers are told of broadcasts that come, change and go: in each version's terms, and never twice the same.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use bare::{Peer, Server, hop, path, read, settle, soon};
use bytes::BytesMut;
use futures::FutureExt;
use moq_lite::{
    model::{
        broadcast,
        origin::{Horizon, Publication},
        route::Route,
    },
    testing::{
        memory::{RecvStream, SendStream},
        pair::{each_version, story},
    },
};
use moq_proto::{
    Cost, HopChain, HopId, Path, Version,
    lite::{self, message::AnnounceRequest},
};

async fn listen(peer: &mut Peer) -> (SendStream, RecvStream) {
    let request = AnnounceRequest { prefix: Path::root(), exclude: HopId::UNKNOWN, hidden: false };
    let wire = peer.version.dialect().announce_request.to_wire(&request);
    let streams = peer.bare.open_bi(&[&[lite::stream::ANNOUNCE.get() as u8], &wire[..]].concat()).await;
    settle().await;
    streams
}

/// What was said since the last time.
async fn said(stream: &mut RecvStream) -> Vec<u8> {
    settle().await;
    let mut bytes = BytesMut::new();
    while let Some(Ok(more)) = read(stream, 1).now_or_never() {
        bytes.extend_from_slice(&more);
    }
    bytes.to_vec()
}

fn route(hops: &[u64]) -> Route {
    let hops = HopChain::try_from_iter(hops.iter().map(|id| hop(*id))).unwrap();
    Route { hops, cost: Cost::new(1, 2), local: false }
}

fn publish(server: &Server, at: &str, hops: &[u64]) -> (broadcast::Producer, Publication) {
    let broadcast = broadcast::Producer::new(server.budget.account());
    let door = server.origin.producer(Path::root(), vec![Path::root()], Horizon::new());
    let publication = door.publish(&path(at), route(hops), broadcast.consume()).unwrap();
    (broadcast, publication)
}

/// ANNOUNCE of 01 and 02: a status and a suffix.
fn bare_status(status: u8, suffix: &str) -> Vec<u8> {
    [&[2 + suffix.len() as u8, status, suffix.len() as u8], suffix.as_bytes()].concat()
}

/// A shipped relay forgets both for what it said first.
#[tokio::test(start_paused = true)]
async fn what_was_there_at_first_ends_and_comes_back_like_anything_else() {
    for version in [Version::Lite01, Version::Lite02] {
        story(async {
            let server = Server::new();
            let cam = publish(&server, "cam", &[1]);
            let mut viewer = server.join(version).await;
            let (_send, mut recv) = listen(&mut viewer).await;
            let first = soon("the set", read(&mut recv, 1)).await.unwrap();
            assert!(first.windows(4).any(|window| window == b"\x03cam"), "{version}: {first:x?}");
            drop(cam);
            assert_eq!(said(&mut recv).await, bare_status(0, "cam"), "{version}");
            let _cam = publish(&server, "cam", &[1]);
            assert_eq!(said(&mut recv).await, bare_status(1, "cam"), "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn another_way_to_the_same_content_and_other_content_are_told_as_far_as_a_version_can() {
    each_version(async |version| {
        let own: &[u8] = &[0x80, 0x04, 0xe1, 0xa7];
        let server = Server::new();
        let mut viewer = server.join(version).await;
        let (_send, mut recv) = listen(&mut viewer).await;
        let (cam, mut publication) = publish(&server, "cam", &[1]);
        said(&mut recv).await;

        // As it is already.
        publication.update(route(&[1])).unwrap();
        assert_eq!(said(&mut recv).await, [0; 0], "{version}: nothing new");

        // Another way to the same publisher.
        publication.update(route(&[1, 2])).unwrap();
        let expected: &[u8] = match version {
            Version::Lite05 => b"\x08\x01\x03cam\x02\x01\x02",
            Version::Lite06 => b"\x02\x06\x01\x02\x01\x02\x01\x02",
            _ => b"",
        };
        assert_eq!(said(&mut recv).await, expected, "{version}: another way");

        // Another publisher.
        publication.update(route(&[3])).unwrap();
        let expected = match version {
            Version::Lite01 | Version::Lite02 => [bare_status(0, "cam"), bare_status(1, "cam")].concat(),
            Version::Lite03 => b"\x06\x00\x03cam\x00\x06\x01\x03cam\x02".to_vec(),
            Version::Lite04 => [b"\x06\x00\x03cam\x00\x0b\x01\x03cam\x02\x03", own].concat(),
            Version::Lite05 => b"\x07\x01\x03cam\x01\x03".to_vec(),
            _ => b"\x02\x05\x01\x01\x03\x01\x02".to_vec(),
        };
        assert_eq!(said(&mut recv).await, expected, "{version}: other content");
        drop((publication, cam));
        assert!(!said(&mut recv).await.is_empty(), "{version}: the end");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_hidden_is_not_told_and_served_to_whoever_knows_it() {
    each_version(async |version| {
        let server = Server::new();
        let mut viewer = server.join(version).await;
        let (_send, mut recv) = listen(&mut viewer).await;
        said(&mut recv).await;
        let (secret, _publication) = publish(&server, "a/.b", &[1]);
        let video = secret.create_track("video", moq_lite::model::track::Info::default()).unwrap();
        bare::publish(&video, 0);
        assert_eq!(said(&mut recv).await, [0; 0], "{version}");
        let _subscription = viewer.subscribe_to("a/.b", 0, "video", bare::everything()).await;
        assert!(viewer.group().await.is_some(), "{version}");
    })
    .await;
}
