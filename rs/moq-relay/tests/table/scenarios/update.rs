//! A subscription with bounds is given what lies within them, and what lies within others once it asks for those.

use std::time::Duration;

use moq_lite::model::demand::{Ask, Demand, Start};

use crate::{
    lanes::{Skill, Stage},
    media::{publish, receive},
    peer::{Published, soon, until},
};

/// Old groups are wanted too, so that what is missing was not asked for.
const AGE: Option<Duration> = Some(Duration::from_secs(5));

pub(crate) async fn story(stage: Stage) {
    let (publisher, viewer, witness) = (stage.publisher().await, stage.viewer().await, stage.viewer().await);
    let path = stage.path("room");
    let room = publisher.publish(&path);

    let narrow = Ask { priority: 9, max_age: AGE, start: Start::At(1), end: Some(2) };
    let mut bounded = viewer.watch_as(&path, narrow).await;
    let demand = demanded(&room).await;
    assert_eq!(demand.priority, 9, "every version says it");
    if stage.both_can(Skill::Bound) {
        assert_eq!(demand, Demand { priority: 9, max_age: AGE, start: Start::At(1), end: Some(2) });
    } else {
        assert_eq!((demand.start, demand.end), (Start::Latest, None), "a bound that could not be said");
    }

    // One without bounds tells when a group has passed the relay.
    let mut all = witness.watch_as(&path, Ask { max_age: AGE, ..Ask::default() }).await;
    if stage.publisher_can(Skill::Update) {
        until("the publisher hears of both", || room.video.demand().is_some_and(|demand| demand.priority == 127)).await;
    } else {
        assert_eq!(demanded(&room).await.priority, 9, "what was asked first stands");
    }
    for sequence in 0..4 {
        publish(&room.video, 1);
        receive(&mut all, 1, sequence).await;
    }
    receive(&mut bounded, 1, 1).await;
    receive(&mut bounded, 1, 2).await;
    let received = || bounded.track().group(3).is_some();
    if stage.viewer_can(Skill::Bound) {
        assert!(!received(), "a group beyond the end");
    } else {
        until("the relay, which knows of no end, sends all", received).await;
    }

    drop(all);
    bounded.update(Ask { priority: 200, end: None, ..narrow });
    receive(&mut bounded, 1, 3).await;
    let urgent = || room.video.demand().is_some_and(|demand| demand.priority == 200);
    if stage.both_can(Skill::Update) {
        until("the publisher hears of the new priority", urgent).await;
        assert_eq!(demanded(&room).await.end, None);
    }
    publish(&room.video, 1);
    receive(&mut bounded, 1, 4).await;
    assert_eq!(urgent(), stage.both_can(Skill::Update));
}

/// What the publisher is asked for, once it is.
async fn demanded(room: &Published) -> Demand {
    soon("a subscription", async {
        let mut seen = 0;
        loop {
            if let Some(demand) = std::future::poll_fn(|cx| room.video.poll_demand(cx, &mut seen)).await {
                return demand;
            }
        }
    })
    .await
}
