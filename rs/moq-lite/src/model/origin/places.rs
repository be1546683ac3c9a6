//! What is announced where, and who wants to hear of it.
//!
//! All that is behind the origin's one lock. A change costs a walk to its path and a touch for each reader that it may
//! concern and that has read all before; what it means to a reader is found out when that reader
//! [reads](super::announced).

use std::{collections::BTreeSet, sync::Arc, task::Waker};

use moq_proto::Path;
use slab::Slab;
use smallvec::SmallVec;

use super::{
    Horizon,
    changes::{Changes, Reader},
    holder::{Climb, counts, holder},
    principal::Principal,
    told::Told,
    tree::Tree,
};
use crate::model::{
    broadcast,
    lock::Lock,
    route::{Rank, Route},
};

/// An announcement and what is behind it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) told: Arc<Told>,
    pub(super) broadcast: broadcast::Consumer,
}

impl Source {
    /// Whether the broadcast has not ended. Its announcement may go a moment later.
    pub(super) fn is_alive(&self) -> bool {
        self.broadcast.ended().is_none()
    }
}

/// An announced path.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: Path,
    /// Best first, whoever holds the path; never empty.
    sources: SmallVec<[Arc<Source>; 1]>,
    holder: Option<Principal>,
}

impl Place {
    fn new(path: Path) -> Self {
        Self { path, sources: SmallVec::new(), holder: None }
    }

    /// All there are, those too that wait for the holder to be gone.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.sources.iter()
    }

    /// Who holds the path, if any of its announcements has a principal.
    pub(super) fn holder(&self) -> Option<&Principal> {
        self.holder.as_ref()
    }

    /// Those that are heard while the path is held as it is, best first.
    pub(super) fn counting(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.sources().filter(|source| counts(source.told.principal.as_ref(), self.holder()))
    }

    /// What the peer may see, best first.
    pub(super) fn visible(&self, to: &Horizon) -> impl Iterator<Item = &Arc<Source>> {
        self.counting().filter(|source| source.told.is_visible(to))
    }

    /// Since which change `principal` has been here. `None`: it is not here.
    fn claimed(&self, principal: &Principal) -> Option<u64> {
        let own = self.sources().filter(|source| source.told.principal.as_ref() == Some(principal));
        own.map(|source| source.told.claimed).min()
    }

    fn settle_holder(&mut self) {
        self.holder = holder(self.sources.iter().map(|source| &source.told)).cloned();
    }
}

/// Readers of the same subtree.
#[derive(Debug, Default)]
struct Readers {
    all: Slab<Arc<Reader>>,
    /// Those that wait to be rung. In a storm of changes each is rung once, however many changes there are.
    waiting: Lock<BTreeSet<usize>>,
}

impl Readers {
    fn ring(&self, before: u64) -> impl Iterator<Item = Waker> {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().filter_map(move |place| self.all[place].ring(before))
    }
}

/// All announcements of an origin, and all readers.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) tree: Tree<Place>,
    /// At the top of each of their windows.
    readers: Tree<Readers>,
    pub(super) changes: Changes,
    /// Announcements at all places.
    count: usize,
}

impl Places {
    pub(super) fn new(changes: Changes) -> Self {
        Self { tree: Tree::new(), readers: Tree::new(), changes, count: 0 }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The best `usable` source that the peer may see for `path`, and where it is announced: at the nearest path above, if none
    /// is at `path` itself.
    ///
    /// The nearest path with any such source decides. Where there is none that serves what lies below, nothing further up does
    /// in its stead: what its publisher does not have, others must not say they have, and relays would ask each other in a ring.
    pub(super) fn nearest(&self, path: &Path, to: &Horizon, usable: impl Fn(&Source) -> bool) -> Option<(&Path, &Arc<Source>)> {
        let mut climb = Climb::default();
        for place in self.tree.on_the_way(path.as_str()).rev() {
            climb.pass(place.holder());
            let mut heard = place.visible(to).filter(|source| climb.hears(&source.told) && usable(source)).peekable();
            if heard.peek().is_some() {
                let serving = heard.find(|source| source.told.serves_below || place.path == *path);
                return serving.map(|source| (&place.path, source));
            }
        }
        None
    }

    /// Adds an announcement. Returns whom to wake once the lock is free.
    pub(super) fn add(
        &mut self,
        path: &Path,
        from: &Horizon,
        route: Route,
        broadcast: broadcast::Consumer,
    ) -> (Arc<Source>, Vec<Waker>) {
        let (announced, session, principal) = (self.changes.next(), from.session, from.principal.clone());
        let claimed = self.tree.get(path.as_str()).and_then(|place| place.claimed(principal.as_ref()?)).unwrap_or(announced);
        let rank = Rank::new(path, &route, announced);
        let serves_below = broadcast.serves_below();
        let told = Told { rank, route, session, principal, announced, claimed, since: announced, serves_below };
        let source = self.put(path, told, broadcast);
        (source, self.number(path, None))
    }

    /// Gives an announcement another route.
    pub(super) fn replace(
        &mut self,
        path: &Path,
        old: &Source,
        route: Route,
        broadcast: broadcast::Consumer,
    ) -> (Arc<Source>, Vec<Waker>) {
        let Told { session, announced, claimed, serves_below, .. } = *old.told;
        let (rank, principal) = (Rank::new(path, &route, announced), old.told.principal.clone());
        let told = Told { rank, route, session, principal, announced, claimed, since: self.changes.next(), serves_below };
        let source = self.put(path, told, broadcast);
        self.pull(path, old);
        (source, self.number(path, Some(old.told.clone())))
    }

    pub(super) fn remove(&mut self, path: &Path, old: &Source) -> Vec<Waker> {
        self.pull(path, old);
        self.number(path, Some(old.told.clone()))
    }

    fn put(&mut self, path: &Path, told: Told, broadcast: broadcast::Consumer) -> Arc<Source> {
        let source = Arc::new(Source { told: Arc::new(told), broadcast });
        let place = self.tree.get_or_insert_with(path.as_str(), || Place::new(path.clone()));
        let at = place.sources.partition_point(|other| other.told.rank < source.told.rank);
        place.sources.insert(at, source.clone());
        place.settle_holder();
        self.count += 1;
        source
    }

    /// Its holder keeps `old`, so that no broadcast is dropped under the lock.
    fn pull(&mut self, path: &Path, old: &Source) {
        let Some(place) = self.tree.get_mut(path.as_str()) else { return };
        place.sources.retain(|source| !Arc::ptr_eq(&source.told, &old.told));
        place.settle_holder();
        if place.sources.is_empty() {
            self.tree.take(path.as_str());
        }
        self.count -= 1;
    }

    /// Numbers a change and rings whom it may concern: readers of anything above, at or below `path`.
    fn number(&mut self, path: &Path, gone: Option<Arc<Told>>) -> Vec<Waker> {
        let before = self.changes.head();
        let mut wakers = Vec::new();
        self.readers.on_the_way(path.as_str()).for_each(|readers| wakers.extend(readers.ring(before)));
        self.readers.below(path.as_str(), |readers| wakers.extend(readers.ring(before)));
        if self.changes.push(path.clone(), gone) {
            let mut behind = self.changes.head();
            self.readers.all(|readers| {
                let oldest = readers.all.iter().filter_map(|(_, reader)| reader.behind()).min();
                behind = behind.min(oldest.unwrap_or(behind));
            });
            self.changes.forget(behind);
        }
        wakers
    }

    /// Has the reader rung for what may concern the subtree below `top`, once. Returns its place there.
    pub(super) fn attach(&mut self, top: &Path, reader: &Arc<Reader>) -> usize {
        let readers = self.readers.get_or_insert_with(top.as_str(), Readers::default);
        let place = readers.all.insert(reader.clone());
        readers.waiting.lock().insert(place);
        place
    }

    /// Has it rung once more.
    pub(super) fn wait(&self, top: &Path, place: usize) {
        if let Some(readers) = self.readers.get(top.as_str()) {
            readers.waiting.lock().insert(place);
        }
    }

    pub(super) fn detach(&mut self, top: &Path, place: usize) {
        let Some(readers) = self.readers.get_mut(top.as_str()) else { return };
        readers.all.remove(place);
        readers.waiting.lock().remove(&place);
        if readers.all.is_empty() {
            self.readers.take(top.as_str());
        }
    }

    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.tree.is_bare() && self.readers.is_bare()
    }
}
