//! A publisher asks the relay to leave: what it publishes goes on, and is nobody's first choice any more.

use crate::{
    lanes::{Skill, Stage},
    media::{publish, receive, receive_up_to},
    peer::until,
};

pub(crate) async fn story(stage: Stage) {
    let (viewer, newcomer) = (stage.viewer().await, stage.viewer().await);
    let (backup, leaving) = (stage.publisher().await, stage.publisher().await);
    let path = stage.path("room");
    let heard = |viewer: &crate::peer::Peer| viewer.view().consume(&path.parse().unwrap()).map(|broadcast| broadcast.id());

    // Of two that are equally far, the newer is better.
    let other = backup.publish(&path);
    until("the first publisher is heard of", || heard(&viewer).is_some()).await;
    let first = heard(&viewer);
    let room = leaving.publish(&path);
    until("the second publisher is heard of", || heard(&viewer).is_some() && heard(&viewer) != first).await;
    let before = heard(&viewer);
    let mut groups = viewer.watch(&path).await;
    let sequence = publish(&room.video, 1);
    receive(&mut groups, 1, sequence).await;

    leaving.closer.go_away("");
    let seed = if stage.publisher_can(Skill::GoAway) {
        until("the relay chooses the other", || heard(&viewer).is_some() && heard(&viewer) != before).await;
        2
    } else {
        1
    };
    let sequence = publish(&room.video, 1);
    receive(&mut groups, 1, sequence).await;
    until("the newcomer is told", || heard(&newcomer).is_some()).await;
    let mut theirs = newcomer.watch(&path).await;
    let video = if seed == 1 { &room.video } else { &other.video };
    let sequence = publish(video, seed);
    receive_up_to(&mut theirs, seed, sequence).await;

    // With nobody else left, its routes are as good as any.
    drop(other);
    backup.vanish();
    let last = stage.viewer().await;
    let mut groups = last.watch(&path).await;
    let sequence = publish(&room.video, 1);
    receive_up_to(&mut groups, 1, sequence).await;
}
