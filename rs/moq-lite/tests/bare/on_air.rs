//! A track on air: a bare publisher behind a relay, a reader of its own, and bare viewers who hear what is said of it.

use std::{future::Future, time::Duration};

use bytes::BytesMut;
use futures::FutureExt;
use moq_lite::{
    model::{
        demand::{self, Ask},
        track,
    },
    testing::{
        memory::{RecvStream, SendStream},
        pair::story,
    },
    transport::{SendStream as _, StreamError},
};
use moq_proto::{
    VarInt, Version, close,
    lite::message::{SubscribeDrop, SubscribeOptions, SubscribeReply},
};
use tokio::time::Instant;

use super::{Peer, Server, everything, read, settle, soon};

/// The versions that say where a track ends.
pub(crate) const ENDING: [Version; 2] = [Version::Lite05, Version::Lite06];

/// A bare publisher of "live", and what the relay asked it for on behalf of one reader.
pub(crate) struct OnAir {
    pub(crate) server: Server,
    pub(crate) publisher: Peer,
    pub(crate) groups: track::Subscription,
    pub(crate) id: VarInt,
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
    _announced: (SendStream, RecvStream),
}

impl OnAir {
    /// With a reader who accepts groups of great age, and who would be kept waiting for one for as long.
    pub(crate) async fn new(version: Version) -> Self {
        let server = Server::new();
        let mut publisher = server.join(version).await;
        let announced = publisher.announce("live").await;
        let live = server.heard("live").await;
        let ask = Ask { start: demand::Start::At(0), max_age: Some(Duration::from_secs(10)), ..Ask::default() };
        let (groups, (id, (send, recv))) =
            tokio::join!(async { soon("the track", live.track("video")).await.unwrap().subscribe(ask) }, publisher.asked(),);
        Self { server, publisher, groups, id, send, recv, _announced: announced }
    }

    pub(crate) async fn say(&mut self, reply: SubscribeReply) {
        self.publisher.reply(&mut self.send, &reply).await;
    }

    pub(crate) async fn group(&mut self, sequence: u32) {
        self.publisher.send_group(self.id, sequence, sequence * 1000).await;
    }

    /// A viewer of everything, beside the reader.
    pub(crate) async fn viewer(&mut self, version: Version) -> Viewer {
        self.viewer_of(version, everything()).await
    }

    /// A viewer, beside the reader.
    pub(crate) async fn viewer_of(&mut self, version: Version, options: SubscribeOptions) -> Viewer {
        Viewer::join(&self.server, version, options).await
    }

    /// The publisher ends the subscription, and is asked for another.
    pub(crate) async fn asked_again(&mut self) {
        self.send.finish().unwrap();
        let (id, (send, recv)) = self.publisher.asked().await;
        (self.id, self.send, self.recv) = (id, send, recv);
    }

    /// The sequences of the groups until the track ends, and how long its end was waited for.
    pub(crate) async fn rest(&mut self) -> (Vec<u64>, Duration) {
        let (began, mut sequences) = (Instant::now(), Vec::new());
        while let Some(group) = soon("the end", self.groups.next()).await {
            sequences.push(group.sequence());
        }
        (sequences, began.elapsed())
    }
}

/// A bare viewer of "live".
pub(crate) struct Viewer {
    pub(crate) peer: Peer,
    pub(crate) send: SendStream,
    recv: RecvStream,
    heard: BytesMut,
}

impl Viewer {
    /// Asks a server for "live" as soon as it has heard of it.
    pub(crate) async fn join(server: &Server, version: Version, options: SubscribeOptions) -> Self {
        server.heard("live").await;
        Self::of(server.join(version).await, "live", options).await
    }

    pub(crate) async fn of(mut peer: Peer, broadcast: &str, options: SubscribeOptions) -> Self {
        let (send, recv) = peer.subscribe_to(broadcast, 0, "video", options).await;
        settle().await;
        Self { peer, send, recv, heard: BytesMut::new() }
    }

    /// The next replies are these.
    pub(crate) async fn hears(&mut self, replies: &[SubscribeReply]) {
        let said: Vec<u8> = replies.iter().flat_map(|reply| self.peer.version.dialect().reply.to_wire(reply)).collect();
        while self.heard.len() < said.len() {
            self.heard.extend_from_slice(&soon("replies", read(&mut self.recv, 1)).await.unwrap());
        }
        assert_eq!(self.heard.split_to(said.len()), said, "{}: {replies:?}", self.peer.version);
    }

    /// Whether nothing has been said that was not heard yet.
    pub(crate) fn hears_nothing(&mut self) -> bool {
        self.heard.is_empty() && read(&mut self.recv, 1).now_or_never().is_none()
    }

    /// Nothing more is said, and the subscription ends in this way.
    pub(crate) async fn ends(&mut self) -> Result<(), StreamError> {
        assert!(self.heard.is_empty(), "{}: {:x?}", self.peer.version, self.heard);
        match soon("an end", read(&mut self.recv, 1)).await {
            Ok(more) => panic!("{}: {more:x?}", self.peer.version),
            Err(StreamError::Closed) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The sequences of the groups that are here.
    pub(crate) fn groups(&mut self) -> Vec<u64> {
        self.peer.arrived().iter().map(|group| group.sequence).collect()
    }
}

/// Runs a story for each pair of a publisher and a viewer whose versions say where a track ends.
pub(crate) async fn each_pair<F: Future<Output = ()>>(told: impl Fn(Version, Version) -> F) {
    for publisher in ENDING {
        for viewer in ENDING {
            story(told(publisher, viewer)).await;
        }
    }
}

pub(crate) fn start(group: u32) -> SubscribeReply {
    SubscribeReply::Start { group: VarInt::from_u32(group) }
}

pub(crate) fn end(group: u32) -> SubscribeReply {
    SubscribeReply::End { group: VarInt::from_u32(group) }
}

/// The groups from `first` to `last` will not come.
pub(crate) fn dropped(first: u32, last: u32) -> SubscribeReply {
    let (start, end) = (VarInt::from_u32(first), VarInt::from_u32(last));
    SubscribeReply::Drop(SubscribeDrop { start, end, code: VarInt::from_u32(close::stream::OLD.get()) })
}
