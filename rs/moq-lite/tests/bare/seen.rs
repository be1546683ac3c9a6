//! What a peer sees of the groups it is given: their headers, their frames, how their streams end.

use std::{future::poll_fn, time::Duration};

use bytes::BytesMut;
use moq_lite::{
    testing::memory::RecvStream,
    transport::{Connection as _, RecvStream as _, StreamError},
};
use moq_proto::{Framing, Prefix, lite};
use tokio::time::timeout;

use super::{Peer, SETTLED, soon};

/// How much of a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// More may come.
    Open,
    Finished,
    Reset(u32),
}

/// What came on a stream that carries frames: those that are whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frames {
    /// Each with its time, or 0 where the version has none.
    pub(crate) frames: Vec<(i64, String)>,
    pub(crate) end: End,
}

/// A group that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) sequence: u64,
    /// The index of the first frame on its stream.
    pub(crate) first: u64,
    pub(crate) frames: Frames,
}

/// What a stream holds until nothing more comes for a while.
async fn all(stream: &mut RecvStream) -> (BytesMut, End) {
    let (mut burst, mut bytes) = (Vec::new(), BytesMut::new());
    loop {
        let end = match timeout(SETTLED, poll_fn(|cx| stream.poll_read(cx, &mut burst))).await {
            Err(_) => End::Open,
            Ok(Ok(false)) => End::Finished,
            Ok(Err(StreamError::Reset(code))) => End::Reset(code),
            Ok(Err(error)) => panic!("{error}"),
            Ok(Ok(true)) => {
                burst.drain(..).for_each(|chunk| bytes.extend_from_slice(&chunk));
                continue;
            }
        };
        return (bytes, end);
    }
}

fn taken_apart(framing: Framing, mut bytes: &[u8], end: End) -> Frames {
    let (mut frames, mut time) = (Vec::new(), 0);
    while let Some((head, length)) = framing.read_head(bytes).unwrap() {
        let Some((payload, rest)) = bytes[length..].split_at_checked(head.size as usize) else { break };
        time += head.delta.unwrap_or(0);
        frames.push((time, String::from_utf8(payload.to_vec()).unwrap()));
        bytes = rest;
    }
    assert!(bytes.is_empty() || end != End::Finished, "an end inside a frame");
    Frames { frames, end }
}

impl Peer {
    /// The frames that a stream holds until nothing more comes for a while.
    pub(crate) async fn frames(&self, stream: &mut RecvStream) -> Frames {
        let (bytes, end) = all(stream).await;
        taken_apart(self.dialect.framing, &bytes, end)
    }

    /// The next group, as far as it comes without anything else happening.
    pub(crate) async fn see(&mut self) -> Seen {
        self.see_stream().await.0
    }

    /// As [`see`](Self::see), with the stream on which the rest comes.
    pub(crate) async fn see_stream(&mut self) -> (Seen, RecvStream) {
        let mut stream = soon("a group", poll_fn(|cx| self.bare.connection.poll_accept_uni(cx))).await.unwrap();
        let (bytes, end) = all(&mut stream).await;
        let mut prefix = Prefix::new(&bytes);
        assert_eq!(prefix.varint().unwrap(), lite::stream::GROUP);
        let size = prefix.varint().unwrap().get() as usize;
        let (header, body) = bytes[prefix.consumed()..].split_at(size);
        let header = self.dialect.group.decode(header).unwrap();
        let frames = taken_apart(self.dialect.framing, body, end);
        (Seen { sequence: header.sequence.get(), first: header.frame_start.get(), frames }, stream)
    }

    /// Whether no group comes for a while.
    pub(crate) async fn sees_nothing(&mut self) -> bool {
        let stream = timeout(Duration::from_secs(1), poll_fn(|cx| self.bare.connection.poll_accept_uni(cx)));
        stream.await.is_err()
    }
}
