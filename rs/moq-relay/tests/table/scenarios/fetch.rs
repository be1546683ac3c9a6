//! One group, whenever it was: from the publisher, and from what the relay keeps.

use moq_lite::model::track;
use moq_proto::close;

use crate::{
    lanes::{Skill, Stage},
    media::{assert_whole, publish, receive_up_to},
    peer::{Peer, soon},
};

pub(crate) async fn story(stage: Stage) {
    let (publisher, viewer, other) = (stage.publisher().await, stage.viewer().await, stage.viewer().await);
    let path = stage.path("room");
    let room = publisher.publish(&path);
    for _ in 0..3 {
        publish(&room.video, 1);
    }

    // Nobody has watched yet, so this is the publisher's to give.
    let track = found(&viewer, &path).await;
    let fetched = soon("an answer", track.fetch(1)).await;
    if stage.both_can(Skill::Fetch) {
        assert_whole(fetched.unwrap(), 1).await;
    } else {
        assert_eq!(fetched.unwrap_err().code, close::stream::NOT_FOUND);
    }
    let missing = soon("an answer", track.fetch(17)).await;
    assert_eq!(missing.unwrap_err().code, close::stream::NOT_FOUND, "a group that never was");

    // What the relay keeps is its to give, whatever the publisher speaks.
    let mut groups = viewer.watch(&path).await;
    receive_up_to(&mut groups, 1, 2).await;
    let track = found(&other, &path).await;
    let fetched = soon("an answer", track.fetch(2)).await;
    if stage.viewer_can(Skill::Fetch) {
        assert_whole(fetched.unwrap(), 1).await;
    } else {
        assert_eq!(fetched.unwrap_err().code, close::stream::NOT_FOUND);
    }
}

async fn found(viewer: &Peer, path: &str) -> track::Consumer {
    let view = viewer.view();
    let broadcast = soon(path, view.consume_wait(&path.parse().unwrap())).await;
    soon("the track", broadcast.track("video")).await.unwrap()
}
