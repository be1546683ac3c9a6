//! A group in a datagram goes on in one, to those who can have it, and never on a stream.

use std::time::{Duration, Instant};

use bytes::Bytes;
use moq_lite::model::demand::Ask;
use moq_proto::Timestamp;

use crate::{
    lanes::{Skill, Stage},
    media::{assert_whole, frames},
    peer::{soon, until},
};

/// As much as every path carries.
const PAYLOAD: Bytes = Bytes::from_static(&[0xa5; 1_000]);

/// How long one may be under way before it counts as lost, which datagrams may be.
const RESEND: Duration = Duration::from_millis(100);

pub(crate) async fn story(stage: Stage) {
    let (publisher, viewer) = (stage.publisher().await, stage.viewer().await);
    let path = stage.path("room");
    let room = publisher.publish(&path);
    let ask = Ask { max_age: Some(Duration::from_secs(60)), ..Ask::default() };
    let mut groups = viewer.watch_as(&path, ask).await;
    until("the track is asked for", || room.video.demand().is_some()).await;

    let (mut sequence, time) = (6, Timestamp::try_from(40).unwrap());
    let mut send = |payload| {
        sequence += 1;
        room.video.datagram(sequence, time, payload, Instant::now()).unwrap();
        sequence
    };
    if stage.both_can(Skill::Datagram) {
        let mut group = soon("a datagram", async {
            loop {
                send(PAYLOAD);
                if let Ok(group) = tokio::time::timeout(RESEND, groups.next()).await {
                    return group.unwrap();
                }
            }
        })
        .await;
        assert!(group.is_datagram());
        let frame = group.next_frame().await.unwrap().unwrap();
        assert_eq!((frame.timestamp, frame.payload), (time, PAYLOAD));
        assert_eq!(group.next_frame().await, Ok(None), "one frame is all there is");
    }
    // Too large for any datagram, it is lost; and so is every one where a version has none.
    let lost = [send(PAYLOAD), send(Bytes::from_static(&[0; 5_000]))];
    let last = lost[1] + 1;
    room.video.create_group(last).unwrap().write_all(frames(1, last));
    let newest = loop {
        let group = soon("the group on a stream", groups.next()).await.unwrap();
        match group.is_datagram() {
            true => assert!(stage.both_can(Skill::Datagram) && group.sequence() < lost[1]),
            false => break group,
        }
    };
    assert_eq!(newest.sequence(), last);
    assert_whole(newest, 1).await;
    assert!(groups.track().group(lost[1]).is_none());
}
