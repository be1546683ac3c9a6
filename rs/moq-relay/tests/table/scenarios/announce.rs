//! A broadcast is announced, is reached another and better way, the first way again, ends, and is announced anew.

use moq_lite::model::{
    broadcast,
    origin::{Announced, Change},
    route::Route,
};
use moq_proto::{Cost, HopChain, HopId, Path};

use crate::{
    lanes::{Skill, Stage},
    media::{publish, receive},
    peer::{Peer, soon},
};

/// Where the broadcast comes from, by either way.
const SOURCE: u64 = 0x50_0c3e;

/// What is announced after each change, and so heard after it: in between stands all that was heard of the change.
const MARKER: &str = "zz";

pub(crate) async fn story(stage: Stage) {
    let (viewer, one, other) = (stage.viewer().await, stage.publisher().await, stage.publisher().await);
    let path = stage.path("room");
    let mut news = viewer.view().announced(&stage.corner(), true);

    let long = [SOURCE, 0x1a7e];
    let room = one.publish_as(&path, route(&long));
    started(&mut news).await;
    let first = Seen::now(&viewer, &path);
    if stage.both_can(Skill::NameHops) {
        assert_eq!(first.route.publisher(), Some(hop(SOURCE)), "the publisher is named");
        assert_eq!(first.route.hops.len(), long.len() + 2, "on the way are its sender and the relay");
    }
    let mut groups = viewer.watch(&path).await;
    let sequence = publish(&room.video, 1);
    receive(&mut groups, 1, sequence).await;

    let better = other.publish_as(&path, route(&[SOURCE]));
    let sign = other.publish(&stage.path(MARKER));
    let second = first.changes(&stage, &mut news, &viewer, &path).await;
    if stage.publisher_can(Skill::NameHops) && stage.viewer_can(Skill::Reroute) {
        assert_eq!(second.route.hops.len(), first.route.hops.len() - 1, "the shorter way");
    }

    drop(better);
    drop(sign);
    let third = second.changes(&stage, &mut news, &viewer, &path).await;
    if stage.both_can(Skill::NameHops) {
        assert_eq!(third.route, first.route, "the way that is left");
    }

    drop(room);
    let end = soon("the end", news.next()).await.unwrap();
    assert_eq!(end, Change::End { path: "room".parse().unwrap() });
    let _again = one.publish_as(&path, route(&long));
    started(&mut news).await;
}

fn hop(id: u64) -> HopId {
    HopId::try_from(id).unwrap()
}

fn route(hops: &[u64]) -> Route {
    let hops = HopChain::try_from_iter(hops.iter().copied().map(hop)).unwrap();
    Route { hops, cost: Cost::LIVE, local: false }
}

async fn started(news: &mut Announced) {
    match soon("an announcement", news.next()).await.unwrap() {
        Change::Start { path, .. } => assert_eq!(path.as_str(), "room"),
        other => panic!("the broadcast starts, rather than {other:?}"),
    }
}

/// What a viewer holds at a path.
#[derive(Debug, PartialEq)]
struct Seen {
    route: Route,
    broadcast: broadcast::Id,
}

impl Seen {
    fn now(viewer: &Peer, path: &str) -> Self {
        let path: Path = path.parse().unwrap();
        let route = viewer.routes(&path).swap_remove(0);
        Self { route, broadcast: viewer.view().consume(&path).unwrap().id() }
    }

    /// Waits for what the viewer hears when another way has become the best, and returns what it holds then.
    async fn changes(&self, stage: &Stage, news: &mut Announced, viewer: &Peer, path: &str) -> Self {
        let mut heard = Vec::new();
        loop {
            match soon("the marker", news.next()).await.unwrap() {
                Change::Start { path, .. } | Change::End { path } if path.as_str() == MARKER => break,
                change => heard.push(change),
            }
        }
        let then = Self::now(viewer, path);
        if !stage.publisher_can(Skill::NameHops) {
            // Nobody can know that both ways lead to the same source.
            assert_ne!(then.broadcast, self.broadcast, "another broadcast: {heard:?}");
        } else if stage.viewer_can(Skill::Reroute) {
            assert!(matches!(heard[..], [Change::Update { .. }]), "{heard:?}");
            assert_eq!((then.broadcast, then.route.publisher()), (self.broadcast, self.route.publisher()), "the same broadcast");
        } else {
            assert_eq!(heard, [], "the content is the same, so nothing can be said");
            assert_eq!(then, *self);
        }
        then
    }
}
