//! Live data through the relay, over every transport and in every version.

use moq_lite::{session::Error, transport::ConnectionError};
use moq_native::ConnectError;
use moq_proto::{Version, close};

use crate::{
    peer::{A_WHILE, Over, Peer, next, soon, story},
    process::{OPEN, Relay, wide},
};

#[test]
fn frames_pass_over_every_transport_in_every_version() {
    let relay = Relay::start(&wide(OPEN));
    story(async {
        for over in Over::ALL {
            for &version in Version::ALL {
                // Versions before moq-lite-05 name no path where the transport has none, and get the root.
                let publisher = Peer::join(&relay, over, version, "/").await;
                let viewer = Peer::join(&relay, over, version, "/").await;
                assert_eq!((publisher.version, viewer.version), (version, version), "{over:?}");

                let room = publisher.publish("room/alice");
                let mut groups = viewer.watch("room/alice").await;
                room.video.append_group().write_all(["key", "delta"]);

                assert_eq!(next(&mut groups).await, ["key", "delta"], "{over:?} {version}");
            }
        }
    });
}

#[test]
fn peers_of_different_transports_and_versions_meet() {
    let relay = Relay::start(&wide(OPEN));
    story(async {
        let publisher = Peer::join(&relay, Over::WebSocket, Version::Lite04, "/").await;
        let room = publisher.publish("room");
        let rows = [
            (Over::WebTransport, Version::Lite05),
            (Over::Quic, Version::Lite06),
            (Over::WebSocket, Version::Lite02),
            (Over::WebTransport, Version::Lite04),
            (Over::Wss, Version::Lite05),
            (Over::Tcp, Version::Lite03),
            (Over::Unix, Version::Lite06),
        ];
        let mut viewers = Vec::new();
        for (over, version) in rows {
            let viewer = Peer::join(&relay, over, version, "/").await;
            let groups = viewer.watch("room").await;
            viewers.push((viewer, groups));
        }
        for round in 0..20u8 {
            let frames: Vec<Vec<u8>> = (0..10u8).map(|frame| vec![round ^ frame; 1 + 977 * usize::from(frame)]).collect();
            room.video.append_group().write_all(frames.clone());
            for (viewer, groups) in &mut viewers {
                assert_eq!(next(groups).await, frames, "{} in round {round}", viewer.version);
            }
        }
    });
}

#[test]
fn a_late_viewer_gets_the_newest_group_from_its_first_frame() {
    let relay = Relay::start(OPEN);
    story(async {
        let publisher = Peer::join(&relay, Over::WebTransport, Version::Lite05, "/").await;
        let room = publisher.publish("room");
        let early = Peer::join(&relay, Over::WebTransport, Version::Lite05, "/").await;
        let mut groups = early.watch("room").await;
        room.video.append_group().write_all(["old"]);
        assert_eq!(next(&mut groups).await, ["old"]);
        let mut group = room.video.append_group();
        group.write_frame("key", None).unwrap();
        let mut seen = soon("a group", groups.next()).await.unwrap();
        assert_eq!(soon("a frame", seen.next_frame()).await.unwrap().unwrap().payload, "key");

        let late = Peer::join(&relay, Over::WebTransport, Version::Lite05, "/").await;
        let mut groups = late.watch("room").await;
        group.write_frame("delta", None).unwrap();
        group.finish();

        assert_eq!(next(&mut groups).await, ["key", "delta"]);
    });
}

#[test]
fn what_is_on_air_is_listed_until_its_publisher_leaves() {
    let relay = Relay::start(OPEN);
    story(async {
        let publisher = Peer::join(&relay, Over::WebTransport, Version::Lite05, "/demo").await;
        let viewer = Peer::join(&relay, Over::WebTransport, Version::Lite05, "/").await;
        let _room = publisher.publish("room");
        let mut changes = viewer.view().announced(&moq_proto::Path::root(), true);
        soon("an announcement", changes.next()).await;

        assert_eq!(relay.get("/announced").body, "demo/room");
        assert_eq!(relay.get("/announced/demo").body, "room");
        assert_eq!(relay.get("/announced/news").body, "");

        publisher.closer.close(close::session::NO_ERROR, "bye");
        soon("its end", changes.next()).await;
        assert_eq!(relay.get("/announced").body, "");
    });
}

#[test]
fn a_session_sees_what_lies_below_its_path_and_no_more() {
    let relay = Relay::start(&OPEN.replace("public = \"\"", "public = { publish = \"in\", subscribe = \"\" }"));
    story(async {
        for over in [Over::WebTransport, Over::WebSocket] {
            let publisher = Peer::join(&relay, over, Version::Lite05, "/in/studio").await;
            let elsewhere = Peer::join(&relay, over, Version::Lite05, "/out").await;
            let viewer = Peer::join(&relay, over, Version::Lite05, "/in").await;
            let room = publisher.publish("camera");
            let _nobody_hears = elsewhere.publish("camera");

            let mut groups = viewer.watch("studio/camera").await;
            room.video.append_group().write_all(["live"]);

            assert_eq!(next(&mut groups).await, ["live"], "{over:?}");
            assert_eq!(relay.get("/announced").body, "in/studio/camera");
            publisher.closer.close(close::session::NO_ERROR, "bye");
            let mut changes = viewer.view().announced(&moq_proto::Path::root(), true);
            while !changes.initial().is_empty() {
                soon("the end of the broadcast", changes.next()).await;
            }
        }
    });
}

#[test]
fn who_may_not_come_in_is_told_so() {
    let relay = Relay::start(&OPEN.replace("public = \"\"", "public = \"demo\""));
    story(async {
        for (path, status) in [("/news", 401), ("/demo?jwt=abc", 401), ("/a%2Fb", 400)] {
            for over in [Over::WebTransport, Over::WebSocket] {
                let refused = Peer::try_join(&relay, over, &[Version::Lite05], path).await.err();
                assert!(
                    matches!(&refused, Some(ConnectError::Refused(told)) if told.as_u16() == status),
                    "{over:?} {path}: {refused:?}"
                );
            }
            let peer = Peer::join(&relay, Over::Quic, Version::Lite05, path).await;
            let ended = peer.ended().await;
            let unauthorized = close::session::UNAUTHORIZED.get();
            assert!(
                matches!(&ended, Err(Error::Connection(ConnectionError::Closed { code, .. })) if *code == unauthorized),
                "{path}: {ended:?}"
            );
        }
    });
}

#[test]
fn the_operator_chooses_the_versions() {
    let relay = Relay::start(&OPEN.replace("[server]", "[server]\nversion = [\"moq-lite-04\", \"moq-lite-05\"]"));
    story(async {
        let both = [Version::Lite06, Version::Lite05, Version::Lite04];
        for over in [Over::Quic, Over::WebSocket] {
            let peer = Peer::try_join(&relay, over, &both, "/").await.unwrap();
            assert_eq!(peer.version, Version::Lite04, "{over:?}: the relay's order");
        }
        assert!(Peer::try_join(&relay, Over::WebSocket, &[Version::Lite06], "/").await.is_err());
    });
}

#[test]
fn a_viewer_that_hangs_holds_nobody_back() {
    let relay = &Relay::start(OPEN);
    let (hangs, is_hanging) = std::sync::mpsc::sync_channel(1);
    let (release, released) = std::sync::mpsc::sync_channel::<()>(1);
    let hung = async move || {
        let lazy = Peer::join(relay, Over::WebTransport, Version::Lite05, "/").await;
        let _unread = lazy.watch("room").await;
        hangs.send(()).unwrap();
        // Blocks the thread, so that nothing is read or acknowledged.
        released.recv().unwrap_err();
    };
    let others = async move || {
        let publisher = Peer::join(relay, Over::WebTransport, Version::Lite05, "/").await;
        let room = publisher.publish("room");
        let viewer = Peer::join(relay, Over::WebTransport, Version::Lite05, "/").await;
        let mut groups = viewer.watch("room").await;
        while is_hanging.try_recv().is_err() {
            tokio::time::sleep(A_WHILE / 20).await;
        }

        let frame = vec![7u8; 256 << 10];
        for _ in 0..64 {
            room.video.append_group().write_all([frame.clone()]);
            assert_eq!(next(&mut groups).await, [&frame[..]]);
        }
        drop(release);
    };
    std::thread::scope(|threads| {
        threads.spawn(move || story(hung()));
        story(others());
    });
}

#[test]
fn a_stopping_relay_takes_its_leave() {
    for over in Over::ALL {
        let mut relay = Relay::start(&wide(OPEN));
        story(async {
            let peer = Peer::join(&relay, over, Version::Lite05, "/").await;
            // The relay has it open once something came through.
            let _room = peer.publish("room");
            while relay.get("/announced").body.is_empty() {
                tokio::time::sleep(A_WHILE / 20).await;
            }
            relay.signal("TERM");

            assert_eq!(peer.ended().await, Ok(()), "{over:?}");
        });
        assert_eq!(relay.wait().code(), Some(0), "{over:?}\n{}", relay.log());
        assert!(relay.log().contains(": stopped"), "{}", relay.log());
    }
}

#[test]
fn the_log_tells_who_came_and_went_and_never_a_token() {
    let mut relay = Relay::start(OPEN);
    story(async {
        let peer = Peer::join(&relay, Over::WebSocket, Version::Lite05, "/room").await;
        let _room = peer.publish("cam");
        while relay.get("/announced").body.is_empty() {
            tokio::time::sleep(A_WHILE / 20).await;
        }
        peer.closer.close(close::session::NO_ERROR, "bye");
        assert!(Peer::try_join(&relay, Over::WebTransport, &[Version::Lite05], "/room?jwt=sesame").await.is_err());
    });
    relay.signal("TERM");
    relay.wait();

    let log = relay.log();
    for part in ["transport=websocket", "session open version=moq-lite-05 root=room", "session closed", "turned away"] {
        assert!(log.contains(part), "{part} is not in\n{log}");
    }
    assert!(!log.contains("sesame"), "{log}");
}
