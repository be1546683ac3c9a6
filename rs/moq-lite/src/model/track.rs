//! Tracks: groups by sequence and in order of arrival, the live edge, and what their readers ask.
//!
//! A track keeps its newest group, and the older ones for as long as it says in media time, and as
//! [`cache::Policy`](super::cache::Policy) allows, and the budget has room. It never waits and knows no time but what it is told. There is one for each path and
//! first hop: a publisher that was restarted makes a new one. Spec: moq-lite-05, "Track" and "SUBSCRIBE".

mod aside;
mod beginning;
mod consumer;
mod edge;
mod fetch;
mod groups;
mod key;
mod readers;
mod request;
mod subscription;

use std::{
    fmt,
    future::poll_fn,
    ops::Range,
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use moq_proto::{CloseCode, Path, Timescale, Timestamp, close};

pub(crate) use self::key::Key;
pub use self::{
    aside::ASIDE_MAX,
    beginning::{Beginning, ToCome},
    consumer::Consumer,
    edge::Edge,
    fetch::{FETCHES_MAX, Fetch, FetchError, Fetcher, Wanted},
    groups::{FETCHED_MAX, GROUPS_MAX},
    request::Request,
    subscription::Subscription,
};
use self::{
    aside::Aside,
    fetch::Fetches,
    groups::{Groups, Keeping},
    readers::Readers,
};
use super::{
    bell::{Bell, Ringer, Token},
    cache::Account,
    clock::Clock,
    demand::Demand,
    group::{self, Group},
    lock::Lock,
    subgroup::Feed,
    watch::{Waiter, Watch},
};

/// What is known of a track before any of it; never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// A hint where two tracks are asked for with the same priority. Higher goes first.
    pub priority: u8,
    /// How far behind the live edge the publisher wants its groups kept.
    pub max_age: Duration,
    /// What its timestamps count.
    pub timescale: Timescale,
}

impl Default for Info {
    /// What holds for publishers that cannot say.
    fn default() -> Self {
        Self { priority: 127, max_age: Duration::from_secs(5), timescale: Timescale::MILLIS }
    }
}

/// Tells tracks apart; no two in a process are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u64);

impl Id {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What is known of a track's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// No group at or above this one will exist. Those below are on their way, as far as they are not here.
    Announced(u64),
    /// No group at or above this one will exist, and nothing is waited for any more.
    Finished(u64),
    /// It ended before its time.
    Aborted(CloseCode),
}

/// Why a track does not take a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    #[error("group {sequence} is here already")]
    Duplicate { sequence: u64 },
    #[error("group {sequence} is older than what is kept")]
    Old { sequence: u64 },
    #[error("the track ends before group {end}")]
    Ended { end: u64 },
    #[error("the track was aborted (code {code})")]
    Closed { code: CloseCode },
    /// Everything that is kept is the newest of its track.
    #[error("the cache has no room")]
    NoCapacity,
}

struct Shared {
    id: Id,
    key: Key,
    info: Info,
    keeping: Keeping,
    linger: Duration,
    account: Account,
    feed: Arc<Feed>,
    groups: Lock<Groups>,
    /// Whether the groups have an end, so that asking costs no lock while they have none.
    has_end: AtomicBool,
    readers: Arc<Watch<Readers>>,
    fetches: Arc<Watch<Fetches>>,
    /// What lost its source in the middle.
    aside: Lock<Aside>,
    producers: AtomicUsize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Track").field("id", &self.id).field("name", &self.key).field("info", &self.info).finish_non_exhaustive()
    }
}

impl Shared {
    /// Takes in a group; without a sequence, the one after the newest.
    fn create(&self, sequence: Option<u64>, datagram: bool) -> Result<Arc<Group>, TrackError> {
        let mut groups = self.groups.lock();
        let sequence = sequence.unwrap_or(groups.next_sequence());
        groups.hear();
        if let Err(error) = groups.check(sequence) {
            drop(groups);
            // Where the source is, is news as well.
            self.feed.tower.ring();
            return Err(error);
        }
        let group = Group::new(sequence, groups.arrived() + 1, self.feed.clone(), &self.account);
        if datagram {
            group.note_datagram();
        }
        // Dropped once the lock is free.
        let _replaced = groups.insert(group.clone());
        self.settle(groups, &group)?;
        self.feed.tower.ring();
        Ok(group)
    }

    /// Takes in a group that was asked for by its sequence and is not kept.
    fn create_fetched(&self, sequence: u64) -> Result<Arc<Group>, TrackError> {
        let mut groups = self.groups.lock();
        groups.check_open()?;
        if groups.whole(sequence).is_some() {
            return Err(TrackError::Duplicate { sequence });
        }
        // It has no place in the order of arrival, which counts from 1.
        let group = Group::new(sequence, 0, self.feed.clone(), &self.account);
        let _replaced = groups.insert_fetched(group.clone());
        self.settle(groups, &group)?;
        Ok(group)
    }

    /// Whether nobody reads a group that was fetched. What has not ended of it is then given to nobody any more.
    fn let_go(&self, group: &Arc<Group>) -> bool {
        // Under the lock under which readers come, so that none comes meanwhile.
        let mut groups = self.groups.lock();
        let is_read = group.is_read_still();
        if !is_read && group.ending().is_none() {
            groups.remove(group);
        }
        !is_read
    }

    /// Makes room for a group that was taken in.
    fn settle(&self, mut groups: MutexGuard<'_, Groups>, group: &Arc<Group>) -> Result<(), TrackError> {
        let removed = groups.prune(&self.keeping, self.feed.clock.elapsed());
        drop(groups);
        drop(removed);
        // Others may have to be evicted for it, which is not done under a lock.
        if group.admit().is_err() {
            self.groups.lock().remove(group);
            return Err(TrackError::NoCapacity);
        }
        Ok(())
    }

    /// A group that can be given at once, or why none can be given at all. `None`: it has to be fetched.
    fn kept(&self, sequence: u64) -> Option<Result<group::Consumer, CloseCode>> {
        let groups = self.groups.lock();
        if let Some(group) = groups.whole(sequence) {
            return Some(Ok(group::Consumer::new(group.clone())));
        }
        if groups.end().is_some_and(|end| sequence >= end) {
            return Some(Err(close::stream::NOT_FOUND));
        }
        groups.aborted().map(Err)
    }

    fn prune(&self) {
        let removed = self.groups.lock().prune(&self.keeping, self.feed.clock.elapsed());
        if !removed.is_empty() {
            drop(removed);
            self.feed.tower.ring();
        }
    }

    /// Says of the track's end what there is to say, and tells everybody.
    fn end(&self, how: impl FnOnce(&mut Groups)) {
        how(&mut self.groups.lock());
        self.has_end.store(true, Ordering::Release);
        self.feed.tower.ring();
    }

    fn abort(&self, code: CloseCode) {
        self.end(|groups| groups.abort(code));
        let aborted = self.groups.lock().aborted();
        if let Some(code) = aborted {
            Fetches::refuse(&self.fetches, code);
        }
        Aside::end(self);
    }

    fn attach(&self, ringer: &Ringer, token: Token) -> Bell {
        self.feed.tower.attach(ringer, token)
    }
}

/// Puts groups into a track. Clones are producers of the same track; once the last is dropped without a
/// [`finish`](Self::finish), the track is aborted with CANCELLED.
#[derive(Debug)]
pub struct Producer {
    shared: Arc<Shared>,
    waiter: Lock<Waiter<Readers>>,
}

impl Producer {
    /// A track of its own. [`broadcast::Producer`](super::broadcast::Producer) makes those that can be found by name.
    pub fn new(name: impl Into<Arc<str>>, info: Info, account: &Account) -> Self {
        Self::found_by(Key::new(Path::root(), name), info, account)
    }

    pub(crate) fn found_by(key: Key, info: Info, account: &Account) -> Self {
        let policy = account.policy();
        let keeping = Keeping { retention: policy.retention(info.max_age), timescale: info.timescale };
        let feed = Feed { tower: Arc::default(), clock: Clock::default(), timescale: info.timescale };
        let readers = Readers::new();
        let waiter = Lock::new(Waiter::new(readers.clone()));
        let shared = Arc::new(Shared {
            id: Id::next(),
            key,
            info,
            keeping,
            linger: policy.linger,
            account: account.clone(),
            feed: Arc::new(feed),
            groups: Lock::default(),
            has_end: AtomicBool::new(false),
            readers,
            fetches: Arc::new(Watch::new(Fetches::default())),
            aside: Lock::default(),
            producers: AtomicUsize::new(1),
        });
        Self { shared, waiter }
    }

    pub fn name(&self) -> &str {
        &self.shared.key.name
    }

    /// How far below its broadcast's path the track is; mostly the root, which is not at all.
    pub fn below(&self) -> &Path {
        &self.shared.key.below
    }

    pub fn info(&self) -> &Info {
        &self.shared.info
    }

    pub fn consume(&self) -> Consumer {
        Consumer { shared: self.shared.clone() }
    }

    /// The group after the newest. On a track that takes no more of them, one that nobody will read.
    pub fn append_group(&self) -> group::Producer {
        let group = self.shared.create(None, false).unwrap_or_else(|_| {
            let shared = &self.shared;
            Group::new(0, 0, shared.feed.clone(), &shared.account)
        });
        group::Producer::new(group)
    }

    /// The group with this sequence, which may lie below the newest.
    ///
    /// # Errors
    /// When it is here already, is older than what is kept, or lies beyond the track's end; when the track was aborted; when
    /// the cache has no room.
    pub fn create_group(&self, sequence: u64) -> Result<group::Producer, TrackError> {
        self.shared.create(Some(sequence), false).map(group::Producer::new)
    }

    /// A group of one frame that came in one datagram. What cannot be kept is dropped, as datagrams are.
    ///
    /// # Errors
    /// As [`create_group`](Self::create_group).
    pub fn datagram(&self, sequence: u64, timestamp: Timestamp, payload: Bytes, now: Instant) -> Result<(), TrackError> {
        self.tell(now);
        let mut group = group::Producer::new(self.shared.create(Some(sequence), true)?);
        if group.write_frame(payload, Some(timestamp)).is_ok() {
            group.finish();
        }
        Ok(())
    }

    /// Sequence of the newest group.
    pub fn latest_sequence(&self) -> Option<u64> {
        self.consume().latest_sequence()
    }

    /// Says that no group at or above `end` will exist, while those below are still on their way. An `end` that what is here
    /// already, or was said before, contradicts moves up.
    pub fn announce_end(&self, end: u64) {
        self.shared.end(|groups| groups.announce_end(end));
    }

    /// Says that the track is over: no group at or above `end` will exist, and nobody waits for others. Without an `end`, the
    /// newest group was the last, or that before the end that was [announced](Self::announce_end). The first time counts.
    pub fn finish(&self, end: Option<u64>) {
        self.shared.end(|groups| groups.finish(end));
    }

    /// Ends the track before its time. A track that was finished stays so.
    pub fn abort(&self, code: CloseCode) {
        self.shared.abort(code);
    }

    /// Says that groups which are not kept can be fetched, as long as the fetcher lives.
    pub fn fetcher(&self) -> Fetcher {
        Fetcher::new(self.shared.clone())
    }

    /// What all readers together ask at present. `None`: nobody asks.
    pub fn demand(&self) -> Option<Demand> {
        self.shared.readers.lock().demand()
    }

    /// The newest group that still arrives and that somebody reads, who may have [fetched](Consumer::fetch) it while it did and
    /// asks for nothing else.
    pub fn read_to(&self) -> Option<u64> {
        let groups = self.shared.groups.lock();
        let open = groups.by_sequence().rev().filter(|group| group.ending().is_none());
        open.filter(|group| group.is_read_still()).map(|group| group.sequence()).next()
    }

    /// Waits until nobody reads a group that still arrives.
    ///
    /// # Cancel safety
    /// Dropping the call changes nothing.
    pub async fn unread(&self) {
        let ringer = Ringer::new();
        let _bell = self.shared.attach(&ringer, 0);
        let mut rung = Vec::new();
        loop {
            ringer.take_rung(&mut rung);
            if self.read_to().is_none() {
                return;
            }
            poll_fn(|cx| ringer.poll_rung(cx)).await;
        }
    }

    /// Ready with the merged demand once it differs from what `seen` stands for, which starts as 0; `None`: nobody asks.
    /// One task at a time can wait by one producer.
    pub fn poll_demand(&self, cx: &mut Context<'_>, seen: &mut u64) -> Poll<Option<Demand>> {
        self.waiter.lock().poll(cx, |readers| {
            if readers.version() == *seen {
                return Poll::Pending;
            }
            *seen = readers.version();
            Poll::Ready(readers.demand())
        })
    }

    /// Waits until nobody has asked for as long as a track lingers, which [`tend`](Self::tend) finds out: whoever holds the
    /// track may then drop it.
    pub async fn unused(&self) {
        let mut waiter = Waiter::new(self.shared.readers.clone());
        waiter.wait(|readers| if readers.is_unused() { Poll::Ready(()) } else { Poll::Pending }).await
    }

    /// Waits until every group of `ranges` is there and has ended, or was let go of.
    pub async fn complete(&self, ranges: &[Range<u64>]) {
        let ringer = Ringer::new();
        let _bell = self.shared.attach(&ringer, 0);
        let mut rung = Vec::new();
        loop {
            ringer.take_rung(&mut rung);
            if self.is_complete(ranges) {
                return;
            }
            poll_fn(|cx| ringer.poll_rung(cx)).await;
        }
    }

    /// Whether every group of `ranges` is there and has ended, or was let go of.
    pub fn is_complete(&self, ranges: &[Range<u64>]) -> bool {
        let groups = self.shared.groups.lock();
        ranges.iter().all(|range| groups.are_complete(range.clone()))
    }

    /// Tells the track the time, without which nothing waits for its end in vain. To be called about once a second.
    ///
    /// Lets go of groups that are no longer worth keeping, and returns whether the track has been [unused](Self::unused) for
    /// as long as it lingers.
    pub fn tend(&self, now: Instant) -> bool {
        self.consume().tend(now)
    }

    /// Tells the track the time, and no more.
    fn tell(&self, now: Instant) {
        self.shared.feed.clock.tell(now);
    }
}

impl Clone for Producer {
    fn clone(&self) -> Self {
        self.shared.producers.fetch_add(1, Ordering::Relaxed);
        Self { shared: self.shared.clone(), waiter: Lock::new(self.waiter.lock().clone()) }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if self.shared.producers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.abort(close::stream::CANCELLED);
        }
    }
}

#[cfg(test)]
mod tests;
