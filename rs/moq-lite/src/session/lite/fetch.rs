//! The Fetch conversation: one group, whenever it was.
//!
//! Spec: moq-lite-05, "FETCH"; the drafts have it from 03 on, no peer speaks it before 05.

use std::{future::poll_fn, rc::Rc, time::Duration};

use moq_proto::{
    Path, VarInt, Writer, close,
    lite::{self, message::Fetch},
};
use tracing::debug;

use super::{
    super::{
        Error,
        clock::now,
        error::Failure,
        fetched::{self, Range},
        inbound::{self, Cut},
        order::Tick,
        shared::{Shared, in_time, is_gone},
        stream::{Receiver, Sender},
    },
    subscribe::{REPLY_TIMEOUT, door, told},
};
use crate::{
    model::{subgroup, track},
    stats::count,
    transport::{Connection, RecvStream, SendStream},
};

/// How long a group that a publisher cannot be asked for may take to arrive by itself, while somebody subscribes: what the
/// streams of one publisher overtake each other by, and a group a second has come.
const ARRIVAL_TIME: Duration = Duration::from_secs(1);

/// Answers a FETCH from the cache or, where the group is not kept, from the track's source.
pub(in super::super) async fn answer<C: Connection>(
    shared: &Rc<Shared<C>>,
    sender: &mut Sender<C::SendStream>,
    receiver: &mut Receiver<C::RecvStream>,
) -> Result<(), Failure> {
    let Some(layout) = &shared.dialect.fetch else { return Err(Failure::UnknownStream(lite::stream::FETCH.get())) };
    let request = in_time(receiver.first(layout)).await?;
    sender.stream().set_rank(Tick::FIRST.rank(request.priority));
    let range = Range { first: request.frame_start.get(), last: request.frame_end.map(VarInt::get) };
    let send = async {
        let door = door(shared).await?;
        let found = door.fetch(&request.broadcast, &request.track, request.group.get(), request.priority);
        let found = tokio::time::timeout(REPLY_TIMEOUT, found).await;
        let (track, group) = found.map_err(|_| Failure::Timeout)?.map_err(|error| Failure::Ended(error.code))?;
        fetched::send(&group, &track, shared.dialect.framing, range, sender.stream(), &shared.stats).await
    };
    tokio::select! {
        biased;
        sent = send => sent,
        // An end before the answer is whole withdraws the request.
        ended = receiver.end() => ended.and(Err(Failure::Ended(close::stream::CANCELLED))),
    }
}

/// Gets the groups of a track that somebody wants and nobody keeps, for as long as it is polled. Where the peer cannot be asked
/// for them, those that may still come by themselves are waited for.
pub(in super::super) async fn serve<C: Connection>(shared: &Rc<Shared<C>>, broadcast: &Path, track: &track::Producer) {
    let fetcher = track.fetcher();
    loop {
        let mut wanted = fetcher.next().await;
        if shared.dialect.fetch.is_some() {
            wanted.pass_on_if_dropped();
            let (task, broadcast, name) = (shared.clone(), broadcast.clone(), track.name().to_owned());
            shared.spawner.spawn(async move { ask(task, broadcast, name, wanted).await });
        } else if track.demand().is_some() {
            shared.spawner.spawn(async move {
                let _ = tokio::time::timeout(ARRIVAL_TIME, wanted.arrived()).await;
                Ok(())
            });
        }
    }
}

/// Asks the peer for one whole group.
async fn ask<C: Connection>(
    shared: Rc<Shared<C>>,
    broadcast: Path,
    name: String,
    mut wanted: track::Wanted,
) -> Result<(), Error> {
    let answered = tokio::select! {
        answered = tokio::time::timeout(REPLY_TIMEOUT, first_burst(&shared, &broadcast, &name, &wanted)) => answered,
        () = wanted.unwanted() => return Ok(()),
    };
    let (mut sender, stream, burst) = match answered.unwrap_or(Err(Failure::Timeout)) {
        Ok(answered) => answered,
        // Somebody else may get it, once this session is dropped and its question with it.
        Err(failure) if is_gone(&failure) => return std::future::pending().await,
        Err(failure) => {
            debug!(%broadcast, track = %name, group = wanted.sequence(), %failure, "not fetched");
            wanted.reject(told(&failure));
            return Ok(());
        }
    };
    let Ok(mut group) = wanted.accept() else { return Ok(()) };
    if let Ok(mut subgroup) = group.subgroup(subgroup::Info::whole(shared.dialect.framing)) {
        let counters = shared.stats.counters();
        let received = |bytes| count(&counters.received_bytes, bytes);
        let received = tokio::select! {
            biased;
            received = inbound::receive(stream, burst, |burst| subgroup.append(burst, now()), received) => received,
            // The stream is stopped with what reads it.
            () = wanted.unwanted() => {
                debug!(%broadcast, track = %name, group = wanted.sequence(), "nobody reads what is fetched");
                sender.reset(close::stream::CANCELLED);
                Err(Cut::Reset(close::stream::CANCELLED))
            }
        };
        match received {
            // A stream that ends inside a frame is a group that failed; the model says so to its readers.
            Ok(()) => drop(subgroup.finish()),
            Err(cut) => subgroup.abort(cut.code()),
        }
    }
    Ok(())
}

type Answered<C> = (Sender<<C as Connection>::SendStream>, <C as Connection>::RecvStream, Vec<bytes::Bytes>);

/// Sends FETCH and waits for the first bytes, or the end, of the group.
async fn first_burst<C: Connection>(
    shared: &Shared<C>,
    broadcast: &Path,
    name: &str,
    wanted: &track::Wanted,
) -> Result<Answered<C>, Failure> {
    let Some(layout) = &shared.dialect.fetch else { return Err(Failure::Ended(close::stream::NOT_FOUND)) };
    shared.allow_media();
    let (mut sender, receiver) = shared.open_bi().await?;
    let request = Fetch {
        broadcast: broadcast.clone(),
        track: name.into(),
        priority: wanted.priority(),
        group: VarInt::saturating(wanted.sequence()),
        // What goes into the cache is whole, whatever part somebody asked for.
        frame_start: VarInt::ZERO,
        frame_end: None,
    };
    let mut wire = Writer::new();
    wire.varint(lite::stream::FETCH).bytes(&layout.to_wire(&request));
    sender.send(wire.into_bytes()).await?;
    let (mut stream, _) = receiver.into_parts();
    let mut burst = Vec::new();
    poll_fn(|cx| stream.poll_read(cx, &mut burst)).await?;
    Ok((sender, stream, burst))
}
