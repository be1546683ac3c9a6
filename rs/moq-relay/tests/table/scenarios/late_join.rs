//! A viewer that comes late gets the newest group from its first frame, whether it is still open or not, and then goes on.

use moq_lite::model::demand::Ask;

use crate::{
    lanes::Stage,
    media::{FRAMES, assert_frame, assert_whole, frame, next, publish, receive},
};

pub(crate) async fn story(stage: Stage) {
    let (publisher, early, late, last) =
        (stage.publisher().await, stage.viewer().await, stage.viewer().await, stage.viewer().await);
    let path = stage.path("room");
    let room = publisher.publish(&path);
    let mut groups = early.watch(&path).await;
    let old = publish(&room.video, 1);
    receive(&mut groups, 1, old).await;

    let mut open = room.video.append_group();
    let sequence = open.sequence();
    for index in 0..FRAMES / 2 {
        open.write_frame(frame(1, sequence, index), None).unwrap();
    }
    let mut seen = next(&mut groups).await;
    for index in 0..FRAMES / 2 {
        assert_frame(&mut seen, 1, index).await;
    }

    // In the middle of a group: from its first frame, before there is more of it.
    let mut newcomer = late.watch(&path).await;
    let mut caught_up = next(&mut newcomer).await;
    assert_eq!(caught_up.sequence(), sequence);
    for index in 0..FRAMES / 2 {
        assert_frame(&mut caught_up, 1, index).await;
    }
    for index in FRAMES / 2..FRAMES {
        open.write_frame(frame(1, sequence, index), None).unwrap();
        assert_frame(&mut seen, 1, index).await;
        assert_frame(&mut caught_up, 1, index).await;
    }
    open.finish();
    assert_eq!(caught_up.next_frame().await, Ok(None));

    // Between two groups: the one that is over, then the next.
    let mut another = last.watch_as(&path, Ask::default()).await;
    assert_whole(next(&mut another).await, 1).await;
    let newest = publish(&room.video, 1);
    for groups in [&mut groups, &mut newcomer, &mut another] {
        receive(groups, 1, newest).await;
    }
}
