//! The Subscribe conversation: giving a viewer a track. Asking a publisher for one is `feed`'s.
//!
//! Spec: moq-lite-06, "SUBSCRIBE"; what 01 to 05 say differently is in their dialects.

mod awaited;
mod feed;
mod renumbered;

use std::{ops::RangeInclusive, rc::Rc, time::Duration};

use moq_proto::{
    Framing, Path, VarInt, close,
    lite::{
        Dialect, Replies,
        message::{Subscribe, SubscribeDrop, SubscribeOk, SubscribeOptions, SubscribeReply, SubscribeUpdate},
    },
};
use tracing::debug;

pub(super) use self::feed::{ask, take_over, told};
use super::super::{
    Error,
    error::Failure,
    report::{News, Outcome, Report},
    selection::{Start, Wish},
    shared::Shared,
    stream::{Receiver, Sender},
    viewer::{Identity, Viewer},
};
use crate::{
    model::{demand, origin, track},
    stats::count,
    transport::{Connection, RecvStream, SendStream, StreamError},
};

/// Longest wait for a publisher to answer a request.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a viewer is not told that its publisher is gone. Shipped viewers drop what they have not read by then, and the last
/// groups may just have been sent.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// How often a track is told the time.
pub(super) const TEND_INTERVAL: Duration = Duration::from_secs(1);

/// Where this peer finds what is published.
pub(super) async fn door<C: Connection>(shared: &Shared<C>) -> Result<&origin::Consumer, Failure> {
    // Split horizon needs the peer's identity, which from moq-lite-05 on comes with its SETUP.
    shared.peer_setup().await;
    shared.outbound.as_ref().ok_or(Failure::Unroutable)
}

/// Finds what is published under this name for this peer.
pub(in super::super) async fn resolve<C: Connection>(
    shared: &Shared<C>,
    broadcast: &Path,
    name: &str,
) -> Result<track::Consumer, Failure> {
    let track = tokio::time::timeout(REPLY_TIMEOUT, door(shared).await?.track(broadcast, name)).await;
    track.map_err(|_| Failure::Timeout)?.map_err(|error| Failure::Ended(error.code))
}

/// Answers a viewer's SUBSCRIBE until either side ends it.
pub(in super::super) async fn answer<C: Connection>(
    shared: &Rc<Shared<C>>,
    request: Subscribe,
    sender: &mut Sender<C::SendStream>,
    receiver: &mut Receiver<C::RecvStream>,
) -> Result<(), Failure> {
    let dialect = shared.dialect;
    let _id = shared.take_id(request.id)?;
    let mut options = request.options;
    let track = {
        let mut resolving = std::pin::pin!(resolve(shared, &request.broadcast, &request.track));
        loop {
            tokio::select! {
                biased;
                track = &mut resolving => break track?,
                update = updated(dialect, sender, receiver) => match update? {
                    Some(changed) => options = changed,
                    None => return Ok(()),
                },
            }
        }
    };
    count(&shared.stats.counters().subscribes, 1);
    debug!(broadcast = %request.broadcast, track = %request.track, "subscribed");

    let asked = track.subscribe(ask_of(shared, &options));
    if dialect.replies == Replies::Ok {
        let ok =
            SubscribeOk { priority: options.priority, ordered: false, max_age: VarInt::ZERO, group_start: None, group_end: None };
        sender.send(dialect.reply.to_wire(&SubscribeReply::Ok(ok))).await?;
    }
    let report = Rc::new(Report::default());
    let identity = Identity { subscribe: request.id, dialect, order: shared.order };
    let wish = wish_of(shared, &options);
    let (connection, told) = (shared.connection.clone(), report.clone());
    let seat = shared.fanout.seat(&track, |bell| Viewer::new(identity, connection, track.clone(), wish, told, bell));

    let mut known = News::default();
    loop {
        tokio::select! {
            biased;
            news = report.changed(known) => {
                if dialect.replies == Replies::StartEnd {
                    for reply in replies(known, news) {
                        sender.send(dialect.reply.to_wire(&reply)).await?;
                    }
                }
                known = news;
                match news.outcome {
                    None => {}
                    Some(Outcome::Complete) => {
                        if dialect.replies == Replies::StartEnd {
                            // What was promised and is not to come after all would be waited for.
                            for groups in seat.ask(Viewer::left_out) {
                                sender.send(dialect.reply.to_wire(&left_out(groups))).await?;
                            }
                        }
                        return Ok(());
                    }
                    Some(Outcome::Failed(code)) => {
                        if code == close::stream::SESSION_CLOSED {
                            let unsubscribed = async { while let Ok(Some(_)) = updated(dialect, sender, receiver).await {} };
                            let _ = tokio::time::timeout(LAST_WORDS, unsubscribed).await;
                        }
                        return Err(Failure::Ended(code));
                    }
                    Some(Outcome::Gone) => return Err(Failure::Ended(close::stream::CANCELLED)),
                    Some(Outcome::Panicked) => return Err(Error::Internal("a viewer").into()),
                }
            }
            update = updated(dialect, sender, receiver) => match update? {
                Some(options) => {
                    asked.update(ask_of(shared, &options));
                    seat.change(|viewer| viewer.rewish(wish_of(shared, &options)));
                }
                None => return Ok(()),
            },
        }
    }
}

/// The last of the updates that have arrived, waiting for one. `None`: no more of the track is wanted.
async fn updated<S: SendStream, R: RecvStream>(
    dialect: &Dialect,
    sender: &mut Sender<S>,
    receiver: &mut Receiver<R>,
) -> Result<Option<SubscribeOptions>, Failure> {
    let message = tokio::select! {
        biased;
        message = receiver.message(&dialect.subscribe_update) => message,
        stopped = sender.stopped() => return Err(stopped.into()),
    };
    let mut update = match message {
        Ok(update) => update,
        // An end, a reset and a stop all mean the same.
        Err(Failure::Stream(StreamError::Reset(_))) => None,
        Err(failure) => return Err(failure),
    };
    while let Some(later) = receiver.arrived(&dialect.subscribe_update)? {
        update = Some(later);
    }
    Ok(update.map(|SubscribeUpdate(options)| options))
}

/// What moq-lite-05 and later say when the news of a viewer change.
fn replies(known: News, news: News) -> impl Iterator<Item = SubscribeReply> {
    let start = if known.first.is_none() { news.first } else { None };
    let end = if known.end.is_none() { news.end } else { None };
    let number = |value: u64| VarInt::saturating(value);
    let start = start.map(|group| SubscribeReply::Start { group: number(group) });
    let end = end.map(|group| SubscribeReply::End { group: number(group) });
    start.into_iter().chain(end)
}

fn left_out(groups: RangeInclusive<u64>) -> SubscribeReply {
    let (start, end) = (VarInt::saturating(*groups.start()), VarInt::saturating(*groups.end()));
    SubscribeReply::Drop(SubscribeDrop { start, end, code: close::stream::OLD.get().into() })
}

/// Least age at which a group is late for a viewer whose version has no times in its frames.
///
/// What subscribes by these says zero whatever it can bear (`moq-net` 0.1 has it written in), and was served groups that came in one
/// burst all the same. As long as players of that time hold back by themselves.
const UNTIMED_AGE_MIN: Duration = Duration::from_millis(500);

/// How old a group may be that is not the newest.
fn max_age_of<C: Connection>(shared: &Shared<C>, options: &SubscribeOptions) -> Option<Duration> {
    let asked = options.max_age.map(|age| Duration::from_millis(age.get()));
    match shared.dialect.framing {
        Framing::Sized => asked.map(|age| age.max(UNTIMED_AGE_MIN)),
        _ => asked,
    }
}

/// What a viewer's request means for its delivery.
fn wish_of<C: Connection>(shared: &Shared<C>, options: &SubscribeOptions) -> Wish {
    let start = match options.group_start {
        Some(group) => Start::Floor(group.get()),
        None if shared.dialect.floor_start => Start::Floor(0),
        None => Start::Latest { strict: shared.dialect.replies == Replies::StartEnd },
    };
    Wish {
        priority: options.priority,
        max_age: max_age_of(shared, options),
        start,
        end: options.group_end.map(VarInt::get),
        frame_start: options.frame_start.get(),
        frame_end: options.frame_end.map(VarInt::get),
    }
}

/// What a viewer's request means for the track's source.
fn ask_of<C: Connection>(shared: &Shared<C>, options: &SubscribeOptions) -> demand::Ask {
    demand::Ask {
        priority: options.priority,
        max_age: max_age_of(shared, options),
        start: options.group_start.map_or(demand::Start::Latest, |group| demand::Start::At(group.get())),
        end: options.group_end.map(VarInt::get),
    }
}
