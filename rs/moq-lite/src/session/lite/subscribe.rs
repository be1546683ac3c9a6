//! The Subscribe conversation: asking a publisher for a track, and giving a viewer one.
//!
//! Spec: moq-lite-06, "SUBSCRIBE"; what 01 to 05 say differently is in their dialects.

use std::{future::poll_fn, rc::Rc, time::Duration};

use moq_proto::{
    Path, VarInt, Writer, close,
    lite::{
        self, Dialect, Replies,
        message::{Subscribe, SubscribeOk, SubscribeOptions, SubscribeReply, SubscribeUpdate},
    },
};
use tracing::debug;

use super::super::{
    Error,
    clock::now,
    error::Failure,
    held::{Held, Source},
    inbound::Registered,
    report::{News, Outcome, Report},
    selection::{Start, Wish},
    shared::{Shared, is_gone},
    stream::{Receiver, Sender},
    viewer::{Identity, Viewer},
};
use crate::{
    model::{
        demand::{self, Demand},
        track,
    },
    stats::count,
    transport::{Connection, RecvStream, StreamError},
};

/// Longest wait for a publisher to answer a request.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a viewer is not told that its publisher is gone. Shipped viewers drop what they have not read by then, and the last
/// groups may just have been sent.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// How often a track is told the time.
pub(super) const TEND_INTERVAL: Duration = Duration::from_secs(1);

/// How long after a subscription's end its last groups are still accepted, when its viewers accept no age at all.
const GRACE_MIN: Duration = Duration::from_secs(1);

/// The longest of it, however old the publisher lets its groups get.
const GRACE_MAX: Duration = Duration::from_secs(30);

/// Tries in a row of a running subscription that its publisher resets again and again.
const RETRIES_MAX: u32 = 5;

/// Wait before the first of them; each further one waits twice as long.
const RETRY_WAIT: Duration = Duration::from_millis(100);

/// How far behind the newest a group may lie that is to be continued, whatever its viewers say of groups they have not begun:
/// as long as the silence by which a lost peer is noticed.
const RESUME_AGE: Duration = Duration::from_secs(10);

/// A subscription that ran as long as this counts as one that works.
const RETRY_FORGET: Duration = Duration::from_secs(10);

/// Finds what is published under this name for this peer.
pub(in super::super) async fn resolve<C: Connection>(
    shared: &Shared<C>,
    broadcast: &Path,
    name: &str,
) -> Result<track::Consumer, Failure> {
    // Split horizon needs the peer's identity, which from moq-lite-05 on comes with its SETUP.
    shared.peer_setup().await;
    let outbound = shared.outbound.as_ref().ok_or(Failure::Unroutable)?;
    let broadcast = outbound.consume(broadcast).ok_or(Failure::Unroutable)?;
    let track = tokio::time::timeout(REPLY_TIMEOUT, broadcast.track(name)).await;
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
                update = updated(dialect, receiver) => match update? {
                    Some(changed) => options = changed,
                    None => return Ok(()),
                },
            }
        }
    };
    count(&shared.stats.counters().subscribes, 1);
    debug!(broadcast = %request.broadcast, track = %request.track, "subscribed");

    let asked = track.subscribe(ask_of(&options));
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
                    Some(Outcome::Complete) => return Ok(()),
                    Some(Outcome::Failed(code)) => {
                        if code == close::stream::SESSION_CLOSED {
                            let unsubscribed = async { while let Ok(Some(_)) = updated(dialect, receiver).await {} };
                            let _ = tokio::time::timeout(LAST_WORDS, unsubscribed).await;
                        }
                        return Err(Failure::Ended(code));
                    }
                    Some(Outcome::Gone) => return Err(Failure::Ended(close::stream::CANCELLED)),
                    Some(Outcome::Panicked) => return Err(Error::Internal("a viewer").into()),
                }
            }
            update = updated(dialect, receiver) => match update? {
                Some(options) => {
                    asked.update(ask_of(&options));
                    seat.change(|viewer| viewer.rewish(wish_of(shared, &options)));
                }
                None => return Ok(()),
            },
        }
    }
}

/// The last of the updates that have arrived, waiting for one. `None`: no more of the track is wanted.
async fn updated<S: RecvStream>(dialect: &Dialect, receiver: &mut Receiver<S>) -> Result<Option<SubscribeOptions>, Failure> {
    let mut update = match receiver.message(&dialect.subscribe_update).await {
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

fn max_age_of(options: &SubscribeOptions) -> Option<Duration> {
    options.max_age.map(|age| Duration::from_millis(age.get()))
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
        max_age: max_age_of(options),
        start,
        end: options.group_end.map(VarInt::get),
        frame_start: options.frame_start.get(),
        frame_end: options.frame_end.map(VarInt::get),
    }
}

/// What a viewer's request means for the track's source.
fn ask_of(options: &SubscribeOptions) -> demand::Ask {
    demand::Ask {
        priority: options.priority,
        max_age: max_age_of(options),
        start: options.group_start.map_or(demand::Start::Latest, |group| demand::Start::At(group.get())),
        end: options.group_end.map(VarInt::get),
    }
}

/// Serves one requested track from the peer: asks what it is, and subscribes for as long as somebody wants it.
pub(in super::super) async fn ask<C: Connection>(shared: Rc<Shared<C>>, source: Rc<Source>, request: track::Request) {
    match info(&shared, source.path(request.below()), request.name()).await {
        Ok(info) => {
            let held = Held::new(&shared, &source, request.accept(info, now()));
            hold(&shared, held, Begin::Anew).await;
        }
        Err(failure) => request.reject(told(&failure)),
    }
}

/// Goes on with a track that another source had.
pub(in super::super) async fn take_over<C: Connection>(shared: Rc<Shared<C>>, held: Held<C>) {
    match info(&shared, held.path(), held.track.name()).await {
        Ok(info) if info.timescale == held.track.info().timescale => hold(&shared, held, Begin::Resumed).await,
        // What times mean cannot change in the middle of a track.
        Ok(_) => held.fail(close::stream::MALFORMED_TRACK),
        Err(failure) if is_gone(&failure) => drop(held),
        Err(failure) => held.fail(told(&failure)),
    }
}

async fn info<C: Connection>(shared: &Shared<C>, path: Result<Path, Failure>, name: &str) -> Result<track::Info, Failure> {
    let path = path?;
    let info = tokio::time::timeout(REPLY_TIMEOUT, super::track::ask(shared, &path, name)).await;
    info.unwrap_or(Err(Failure::Timeout))
}

/// Feeds a track until nobody wants it or the peer does not serve it any more.
async fn hold<C: Connection>(shared: &Rc<Shared<C>>, held: Held<C>, begin: Begin) {
    let track = &held.track;
    let path = match held.path() {
        Ok(path) => path,
        Err(failure) => return held.fail(told(&failure)),
    };
    let failure = tokio::select! {
        biased;
        () = track.unused() => return held.release(),
        failure = feed(shared, &held, &path, begin) => failure,
        () = super::fetch::serve(shared, &path, track) => return,
        () = tend(track) => return,
    };
    // With the session gone, the track goes the way of all that it held.
    if !is_gone(&failure) {
        held.fail(told(&failure));
    }
}

/// Tells the track the time, by which its old groups go, and the track itself once nobody wants it any more. Its broadcast
/// does so too, but may be gone while the track is still read.
async fn tend(track: &track::Producer) {
    let mut interval = tokio::time::interval(TEND_INTERVAL);
    loop {
        interval.tick().await;
        track.tend(now());
    }
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// Where its viewers want it to.
    Anew,
    /// Where the one before it broke off.
    Resumed,
}

/// Subscribes for as long as somebody wants the track, until its source fails; returns why it did.
async fn feed<C: Connection>(shared: &Rc<Shared<C>>, held: &Held<C>, path: &Path, mut begin: Begin) -> Failure {
    let Held { track, source, .. } = held;
    let mut resets = 0;
    loop {
        let demand = wanted(track).await;
        let began = now();
        let followed = tokio::select! {
            biased;
            // Who knows whose track it is then that was given to us at the second time of asking.
            () = soon_withdrawn(source), if resets > 0 => Err((Failure::Unroutable, 0)),
            followed = follow(shared, held, path, demand, begin) => followed,
        };
        let (failure, groups) = match followed {
            Ok(Followed::Unwanted) => {
                (resets, begin) = (0, Begin::Anew);
                continue;
            }
            // Its groups can still be fetched.
            Ok(Followed::Ended { .. }) => return std::future::pending().await,
            Err(failed) => failed,
        };
        if groups > 0 {
            track.forgive();
        }
        // Somebody who may do better comes before somebody who did not.
        let again = (groups > 0 || resets > 0) && resets < RETRIES_MAX;
        if is_gone(&failure) || !again || source.is_withdrawn() || source.has_alternative(shared) {
            return failure;
        }
        // A running subscription that is reset is asked for again: readers notice nothing.
        debug!(broadcast = %path, track = track.name(), %failure, "subscription reset by its publisher, asking again");
        if now().saturating_duration_since(began) >= RETRY_FORGET {
            resets = 0;
        }
        tokio::time::sleep(RETRY_WAIT * (1 << resets)).await;
        resets += 1;
        begin = Begin::Resumed;
    }
}

/// Ready when the peer stops announcing a source shortly after this is first polled.
async fn soon_withdrawn(source: &Source) {
    if tokio::time::timeout(RETRY_FORGET, source.withdrawn()).await.is_err() {
        std::future::pending().await
    }
}

/// The code that readers of a track hear when its source fails.
pub(super) fn told(failure: &Failure) -> moq_proto::CloseCode {
    match failure {
        Failure::Stream(StreamError::Reset(code) | StreamError::Stopped(code)) => moq_proto::CloseCode::new(*code),
        failure if is_gone(failure) => close::stream::SESSION_CLOSED,
        other => other.stream_code(),
    }
}

/// Waits until somebody wants the track.
async fn wanted(track: &track::Producer) -> Demand {
    let mut seen = 0;
    loop {
        if let Some(demand) = poll_fn(|cx| track.poll_demand(cx, &mut seen)).await {
            return demand;
        }
    }
}

enum Followed {
    /// Nobody wants it any more.
    Unwanted,
    /// The track is over. `first`: the lowest group that was to come; `end`: no group at or above this will exist. `None`: the
    /// publisher did not say.
    Ended { first: Option<u64>, end: Option<u64> },
}

/// One upstream subscription, from SUBSCRIBE to its end. On failure: why, and how many groups had brought something new.
async fn follow<C: Connection>(
    shared: &Rc<Shared<C>>,
    held: &Held<C>,
    path: &Path,
    demand: Demand,
    begin: Begin,
) -> Result<Followed, (Failure, u64)> {
    shared.allow_media();
    let registered = shared.subscriptions.register(held);
    count(&shared.stats.counters().upstream_subscribes, 1);
    let track = &held.track;
    let followed = converse(shared, track, path, demand, begin, &registered).await;
    let groups = registered.groups();
    let followed = followed.map_err(|failure| (failure, groups))?;
    if let Followed::Ended { first, end } = followed {
        settle(track, first, end, demand).await;
        debug!(broadcast = %path, track = track.name(), groups = registered.groups(), "track ended");
    }
    registered.close();
    Ok(followed)
}

async fn converse<C: Connection>(
    shared: &Rc<Shared<C>>,
    track: &track::Producer,
    path: &Path,
    mut demand: Demand,
    begin: Begin,
    registered: &Registered,
) -> Result<Followed, Failure> {
    let dialect = shared.dialect;
    let (mut sender, mut receiver) = shared.open_bi().await?;
    // The floor stays what it is at first: raised later, it would take back groups under way.
    let floor = match begin {
        Begin::Resumed => track.unfinished().or_else(|| track.latest_sequence()),
        Begin::Anew if dialect.floor_start => track.latest_sequence(),
        Begin::Anew => None,
    };
    let wanted = demand.start;
    let options = |demand: Demand| match (begin, demand.start) {
        // What its viewers began with is not asked for again.
        (Begin::Resumed, demand::Start::At(start)) if demand.start == wanted => {
            let start = demand::Start::At(floor.map_or(start, |floor| floor.max(start)));
            options_of(Demand { start, ..demand }, floor)
        }
        _ => options_of(demand, floor),
    };
    let max_age = match track.unfinished() {
        Some(_) => demand.max_age.map(|age| age.max(RESUME_AGE)),
        None => demand.max_age,
    };
    let (broadcast, asked) = (path.clone(), options(Demand { max_age, ..demand }));
    let message = Subscribe { id: registered.id(), broadcast, track: track.name().into(), options: asked };
    let mut wire = Writer::new();
    wire.varint(lite::stream::SUBSCRIBE).bytes(&dialect.subscribe.to_wire(&message));
    sender.send(wire.into_bytes()).await?;

    let mut seen = 0;
    let (mut first, mut end) = (None, None);
    loop {
        tokio::select! {
            biased;
            changed = poll_fn(|cx| track.poll_demand(cx, &mut seen)) => {
                let Some(changed) = changed else {
                    // Nobody is left: what comes from here on is not wanted.
                    let _ = sender.finish();
                    return Ok(Followed::Unwanted);
                };
                if changed != demand && !shared.version.has_legacy_setup() {
                    let update = SubscribeUpdate(options(changed));
                    sender.send(dialect.subscribe_update.to_wire(&update)).await?;
                }
                demand = changed;
            }
            reply = receiver.message(&dialect.reply) => match reply? {
                Some(SubscribeReply::End { group }) => end = Some(group.get()),
                Some(SubscribeReply::Start { group }) => {
                    first = Some(group.get());
                    track.give_up_below(group.get());
                }
                Some(_) => {}
                None => {
                    let _ = sender.finish();
                    // A relay says where it began, which later groups may have made it do sooner than those that are missing here.
                    let missing = floor.filter(|_| begin == Begin::Resumed);
                    let first = first.map(|first| missing.map_or(first, |missing| missing.min(first)));
                    return Ok(Followed::Ended { first, end });
                }
            },
        }
    }
}

/// Waits for the last groups of a track whose subscription ended, as long as they may be worth something: streams overtake
/// each other. A publisher that does not say which groups there are keeps us for the whole of it.
async fn settle(track: &track::Producer, first: Option<u64>, end: Option<u64>, demand: Demand) {
    let _finished = FinishOnDrop { track, end };
    let grace = demand.max_age.unwrap_or(GRACE_MIN).clamp(GRACE_MIN, track.info().max_age.clamp(GRACE_MIN, GRACE_MAX));
    let settled = async {
        match (first, end) {
            (Some(first), Some(end)) => track.complete(first..end).await,
            (None, Some(_)) => {}
            (_, None) => std::future::pending().await,
        }
    };
    let _ = tokio::time::timeout(grace, settled).await;
}

/// Finishes a track, also when its session ends while the last groups are waited for: that it was over had been said.
struct FinishOnDrop<'a> {
    track: &'a track::Producer,
    end: Option<u64>,
}

impl Drop for FinishOnDrop<'_> {
    fn drop(&mut self) {
        self.track.finish(self.end);
    }
}

/// What all viewers together want, as one request. `floor`: the lowest group wanted if nobody names one.
fn options_of(demand: Demand, floor: Option<u64>) -> SubscribeOptions {
    let number = |value: u64| VarInt::saturating(value);
    // JavaScript peers read 53 bits.
    const AGE_MAX: u64 = (1 << 53) - 1;
    let start = match demand.start {
        demand::Start::At(group) => Some(number(group)),
        demand::Start::Latest => None,
    };
    SubscribeOptions {
        priority: demand.priority,
        ordered: false,
        max_age: Some(number(demand.max_age.map_or(AGE_MAX, |age| (age.as_millis() as u64).min(AGE_MAX)))),
        group_start: start.or(floor.map(number)),
        group_end: demand.end.map(number),
        frame_start: VarInt::ZERO,
        frame_end: None,
    }
}
