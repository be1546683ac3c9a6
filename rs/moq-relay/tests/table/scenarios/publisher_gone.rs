//! A publisher goes in the middle of a group: its viewers are told so, and find the next one at the same path.

use moq_lite::model::group::GroupError;
use moq_proto::{CloseCode, close};

use crate::{
    lanes::Stage,
    media::{assert_frame, assert_whole, frame, next, publish, receive},
    peer::{Peer, soon, until},
};

/// What viewers are told. Which it is depends on what the relay hears first, the end of the streams or of the session; and on whether
/// the viewer has asked once more for what was broken off, to which there is no way then.
const GONE: [CloseCode; 3] = [close::stream::CANCELLED, close::stream::SESSION_CLOSED, close::stream::UNROUTABLE];

/// How it goes.
const GOES: [fn(Peer); 3] = [
    |publisher| publisher.closer.close(close::session::NO_ERROR, "bye"),
    |publisher| publisher.closer.close(CloseCode::new(77), "a code of the application"),
    Peer::vanish,
];

pub(crate) async fn story(stage: Stage) {
    let viewer = stage.viewer().await;
    let path = stage.path("room");
    for (seed, goes) in (1..).zip(GOES) {
        let publisher = stage.publisher().await;
        let room = publisher.publish(&path);
        let mut groups = viewer.watch(&path).await;
        let whole = publish(&room.video, seed);
        receive(&mut groups, seed, whole).await;
        let mut open = room.video.append_group();
        open.write_frame(frame(seed, 1, 0), None).unwrap();
        let mut seen = next(&mut groups).await;
        assert_frame(&mut seen, seed, 0).await;

        goes(publisher);

        let cut = soon("the end of the group", seen.next_frame()).await;
        assert!(matches!(cut, Err(GroupError::Reset { sequence: 1, code }) if GONE.contains(&code)), "{cut:?}, not finished");
        assert!(soon("the end of the track", groups.next()).await.is_none());
        let ended = groups.track().ended();
        assert!(matches!(ended, Some(Err(code)) if GONE.contains(&code)), "{ended:?}");
        let (view, path) = (viewer.view(), path.parse().unwrap());
        until("the broadcast is withdrawn", || view.consume(&path).is_none()).await;
    }

    let successor = stage.publisher().await;
    let room = successor.publish(&path);
    let mut groups = viewer.watch(&path).await;
    publish(&room.video, 9);
    assert_whole(next(&mut groups).await, 9).await;
}
