//! The origin: everything announced here, who announced it, and who may see what of it.
//!
//! Sessions and applications [publish](Producer::publish) broadcasts below a root and [consume](Consumer::consume) them.
//! Both are held to the prefixes they were allowed, and nobody is shown what came from themselves. What the best route is,
//! [`route`](super::route) decides. Spec: moq-lite-06, "ANNOUNCE", "Routing" and "Hops".

mod announced;
mod changes;
mod failover;
mod holder;
mod places;
mod principal;
mod scope;
mod told;
mod tree;

use std::{
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::Waker,
};

use moq_proto::{HopId, Path, VarInt};

pub use self::{
    announced::{Announced, Change},
    failover::ORPHANS_MAX,
    principal::Principal,
};
use self::{
    announced::{Ear, View},
    changes::Changes,
    failover::Orphans,
    holder::counts,
    places::{Place, Places, Source},
    scope::Scope,
};
use super::{broadcast, lock::Lock, route::Route};

/// Most broadcasts that one producer announces at a time, unless it is [given](Producer::with_limit) another number. A
/// conference server that mirrors a thousand rooms is served; somebody who fills the origin is not.
pub const NAMES_MAX: usize = 1024;

/// What an origin holds and remembers. Each is a number of announcements; one takes about 400 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Announcements at a time.
    pub announcements: usize,
    /// Changes kept for readers to catch up with; one who misses more looks through all there is.
    pub changes: usize,
    /// Withdrawn announcements remembered for readers who missed more than that. With as many as there may be announcements,
    /// everything can end at once and nobody misses it.
    pub ends: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { announcements: 1_000_000, changes: 16_384, ends: 1_000_000 }
    }
}

/// How often announcements were refused, and why. The numbers only ever grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    pub not_allowed: u64,
    /// Of a name that is left to others.
    pub reserved: u64,
    /// Of a path that another principal holds.
    pub held: u64,
    pub loops: u64,
    /// More than the producer may announce.
    pub too_many: u64,
    /// More than the origin holds.
    pub full: u64,
}

impl Refusals {
    /// Each number with the reason it counts, in a word.
    pub fn by_reason(&self) -> [(&'static str, u64); 6] {
        let Self { not_allowed, reserved, held, loops, too_many, full } = *self;
        [
            ("not-allowed", not_allowed),
            ("reserved", reserved),
            ("held", held),
            ("loop", loops),
            ("too-many", too_many),
            ("full", full),
        ]
    }
}

/// Why a broadcast could not be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    #[error("announcing this path is not allowed")]
    NotAllowed,
    /// It is left to others, or what is left to others lies below it.
    #[error("this path is reserved")]
    Reserved,
    #[error("another publisher holds this path")]
    Held,
    /// The route has been here, or at its sender, before.
    #[error("the route is a loop")]
    Loop,
    #[error("more than {max} broadcasts announced by one peer")]
    TooMany { max: usize },
    #[error("more than {max} broadcasts announced in all")]
    Full { max: usize },
}

/// Tells sessions apart; no two in a process are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

impl SessionId {
    /// The id of a new session.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Relaxed))
    }
}

/// Whom a peer's announcements come from and whom it must not be told of: itself.
#[derive(Clone, Debug)]
pub struct Horizon {
    pub session: SessionId,
    /// What the peer declared; unknown as long as it did not.
    pub hop: HopId,
    /// On whose behalf it publishes. `None`: it is trusted with every name, as a relay of the same cluster is, or this process.
    pub principal: Option<Principal>,
}

impl Horizon {
    /// The horizon of a new session, whose peer is not known, and trusted.
    #[expect(clippy::new_without_default, reason = "no two are equal")]
    pub fn new() -> Self {
        Self { session: SessionId::next(), hop: HopId::UNKNOWN, principal: None }
    }
}

#[derive(Debug)]
struct Shared {
    hop: HopId,
    limits: Limits,
    places: RwLock<Places>,
    orphans: Lock<Orphans>,
    not_allowed: AtomicU64,
    reserved: AtomicU64,
    held: AtomicU64,
    loops: AtomicU64,
    too_many: AtomicU64,
    full: AtomicU64,
}

/// Everything that is announced. Clones are the same origin.
#[derive(Clone, Debug)]
pub struct Origin {
    shared: Arc<Shared>,
}

impl Origin {
    /// An empty origin. `hop` is the id of this process on routes.
    pub fn new(hop: HopId) -> Self {
        Self::with_limits(hop, Limits::default())
    }

    /// An empty origin that holds and remembers more or less than usual.
    pub fn with_limits(hop: HopId, limits: Limits) -> Self {
        let places = RwLock::new(Places::new(Changes::new(limits.changes, limits.ends)));
        let [not_allowed, reserved, held, loops, too_many, full] = Default::default();
        let shared = Shared { hop, limits, places, orphans: Lock::default(), not_allowed, reserved, held, loops, too_many, full };
        Self { shared: Arc::new(shared) }
    }

    /// The id of this process on routes.
    pub fn id(&self) -> HopId {
        self.shared.hop
    }

    /// A door for one peer, to announce below `root` what the prefixes in `allowed` cover. `[root()]` is everything.
    pub fn producer(&self, root: Path, allowed: Vec<Path>, peer: Horizon) -> Producer {
        let scope = Scope::new(root, allowed);
        let (shared, names) = (self.shared.clone(), Arc::default());
        Producer { shared, scope, peer, names, names_max: NAMES_MAX, unless_held: false }
    }

    /// A door for one peer, to see below `root` what the prefixes in `allowed` cover. `[root()]` is everything.
    pub fn consumer(&self, root: Path, allowed: Vec<Path>, peer: Horizon) -> Consumer {
        let scope = Scope::new(root, allowed);
        Consumer { shared: self.shared.clone(), scope, hop: AtomicU64::new(peer.hop.get()), peer, hidden: false }
    }

    /// How many announcements there are.
    pub fn announcements(&self) -> usize {
        self.shared.read().count()
    }

    /// The routes announced at exactly this path, best first, whoever may see them. Those that wait for the holder of the
    /// path to be gone are left out.
    pub fn routes(&self, path: &Path) -> Vec<Route> {
        let places = self.shared.read();
        let place = places.tree.get(path.as_str()).into_iter();
        place.flat_map(Place::counting).map(|source| source.told.route.clone()).collect()
    }

    /// How often announcements were refused so far.
    pub fn refusals(&self) -> Refusals {
        let Shared { not_allowed, reserved, held, loops, too_many, full, .. } = &*self.shared;
        let counters = [not_allowed, reserved, held, loops, too_many, full];
        let [not_allowed, reserved, held, loops, too_many, full] = counters.map(|counter| counter.load(Relaxed));
        Refusals { not_allowed, reserved, held, loops, too_many, full }
    }
}

impl Shared {
    /// Readers look at the same time: a newcomer's first look at all there is takes milliseconds. As with
    /// [`Lock`], a panic elsewhere breaks nothing, and no waker is woken and no broadcast cloned or dropped
    /// meanwhile.
    fn read(&self) -> RwLockReadGuard<'_, Places> {
        self.places.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Places> {
        self.places.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refusal.
    fn refuse(&self, error: PublishError) -> PublishError {
        let counter = match error {
            PublishError::NotAllowed => &self.not_allowed,
            PublishError::Reserved => &self.reserved,
            PublishError::Held => &self.held,
            PublishError::Loop => &self.loops,
            PublishError::TooMany { .. } => &self.too_many,
            PublishError::Full { .. } => &self.full,
        };
        counter.fetch_add(1, Relaxed);
        error
    }
}

/// Announces broadcasts on behalf of one peer.
#[derive(Debug)]
pub struct Producer {
    shared: Arc<Shared>,
    scope: Scope,
    peer: Horizon,
    /// How many this producer announces. Changed under the lock of the origin.
    names: Arc<AtomicUsize>,
    names_max: usize,
    unless_held: bool,
}

impl Producer {
    /// With another number of broadcasts at a time than [`NAMES_MAX`].
    #[must_use]
    pub fn with_limit(self, names_max: usize) -> Self {
        Self { names_max, ..self }
    }

    /// With these paths, and what lies below them, left to others, whatever is allowed. They count from the root of the
    /// origin, not from that of the producer.
    ///
    /// Announcing what lies above them is refused too: a path claims all that can be asked for below it, so whoever
    /// announced the root would be asked for any reserved path that is not announced.
    #[must_use]
    pub fn except(self, reserved: Vec<Path>) -> Self {
        Self { scope: self.scope.except(reserved), ..self }
    }

    /// With an announcement refused where another principal holds the path, rather than kept until that one is gone.
    #[must_use]
    pub fn unless_held(self) -> Self {
        Self { unless_held: true, ..self }
    }

    /// The prefixes below the root that this producer may announce at; none covers another.
    pub fn allowed(&self) -> &[Path] {
        self.scope.allowed()
    }

    /// Announces a broadcast at `path` below the root, until the publication is dropped. There may be others at the same
    /// path: each reader gets the best that it may see.
    ///
    /// # Errors
    /// Refusals are [counted](Origin::refusals).
    pub fn publish(&self, path: &Path, route: Route, broadcast: broadcast::Consumer) -> Result<Publication, PublishError> {
        let refuse = |error| Err(self.shared.refuse(error));
        let Some(path) = self.scope.resolve(path) else { return refuse(PublishError::NotAllowed) };
        if self.scope.reserved().overlaps(&path) {
            return refuse(PublishError::Reserved);
        }
        if is_loop(&route, self.shared.hop, self.peer.hop) {
            return refuse(PublishError::Loop);
        }
        let mut places = self.shared.write();
        if self.names.load(Relaxed) >= self.names_max {
            return refuse(PublishError::TooMany { max: self.names_max });
        }
        if places.count() >= self.shared.limits.announcements {
            return refuse(PublishError::Full { max: self.shared.limits.announcements });
        }
        let holder = places.tree.get(path.as_str()).and_then(Place::holder);
        if self.unless_held && holder.is_some() && !counts(self.peer.principal.as_ref(), holder) {
            return refuse(PublishError::Held);
        }
        self.names.fetch_add(1, Relaxed);
        let (source, wakers) = places.add(&path, &self.peer, route, broadcast);
        drop(places);
        wakers.into_iter().for_each(Waker::wake);
        self.shared.reunite(&path, &source);
        Ok(Publication { shared: self.shared.clone(), names: self.names.clone(), peer: self.peer.clone(), path, source })
    }
}

/// Whether a route has been at `here` before, or at the peer that sent it.
fn is_loop(route: &Route, here: HopId, peer: HopId) -> bool {
    route.hops.contains(here) || (route.hops.contains(peer) && route.hops.last() != Some(peer))
}

/// An announced broadcast. Dropping it withdraws the announcement; whoever reads the broadcast goes on.
#[derive(Debug)]
pub struct Publication {
    shared: Arc<Shared>,
    names: Arc<AtomicUsize>,
    peer: Horizon,
    path: Path,
    source: Arc<Source>,
}

impl Publication {
    /// Replaces the route. It says nothing about the content, which stays that of the same broadcast.
    ///
    /// # Errors
    /// [`PublishError::Loop`]: the announcement stays as it was, and should be withdrawn.
    pub fn update(&mut self, route: Route) -> Result<(), PublishError> {
        if is_loop(&route, self.shared.hop, self.peer.hop) {
            return Err(self.shared.refuse(PublishError::Loop));
        }
        let broadcast = self.source.broadcast.clone();
        let mut places = self.shared.write();
        let (source, wakers) = places.replace(&self.path, &self.source, route, broadcast);
        drop(places);
        self.source = source;
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        let mut places = self.shared.write();
        let wakers = places.remove(&self.path, &self.source);
        self.names.fetch_sub(1, Relaxed);
        drop(places);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Sees broadcasts on behalf of one peer.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    scope: Scope,
    /// As it was at first.
    peer: Horizon,
    hop: AtomicU64,
    /// Whether hidden paths are told without being asked for.
    hidden: bool,
}

impl Consumer {
    /// With these paths, and what lies below them, left out of every feed. They count from the root of the origin, not from
    /// that of the consumer. Who knows one may still [consume](Self::consume) it, where it is allowed.
    #[must_use]
    pub fn except(self, reserved: Vec<Path>) -> Self {
        Self { scope: self.scope.except(reserved), ..self }
    }

    /// With hidden paths told in every feed, as to a relay, whose version of the protocol may have no way to ask for them.
    #[must_use]
    pub fn with_hidden(self) -> Self {
        Self { hidden: true, ..self }
    }

    /// Says who the peer is, as soon as it is known. Feeds that are open already stay as they are.
    pub fn set_hop(&self, hop: HopId) {
        self.hop.store(hop.get(), Relaxed);
    }

    fn horizon(&self) -> Horizon {
        Horizon { hop: VarInt::saturating(self.hop.load(Relaxed)).into(), ..self.peer.clone() }
    }

    /// What is announced below `prefix`, now and from now on. A prefix that is not allowed has an empty feed. Paths with a
    /// segment below the prefix that starts with `.` are left out, unless `hidden` ones are wanted too, or always
    /// [told](Self::with_hidden).
    pub fn announced(&self, prefix: &Path, hidden: bool) -> Announced {
        let (base, windows) = self.scope.windows(prefix);
        let (horizon, reserved, hidden) = (self.horizon(), self.scope.reserved().clone(), hidden || self.hidden);
        Announced::new(self.shared.clone(), View { base, windows, horizon, hidden, reserved })
    }

    /// What serves `path` below the root, over the best route that still leads anywhere: the broadcast announced there or,
    /// where none is, at the nearest path above, [as seen](broadcast::Consumer::below) from `path`. `None`: there is none, or
    /// none for this peer, or the nearest [serves](broadcast::Producer::for_prefix) nothing below its own path.
    pub fn consume(&self, path: &Path) -> Option<broadcast::Consumer> {
        self.way_to(path, |_| true).map(|(broadcast, _)| broadcast)
    }

    /// Waits until what [serves](Self::consume) `path` is not `known`; `None`: nothing serves it.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing.
    pub async fn served_anew(&self, path: &Path, known: Option<broadcast::Id>) {
        let ear = Ear::new(self.shared.clone(), self.scope.resolve(path).into_iter().collect());
        while self.consume(path).map(|broadcast| broadcast.id()) == known {
            ear.changed().await;
        }
    }

    /// The broadcast announced at exactly this path.
    fn announced_at(&self, path: &Path) -> Option<broadcast::Consumer> {
        let (path, horizon) = (self.scope.resolve(path)?, self.horizon());
        let source = {
            let places = self.shared.read();
            places.tree.get(path.as_str())?.visible(&horizon).find(|source| source.is_alive())?.clone()
        };
        Some(source.broadcast.clone())
    }

    /// Waits until a broadcast is announced at exactly this path, and returns it. Where nothing is allowed, that is forever.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing.
    pub async fn consume_wait(&self, path: &Path) -> broadcast::Consumer {
        let ear = Ear::new(self.shared.clone(), self.scope.resolve(path).into_iter().collect());
        loop {
            if let Some(broadcast) = self.announced_at(path) {
                return broadcast;
            }
            ear.changed().await;
        }
    }
}

#[cfg(test)]
mod tests;
