//! Inbound: a peer's group streams, into the model.
//!
//! A group belongs to the subscription it came for rather than to its stream: when the subscription fails, what is under way
//! is set aside at once, before anybody else is asked for the rest. A stream that brings again what is held of a group is
//! compared with it, and continues it. Spec: moq-lite-06, "GROUP" and "Relay".

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::poll_fn,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use moq_proto::{CloseCode, VarInt, close, lite::message::GroupHeader};
use slab::Slab;
use tokio::{sync::watch, time::sleep};
use tracing::debug;

use super::{
    Error,
    bounds::Bounds,
    clock::now,
    error::Failure,
    held::{Held, Source},
    shared::{Shared, in_time},
    stream::Receiver,
};
use crate::{
    model::{
        subgroup::{self, AppendError, Repeat},
        track,
    },
    stats::count,
    transport::{Connection, RecvStream, StreamError},
};

/// How long a group that its publisher reset is left open where another source has it too, or may later: a publisher that
/// breaks down resets its groups and its subscriptions, and which of them is heard of first is chance. A relay tells of the
/// subscription a quarter of a second later, and that may have to be sent twice.
const RESET_WAIT: Duration = Duration::from_secs(1);

/// What we ask of the peer: which track a subscribe id stands for.
#[derive(Default)]
pub(super) struct Subscriptions {
    next: Cell<u64>,
    feeds: Rc<RefCell<HashMap<u64, Feed>>>,
}

struct Feed {
    track: track::Producer,
    source: Rc<Source>,
    groups: Rc<Cell<u64>>,
    bounds: Rc<Bounds>,
    arriving: Rc<Arriving>,
    /// Dropped with the feed, which those who read its groups notice.
    open: watch::Sender<()>,
}

impl Subscriptions {
    /// Makes an id known, before its SUBSCRIBE leaves: groups can arrive first.
    pub(super) fn register<C: Connection>(&self, held: &Held<C>, bounds: Bounds) -> Registered {
        let id = self.next.replace(self.next.get() + 1);
        let (groups, track) = (Rc::new(Cell::new(0)), held.track.clone());
        let (source, arriving, open) = (held.source.clone(), Rc::default(), watch::Sender::new(()));
        let bounds = Rc::new(bounds);
        let feed = Feed { track, source, groups: groups.clone(), bounds: bounds.clone(), arriving, open };
        self.feeds.borrow_mut().insert(id, feed);
        Registered { id, groups, bounds, feeds: self.feeds.clone(), unwanted: false }
    }
}

/// One subscribe id in use. Dropping it closes it, as is due when its subscription fails: later groups are not wanted, and
/// those that are open are set aside.
pub(super) struct Registered {
    id: u64,
    groups: Rc<Cell<u64>>,
    bounds: Rc<Bounds>,
    feeds: Rc<RefCell<HashMap<u64, Feed>>>,
    unwanted: bool,
}

impl Registered {
    pub(super) fn id(&self) -> VarInt {
        VarInt::saturating(self.id)
    }

    /// Groups that have brought something new for this id.
    pub(super) fn groups(&self) -> u64 {
        self.groups.get()
    }

    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Closes the id because nobody wants more, nor the rest of the groups that are open. Whoever asks anew gets those from
    /// their first frame.
    pub(super) fn close(mut self) {
        self.unwanted = true;
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let Some(Feed { track, arriving, .. }) = self.feeds.borrow_mut().remove(&self.id) else { return };
        for (sequence, subgroup) in arriving.take_all() {
            match self.unwanted {
                true => subgroup.abort(close::stream::CANCELLED),
                false => track.set_aside(sequence, subgroup),
            }
        }
    }
}

/// The groups of a subscription whose streams are open. Tasks of one session fill them, one burst at a time.
#[derive(Default)]
struct Arriving {
    groups: RefCell<Slab<(u64, subgroup::Producer)>>,
}

impl Arriving {
    /// A place for a group whose stream has begun.
    fn add(self: &Rc<Self>, sequence: u64, subgroup: subgroup::Producer) -> Slot {
        let at = self.groups.borrow_mut().insert((sequence, subgroup));
        Slot { at, arriving: self.clone() }
    }

    /// Empties all places; none is added afterwards, since the id is closed.
    fn take_all(&self) -> impl Iterator<Item = (u64, subgroup::Producer)> {
        self.groups.take().into_iter().map(|(_, group)| group)
    }
}

/// The place of one open group. What is left in it when its stream's task is dropped stays for its subscription to deal with.
struct Slot {
    at: usize,
    arriving: Rc<Arriving>,
}

impl Slot {
    fn append(&self, burst: impl Iterator<Item = Bytes>) -> Result<(), AppendError> {
        let mut groups = self.arriving.groups.borrow_mut();
        let (_, subgroup) = groups.get_mut(self.at).ok_or(AppendError::Ended)?;
        subgroup.append(burst, now())
    }

    /// Empties it. `None`: the subscription ended meanwhile.
    fn take(&self) -> Option<subgroup::Producer> {
        self.arriving.groups.borrow_mut().try_remove(self.at).map(|(_, subgroup)| subgroup)
    }

    fn abort(&self, code: CloseCode) {
        if let Some(subgroup) = self.take() {
            subgroup.abort(code);
        }
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

/// A group that a stream brings.
struct Arrival {
    slot: Slot,
    /// What has to come again first, where the group is continued.
    repeat: Option<Repeat>,
    source: Rc<Source>,
    groups: Rc<Cell<u64>>,
    open: watch::Receiver<()>,
}

/// Finds the group that a stream brings, or makes it. `None`: unsubscribed meanwhile, never asked for, or here already, as is
/// a part of a group.
fn arrival<C: Connection>(shared: &Shared<C>, header: &GroupHeader) -> Option<Arrival> {
    let feeds = shared.subscriptions.feeds.borrow();
    let feed = feeds.get(&header.subscribe.get())?;
    let sequence = header.sequence.get();
    // Groups are asked for from their first frame on; what lacks it would keep the whole one out.
    if header.frame_start != VarInt::ZERO || !feed.bounds.admits(sequence) {
        return None;
    }
    if feed.bounds.is_end(sequence) {
        feed.track.announce_end(sequence.saturating_add(1));
    }
    let info = subgroup::Info::whole(shared.dialect.framing);
    let (subgroup, repeat) = match feed.track.take_up(sequence, &info) {
        Some(subgroup) => {
            let repeat = subgroup.repeat();
            (subgroup, Some(repeat))
        }
        None => {
            let subgroup = feed.track.create_group(sequence).ok()?.subgroup(info).ok()?;
            feed.groups.set(feed.groups.get() + 1);
            (subgroup, None)
        }
    };
    let slot = feed.arriving.add(sequence, subgroup);
    Some(Arrival { slot, repeat, source: feed.source.clone(), groups: feed.groups.clone(), open: feed.open.subscribe() })
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
    let Some(arrival) = arrival(shared, &header) else {
        return Err((receiver, Failure::Ended(close::stream::CANCELLED)));
    };
    count(&shared.stats.counters().received_groups, 1);
    let (stream, early) = receiver.into_parts();
    let mut open = arrival.open.clone();
    // How a group ends is told to its readers; nobody else needs to hear.
    tokio::select! {
        biased;
        _ = open.changed() => {}
        () = fill(shared, stream, early, arrival) => {}
    }
    Ok(())
}

/// Reads a stream into its group, however it ends.
async fn fill<C: Connection>(shared: &Shared<C>, mut stream: C::RecvStream, early: Bytes, mut arrival: Arrival) {
    let counters = shared.stats.counters();
    let received = |bytes| count(&counters.received_bytes, bytes);
    let mut burst = if early.is_empty() { Vec::new() } else { vec![early] };
    let mut cut = None;
    if let Some(repeat) = &mut arrival.repeat {
        cut = catch_up(&mut stream, &mut burst, repeat, received).await.err();
        if cut.is_none() {
            count(&counters.continued_groups, 1);
            arrival.groups.set(arrival.groups.get() + 1);
        }
    }
    let slot = arrival.slot;
    let cut = match cut {
        Some(cut) => Err(cut),
        None => receive(stream, burst, |burst| slot.append(burst), received).await,
    };
    match cut {
        // A stream that ends inside a frame is a group that failed; the model says so to its readers.
        Ok(()) => drop(slot.take().map(subgroup::Producer::finish)),
        // Its session ends with it.
        Err(Cut::Lost) => {}
        Err(Cut::Reset(code)) => {
            if arrival.source.has_alternative(shared) || (code == close::stream::SESSION_CLOSED && is_waited_for(shared)) {
                // Not here: media has arrived when its streams have, and a session that ends meanwhile leaves the slot as it is.
                shared.spawner.spawn(async move {
                    sleep(RESET_WAIT).await;
                    slot.abort(code);
                    Ok(())
                });
            } else {
                slot.abort(code);
            }
        }
        Err(Cut::Refused(code)) => slot.abort(code),
    }
}

/// Whether a publisher that the peer has lost may come back to its tracks here.
fn is_waited_for<C: Connection>(shared: &Shared<C>) -> bool {
    shared.inbound.as_ref().is_some_and(|inbound| inbound.keeps_orphans())
}

/// Why a group stops in the middle.
pub(super) enum Cut {
    /// Its stream was reset.
    Reset(CloseCode),
    /// Its connection is gone.
    Lost,
    /// The stream brings what cannot be kept.
    Refused(CloseCode),
}

impl Cut {
    /// What the readers of a group hear that nobody can continue.
    pub(super) fn code(&self) -> CloseCode {
        match self {
            Self::Reset(code) | Self::Refused(code) => *code,
            Self::Lost => close::stream::SESSION_CLOSED,
        }
    }
}

impl From<StreamError> for Cut {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Reset(code) => Self::Reset(CloseCode::new(code)),
            StreamError::Connection(_) => Self::Lost,
            _ => Self::Reset(close::stream::CANCELLED),
        }
    }
}

/// Reads what is held of a group already, and leaves in `burst` what follows it.
async fn catch_up(
    stream: &mut impl RecvStream,
    burst: &mut Vec<Bytes>,
    repeat: &mut Repeat,
    counted: impl Fn(u64),
) -> Result<(), Cut> {
    let differs = || Cut::Refused(close::stream::SESSION_CLOSED);
    loop {
        let before = size(burst);
        let compared = repeat.skip(burst);
        counted(before - size(burst));
        if let Err(error) = compared {
            debug!(%error, "a group cannot be continued");
            stream.stop(close::stream::CANCELLED.get());
            return Err(differs());
        }
        if repeat.is_over() {
            return Ok(());
        }
        if !poll_fn(|cx| stream.poll_read(cx, burst)).await? {
            debug!("a group that is continued ends before what is held of it");
            return Err(differs());
        }
    }
}

fn size(burst: &[Bytes]) -> u64 {
    burst.iter().map(|chunk| chunk.len() as u64).sum()
}

/// Reads one group stream to its end. `burst`: what was read of it already. `append`: where it goes.
pub(super) async fn receive(
    mut stream: impl RecvStream,
    mut burst: Vec<Bytes>,
    mut append: impl FnMut(std::vec::Drain<'_, Bytes>) -> Result<(), AppendError>,
    counted: impl Fn(u64),
) -> Result<(), Cut> {
    loop {
        counted(size(&burst));
        // Bounds checked, bytes kept, budget charged, bell rung.
        if let Err(error) = append(burst.drain(..)) {
            let code = refusal(&error);
            stream.stop(code.get());
            return Err(Cut::Refused(code));
        }
        if !poll_fn(|cx| stream.poll_read(cx, &mut burst)).await? {
            return Ok(());
        }
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
