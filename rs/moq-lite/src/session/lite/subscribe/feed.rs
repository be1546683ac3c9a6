//! Asking a publisher for a track: one upstream subscription at a time, for as long as somebody wants it.
//!
//! A subscription that runs and is reset is asked for again; who else may serve the track when this peer does not, is
//! `held`'s matter. Spec: moq-lite-06, "SUBSCRIBE" and "Relay".

use std::{future::poll_fn, rc::Rc, time::Duration};

use moq_proto::{
    Path, VarInt, Writer, close,
    lite::{
        self, Dialect, Replies,
        message::{Subscribe, SubscribeOptions, SubscribeReply, SubscribeUpdate},
    },
};
use tracing::debug;

use super::{
    super::{fetch, track as info_of},
    REPLY_TIMEOUT, TEND_INTERVAL,
    awaited::Awaited,
    renumbered::{Resumption, Verdict},
};
use crate::{
    model::{
        demand::{self, Demand},
        track::{self, Beginning},
    },
    session::{
        bounds::Bounds,
        clock::now,
        error::Failure,
        held::{Held, Source},
        inbound::Registered,
        shared::{Shared, is_gone},
    },
    stats::count,
    transport::{Connection, StreamError},
};

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

/// Serves one requested track from the peer: asks what it is, and subscribes for as long as somebody wants it.
pub(in super::super) async fn ask<C: Connection>(shared: Rc<Shared<C>>, source: Rc<Source>, mut request: track::Request) {
    request.reject_if_dropped(close::stream::SESSION_CLOSED);
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
    let info = tokio::time::timeout(REPLY_TIMEOUT, info_of::ask(shared, &path, name)).await;
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
        () = fetch::serve(shared, &path, track) => return,
        () = tend(track) => return,
    };
    if track.is_over() {
        return held.release();
    }
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
        // What an earlier subscription began with is no word for whoever comes next.
        track.begin(if shared.dialect.replies == Replies::StartEnd { Beginning::Awaited } else { Beginning::Unsaid });
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
            Ok(Followed::Ended) => return std::future::pending().await,
            Err(failed) => failed,
        };
        if groups > 0 {
            track.forgive();
        }
        // Somebody who may do better comes before somebody who did not.
        let ran = groups > 0 || resets > 0 || matches!(failure, Failure::NoEnd);
        let again = ran && resets < RETRIES_MAX && !track.is_over();
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
pub(in super::super) fn told(failure: &Failure) -> moq_proto::CloseCode {
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
    /// The track is over.
    Ended,
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
    let registered = shared.subscriptions.register(held, Bounds::new(shared.dialect.lenient_end));
    count(&shared.stats.counters().upstream_subscribes, 1);
    let track = &held.track;
    let mut ending = Ending { track, awaited: Awaited::default(), said: false };
    let followed = converse(shared, track, path, demand, begin, &registered, &mut ending.awaited).await;
    let groups = registered.groups();
    let followed = followed.map_err(|failure| (failure, groups))?;
    if matches!(followed, Followed::Ended) {
        ending.settle(registered.bounds()).await;
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
    awaited: &mut Awaited,
) -> Result<Followed, Failure> {
    let dialect = shared.dialect;
    let (mut sender, mut receiver) = shared.open_bi().await?;
    // The floor stays what it is at first: raised later, it would take back groups under way.
    let floor = match begin {
        Begin::Resumed => track.incomplete().or_else(|| track.latest_sequence()),
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
    let max_age = match track.incomplete() {
        Some(_) => demand.max_age.map(|age| age.max(RESUME_AGE)),
        None => demand.max_age,
    };
    let (broadcast, asked) = (path.clone(), options(Demand { max_age, ..demand }));
    let mut asked_start = asked.group_start;
    let message = Subscribe { id: registered.id(), broadcast, track: track.name().into(), options: asked };
    let mut wire = Writer::new();
    wire.varint(lite::stream::SUBSCRIBE).bytes(&dialect.subscribe.to_wire(&message));
    sender.send(wire.into_bytes()).await?;

    let (mut seen, mut is_left) = (0, false);
    let mut resumption = Resumption::new(floor.filter(|_| begin == Begin::Resumed));
    loop {
        tokio::select! {
            biased;
            changed = poll_fn(|cx| track.poll_demand(cx, &mut seen)) => {
                is_left = changed.is_none();
                // Who has joined a group that arrives gets the rest of it, and it is the last.
                let rest = || track.read_to().map(|last| Demand { end: Some(last), ..demand });
                let Some(changed) = changed.or_else(rest) else {
                    // Nobody is left: what comes from here on is not wanted.
                    let _ = sender.finish();
                    return Ok(Followed::Unwanted);
                };
                if changed != demand && !shared.version.has_legacy_setup() {
                    let update = SubscribeUpdate(options(changed));
                    let start = update.0.group_start;
                    sender.send(dialect.subscribe_update.to_wire(&update)).await?;
                    if let Some(floor) = reopened(dialect, asked_start, start) {
                        awaited.reopen(floor);
                        promise(track, awaited);
                    }
                    asked_start = start;
                }
                demand = changed;
            }
            () = track.unread(), if is_left => {
                let _ = sender.finish();
                return Ok(Followed::Unwanted);
            }
            () = resumption.due() => match resumption.look(registered.bounds()) {
                Verdict::Ask if !shared.version.has_legacy_setup() => {
                    let update = SubscribeUpdate(options_of(Demand { start: demand::Start::Latest, ..demand }, None));
                    sender.send(dialect.subscribe_update.to_wire(&update)).await?;
                }
                Verdict::Ask | Verdict::Nothing => {}
                Verdict::Renumbered => {
                    debug!(broadcast = %path, track = track.name(), "the publisher has begun to count anew");
                    track.abort(close::stream::SESSION_CLOSED);
                    return Err(Failure::Ended(close::stream::SESSION_CLOSED));
                }
            },
            () = registered.bounds().broken() => {
                // Nobody else's word can mend what this publisher says of its track.
                track.abort(Failure::PastEnd.stream_code());
                return Err(Failure::PastEnd);
            }
            reply = receiver.message(&dialect.reply) => match reply? {
                Some(SubscribeReply::Start { group }) => {
                    let first = group.get();
                    // A relay says where it began, which later groups may have made it do sooner than those that are missing here.
                    let missing = floor.filter(|_| begin == Begin::Resumed);
                    awaited.start(missing.map_or(first, |missing| missing.min(first)));
                    promise(track, awaited);
                    track.give_up_below(first);
                }
                Some(SubscribeReply::End { group }) => {
                    awaited.end(group.get());
                    registered.bounds().declare(group.get());
                    track.announce_end(group.get());
                }
                Some(SubscribeReply::Drop(drop)) => awaited.leave_out(drop.start.get(), drop.end.get()),
                Some(_) => {}
                None if dialect.replies == Replies::StartEnd && awaited.known_end().is_none() => return Err(Failure::NoEnd),
                None => {
                    let _ = sender.finish();
                    return Ok(Followed::Ended);
                }
            },
        }
    }
}

/// The lowest group wanted from now on, where an update of what is asked lowers that.
fn reopened(dialect: &Dialect, before: Option<VarInt>, now: Option<VarInt>) -> Option<u64> {
    let lowest = |start: Option<VarInt>| match start {
        Some(group) => group.get(),
        None if dialect.floor_start => 0,
        // The newest, and none that is older.
        None => u64::MAX,
    };
    Some(lowest(now)).filter(|now| *now < lowest(before))
}

/// Lets the track know what its publisher has said that comes.
fn promise(track: &track::Producer, awaited: &Awaited) {
    if let Some(first) = awaited.known_start() {
        track.begin(Beginning::At(first));
    }
}

/// How a track ends, as its publisher says. Dropping it finishes the track if it is over: also when the session ends while the
/// last groups are waited for, or before the publisher could say more than where the end is.
struct Ending<'a> {
    track: &'a track::Producer,
    awaited: Awaited,
    /// The publisher has said that this was all.
    said: bool,
}

impl Ending<'_> {
    /// Waits for the last groups of a track whose subscription ended, as long as they may be worth something: streams overtake
    /// each other. A publisher that does not say which groups there are keeps us for the whole of it.
    async fn settle(&mut self, bounds: &Bounds) {
        self.said = true;
        let Self { track, awaited, .. } = self;
        let max_age = track.demand().and_then(|demand| demand.max_age).unwrap_or(GRACE_MIN);
        let grace = max_age.clamp(GRACE_MIN, track.info().max_age.clamp(GRACE_MIN, GRACE_MAX));
        let settled = async {
            match awaited.ranges() {
                Some(ranges) => track.complete(&ranges).await,
                // Without a start, there are none.
                None if awaited.known_end().is_some() => {}
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = bounds.broken() => track.abort(Failure::PastEnd.stream_code()),
            _ = tokio::time::timeout(grace, settled) => {}
        }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if self.said || self.awaited.ranges().is_some_and(|ranges| self.track.is_complete(&ranges)) {
            self.track.finish(self.awaited.known_end());
        }
    }
}

/// What all viewers together want, as one request. `floor`: the lowest group wanted if nobody names one.
fn options_of(demand: Demand, floor: Option<u64>) -> SubscribeOptions {
    // JavaScript peers read 53 bits; and of a group there may be one more on the wire.
    const AGE_MAX: VarInt = VarInt::JS_MAX;
    const GROUP_MAX: VarInt = VarInt::saturating(VarInt::JS_MAX.get() - 1);
    let age = |age: Duration| VarInt::saturating(age.as_millis() as u64).min(AGE_MAX);
    let group = |group: u64| VarInt::saturating(group).min(GROUP_MAX);
    let start = match demand.start {
        demand::Start::At(first) => Some(first),
        demand::Start::Latest => floor,
    };
    SubscribeOptions {
        priority: demand.priority,
        ordered: false,
        max_age: Some(demand.max_age.map_or(AGE_MAX, age)),
        group_start: start.map(group),
        group_end: demand.end.map(group),
        frame_start: VarInt::ZERO,
        frame_end: None,
    }
}
