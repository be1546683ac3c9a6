//! Inbound: a peer's group streams, into the model.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::poll_fn,
    rc::Rc,
};

use bytes::Bytes;
use moq_proto::{CloseCode, VarInt, close};
use tokio::sync::watch;

use super::{
    Error,
    clock::now,
    error::Failure,
    shared::{Shared, in_time},
    stream::Receiver,
};
use crate::{
    model::{
        subgroup::{self, AppendError},
        track,
    },
    stats::count,
    transport::{Connection, RecvStream, StreamError},
};

/// What we ask of the peer: which track a subscribe id stands for.
#[derive(Default)]
pub(super) struct Subscriptions {
    next: Cell<u64>,
    feeds: Rc<RefCell<HashMap<u64, Feed>>>,
}

struct Feed {
    track: track::Producer,
    groups: Rc<Cell<u64>>,
    /// Dropped with the feed, which those who read its groups notice.
    open: watch::Sender<()>,
}

impl Subscriptions {
    /// Makes an id known, before its SUBSCRIBE leaves: groups can arrive first.
    pub(super) fn register(&self, track: track::Producer) -> Registered {
        let id = self.next.replace(self.next.get() + 1);
        let groups = Rc::new(Cell::new(0));
        self.feeds.borrow_mut().insert(id, Feed { track, groups: groups.clone(), open: watch::Sender::new(()) });
        Registered { id, groups, feeds: self.feeds.clone() }
    }
}

/// One subscribe id in use. Dropping it closes it: later groups are not wanted, nor is the rest of those that are open. Whoever
/// asks anew gets them from their first frame.
pub(super) struct Registered {
    id: u64,
    groups: Rc<Cell<u64>>,
    feeds: Rc<RefCell<HashMap<u64, Feed>>>,
}

impl Registered {
    pub(super) fn id(&self) -> VarInt {
        VarInt::saturating(self.id)
    }

    /// Groups that have arrived for this id.
    pub(super) fn groups(&self) -> u64 {
        self.groups.get()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.feeds.borrow_mut().remove(&self.id);
    }
}

/// Takes in the datagrams of a session. What belongs to nothing or makes no sense is dropped.
pub(super) async fn datagrams<C: Connection>(shared: Rc<Shared<C>>) -> Result<(), Error> {
    let Some(layout) = &shared.dialect.datagram else { return Ok(()) };
    let mut connection = shared.connection.clone();
    loop {
        let payload = poll_fn(|cx| connection.poll_recv_datagram(cx)).await?;
        let Ok(datagram) = layout.decode(&payload) else { continue };
        let feeds = shared.subscriptions.feeds.borrow();
        if let Some(feed) = feeds.get(&datagram.subscribe.get()) {
            count(&shared.stats.counters().received_bytes, payload.len() as u64);
            let taken = feed.track.datagram(datagram.sequence.get(), datagram.timestamp, datagram.payload, now());
            feed.groups.set(feed.groups.get() + u64::from(taken.is_ok()));
        }
    }
}

/// Serves one group stream, past its type. On failure the stream comes back, to be stopped.
pub(super) async fn group<C: Connection>(
    shared: &Shared<C>,
    mut receiver: Receiver<C::RecvStream>,
) -> Result<(), (Receiver<C::RecvStream>, Failure)> {
    let header = match in_time(receiver.first(&shared.dialect.group)).await {
        Ok(header) => header,
        Err(failure) => return Err((receiver, failure)),
    };
    let created = {
        let feeds = shared.subscriptions.feeds.borrow();
        feeds.get(&header.subscribe.get()).and_then(|feed| {
            let group = feed.track.create_group(header.sequence.get()).ok()?;
            feed.groups.set(feed.groups.get() + 1);
            Some((group, feed.open.subscribe()))
        })
    };
    // Unsubscribed meanwhile, never asked for, or here already: not wanted.
    let Some((mut group, mut open)) = created else {
        return Err((receiver, Failure::Ended(close::stream::CANCELLED)));
    };
    let counters = shared.stats.counters();
    count(&counters.received_groups, 1);
    let info = subgroup::Info { id: 0, framing: shared.dialect.framing, first_object: header.frame_start.get() };
    let Ok(subgroup) = group.subgroup(info) else {
        return Err((receiver, Failure::Ended(close::stream::CANCELLED)));
    };
    let (stream, early) = receiver.into_parts();
    // How a group ends is told to its readers; nobody else needs to hear.
    let early = if early.is_empty() { Vec::new() } else { vec![early] };
    tokio::select! {
        biased;
        () = receive(stream, early, subgroup, |bytes| count(&counters.received_bytes, bytes)) => {}
        _ = open.changed() => {}
    }
    Ok(())
}

/// Reads one group stream into the model until the publisher finishes it. `burst`: what was read of it already.
pub(super) async fn receive(
    mut stream: impl RecvStream,
    mut burst: Vec<Bytes>,
    mut subgroup: subgroup::Producer,
    counted: impl Fn(u64),
) {
    loop {
        counted(burst.iter().map(|chunk| chunk.len() as u64).sum());
        // Bounds checked, bytes kept, budget charged, bell rung.
        if let Err(error) = subgroup.append(burst.drain(..), now()) {
            let code = refusal(&error);
            stream.stop(code.get());
            return subgroup.abort(code);
        }
        match poll_fn(|cx| stream.poll_read(cx, &mut burst)).await {
            Ok(true) => {}
            // A stream that ends inside a frame is a group that failed; the model says so to its readers.
            Ok(false) => return drop(subgroup.finish()),
            Err(error) => return subgroup.abort(ending(&error)),
        }
    }
}

/// What the readers of a group hear when its stream fails.
fn ending(error: &StreamError) -> CloseCode {
    match error {
        StreamError::Reset(code) => CloseCode::new(*code),
        StreamError::Connection(_) => close::stream::SESSION_CLOSED,
        _ => close::stream::CANCELLED,
    }
}

/// What publisher and readers hear when the model does not take a group's bytes.
fn refusal(error: &AppendError) -> CloseCode {
    match error {
        AppendError::FrameTooLarge { .. } => close::stream::FRAME_TOO_LARGE,
        AppendError::GroupTooLarge { .. } | AppendError::TooManyFrames { .. } => close::stream::GROUP_TOO_LARGE,
        AppendError::NoCapacity => close::stream::NO_CAPACITY,
        AppendError::Evicted => close::stream::EVICTED,
        _ => close::stream::MALFORMED_TRACK,
    }
}
