//! PROBE: what a session reports of its side of the path, and to whom.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::time::Duration;

use bare::{Server, drain, read, reset, soon, write};
use moq_lite::{
    testing::{
        memory::{self, RecvStream},
        pair::{self, story},
    },
    transport::SendStream as _,
};
use moq_proto::{
    VarInt, Version,
    lite::{self, message::Probe},
};
use tokio::time::{Instant, timeout};

/// The versions that have PROBE.
const WITH: [Version; 4] = [Version::Lite03, Version::Lite04, Version::Lite05, Version::Lite06];

const RTT: Duration = Duration::from_millis(25);

fn measured(version: Version, rtt: Option<Duration>) -> memory::Options {
    memory::Options { rtt, ..pair::options(version) }
}

fn probe() -> [u8; 1] {
    [lite::stream::PROBE.get() as u8]
}

async fn report(version: Version, stream: &mut RecvStream) -> Probe {
    let wire = soon("a report", read(stream, 1)).await.unwrap();
    assert_eq!(wire.len(), 1 + usize::from(wire[0]), "{version}: one report");
    version.dialect().probe.as_ref().unwrap().decode(&wire[1..]).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_report_comes_at_once_and_again_every_ten_seconds() {
    for version in WITH {
        story(async {
            let server = Server::new();
            let mut peer = server.join_over(version, measured(version, Some(RTT))).await;
            let (mut send, mut recv) = peer.bare.open_bi(&probe()).await;
            // moq-lite-03 has no place for the round trip.
            let rtt = if version >= Version::Lite04 { VarInt::from_u32(25) } else { VarInt::ZERO };
            let asked = Instant::now();
            assert_eq!(report(version, &mut recv).await, Probe { bitrate: VarInt::ZERO, rtt }, "{version}");
            assert!(asked.elapsed() < Duration::from_millis(100), "{version}");

            // What the peer would like instead changes nothing.
            let target = Probe { bitrate: VarInt::from_u32(1_000_000), rtt: VarInt::ZERO };
            write(&mut send, &version.dialect().probe.as_ref().unwrap().to_wire(&target)).await;
            report(version, &mut recv).await;
            let pause = asked.elapsed().as_secs_f64();
            assert!((9.9..10.2).contains(&pause), "{version}: {pause} s");

            send.finish().unwrap();
            assert_eq!(soon("the end", drain(&mut recv)).await, Ok(()), "{version}");
            assert!(!peer.bare.served.is_finished(), "{version}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_known_nothing_is_reported() {
    for version in WITH {
        story(async {
            let server = Server::new();
            let mut peer = server.join_over(version, measured(version, None)).await;
            let (_send, mut recv) = peer.bare.open_bi(&probe()).await;
            let said = timeout(Duration::from_secs(60), read(&mut recv, 1)).await;
            assert!(said.is_err(), "{version}: {said:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn before_03_there_is_no_probe() {
    for version in [Version::Lite01, Version::Lite02] {
        story(async {
            let server = Server::new();
            let mut peer = server.join_over(version, measured(version, Some(RTT))).await;
            let (_send, mut recv) = peer.bare.open_bi(&probe()).await;
            assert_eq!(reset(&mut recv).await, Some(1), "{version}");
            assert!(!peer.bare.served.is_finished(), "{version}");
        })
        .await;
    }
}
