//! Viewers leave: those who stay notice nothing, the publisher is rid of the last, and whoever comes back is served anew.

use crate::{
    lanes::Stage,
    media::{FRAMES, assert_frame, assert_whole, frame, next, publish, receive},
    peer::until,
};

pub(crate) async fn story(stage: Stage) {
    let (publisher, fickle, faithful) = (stage.publisher().await, stage.viewer().await, stage.viewer().await);
    let path = stage.path("room");
    let room = publisher.publish(&path);
    let (mut leaving, mut staying) = (fickle.watch(&path).await, faithful.watch(&path).await);
    let sequence = publish(&room.video, 1);
    receive(&mut leaving, 1, sequence).await;
    receive(&mut staying, 1, sequence).await;

    // One leaves in the middle of a group.
    let mut open = room.video.append_group();
    open.write_frame(frame(1, 1, 0), None).unwrap();
    let (mut left, mut kept) = (next(&mut leaving).await, next(&mut staying).await);
    assert_frame(&mut left, 1, 0).await;
    assert_frame(&mut kept, 1, 0).await;
    drop((left, leaving));
    for index in 1..FRAMES - 1 {
        open.write_frame(frame(1, 1, index), None).unwrap();
        assert_frame(&mut kept, 1, index).await;
    }
    assert!(room.video.demand().is_some());

    drop((kept, staying));
    until("the publisher is asked no more", || room.video.demand().is_none()).await;

    // Whoever comes back gets the group that is still open, from its first frame.
    let mut back = fickle.watch(&path).await;
    until("the publisher is asked again", || room.video.demand().is_some()).await;
    let mut again = next(&mut back).await;
    for index in 0..FRAMES - 1 {
        assert_frame(&mut again, 1, index).await;
    }
    open.write_frame(frame(1, 1, FRAMES - 1), None).unwrap();
    open.finish();
    assert_frame(&mut again, 1, FRAMES - 1).await;
    assert_eq!(again.next_frame().await, Ok(None));
    publish(&room.video, 1);
    assert_whole(next(&mut back).await, 1).await;
}
