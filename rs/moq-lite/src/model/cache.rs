//! The cache's budget: how many bytes of groups the process keeps, and which go first.
//!
//! A [`Budget`] is the whole process's, an [`Account`] one broadcast's, a [`Charge`] one group's. When bytes are short, what
//! was used least recently is evicted, of the same broadcast when that one is over its share. What is pinned (the newest
//! group of each track) stays. How long groups are kept when there is room is the track's matter; the figures are here.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::lock::Lock;

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Bytes of all groups together.
    pub capacity: u64,
    /// Bytes of one broadcast's groups.
    pub per_broadcast: u64,
    /// Groups are kept at least this long behind the live edge, whatever their track says.
    pub min_age: Duration,
    /// Groups are kept at most this long behind the live edge, whatever their track says. Both go by the times of frames.
    pub max_age: Duration,
    /// A track keeps its groups this long after its last reader has left.
    pub linger: Duration,
}

impl Policy {
    /// How long a track's groups are kept when the track itself asks for `max_age`.
    pub fn retention(&self, max_age: Duration) -> Duration {
        max_age.min(self.max_age).max(self.min_age)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            capacity: 1 << 30,
            per_broadcast: 256 << 20,
            min_age: Duration::ZERO,
            max_age: Duration::from_secs(30),
            linger: Duration::from_secs(30),
        }
    }
}

/// The bytes of the whole process. Clones share them.
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

struct Shared {
    policy: Policy,
    used: AtomicU64,
    evictions: AtomicU64,
    /// Counts accounts, and uses of what is kept: a later use has a higher number.
    counter: AtomicU64,
    order: Lock<Order>,
}

/// Everything that may be evicted, by the number of its last use as far as it was noticed.
#[derive(Default)]
struct Order {
    all: BTreeMap<u64, Arc<Entry>>,
    by_account: BTreeMap<(u64, u64), Arc<Entry>>,
}

impl Order {
    fn insert(&mut self, entry: &Arc<Entry>) {
        let used = entry.used_at.load(Ordering::Relaxed);
        entry.placed_at.store(used, Ordering::Relaxed);
        self.all.insert(used, entry.clone());
        self.by_account.insert((entry.account.id, used), entry.clone());
    }

    /// Returns the use it was placed by.
    fn remove(&mut self, entry: &Entry) -> u64 {
        let placed = entry.placed_at.swap(0, Ordering::Relaxed);
        self.all.remove(&placed);
        self.by_account.remove(&(entry.account.id, placed));
        placed
    }

    fn first(&self, account: Option<u64>) -> Option<Arc<Entry>> {
        match account {
            None => self.all.values().next().cloned(),
            Some(id) => self.by_account.range((id, 0)..=(id, u64::MAX)).next().map(|(_, entry)| entry.clone()),
        }
    }
}

impl Budget {
    /// A budget of `capacity` bytes, one broadcast may take a quarter of it, and the default times.
    pub fn new(capacity: u64) -> Self {
        Self::with_policy(Policy { capacity, per_broadcast: capacity / 4, ..Policy::default() })
    }

    pub fn with_policy(policy: Policy) -> Self {
        let (used, evictions, counter) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(1));
        Self { shared: Arc::new(Shared { policy, used, evictions, counter, order: Lock::default() }) }
    }

    pub fn policy(&self) -> &Policy {
        &self.shared.policy
    }

    /// Bytes kept now.
    pub fn used(&self) -> u64 {
        self.shared.used.load(Ordering::Relaxed)
    }

    /// Groups evicted so far.
    pub fn evictions(&self) -> u64 {
        self.shared.evictions.load(Ordering::Relaxed)
    }

    /// A new broadcast's share.
    pub fn account(&self) -> Account {
        let id = self.shared.counter.fetch_add(1, Ordering::Relaxed);
        Account { inner: Arc::new(AccountInner { id, budget: self.shared.clone(), used: AtomicU64::new(0) }) }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::with_policy(Policy::default())
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("policy", &self.shared.policy).field("used", &self.used()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Evicts what was used least recently. `None`: all that is left is pinned.
    fn evict_one(&self, account: Option<u64>) -> Option<()> {
        let entry = loop {
            let mut order = self.order.lock();
            let entry = order.first(account)?;
            let placed = order.remove(&entry);
            if entry.used_at.load(Ordering::Relaxed) == placed {
                break entry;
            }
            // Used since it was placed: it is not the oldest after all.
            order.insert(&entry);
        };
        self.evictions.fetch_add(1, Ordering::Relaxed);
        // A thing that is being dropped gives its bytes back by itself.
        if let Some(thing) = entry.thing.upgrade() {
            thing.evict();
        }
        Some(())
    }
}

/// One broadcast's share of a [`Budget`]. Clones share it.
#[derive(Clone)]
pub struct Account {
    inner: Arc<AccountInner>,
}

struct AccountInner {
    id: u64,
    budget: Arc<Shared>,
    used: AtomicU64,
}

impl Account {
    /// Bytes this broadcast keeps now.
    pub fn used(&self) -> u64 {
        self.inner.used.load(Ordering::Relaxed)
    }

    pub fn policy(&self) -> &Policy {
        &self.inner.budget.policy
    }

    /// Opens the account of one thing, which is pinned at first.
    pub(crate) fn charge(&self, thing: Weak<dyn Evict>) -> Charge {
        let used_at = self.inner.budget.counter.fetch_add(1, Ordering::Relaxed);
        Charge {
            entry: Arc::new(Entry {
                account: self.inner.clone(),
                thing,
                bytes: Lock::new(Some(0)),
                used_at: AtomicU64::new(used_at),
                placed_at: AtomicU64::new(0),
            }),
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("id", &self.inner.id).field("used", &self.used()).finish_non_exhaustive()
    }
}

/// A thing that can let go of its bytes.
pub(crate) trait Evict: Send + Sync {
    /// Drops the bytes, releases the [`Charge`] and tells the readers.
    fn evict(&self);
}

struct Entry {
    account: Arc<AccountInner>,
    thing: Weak<dyn Evict>,
    /// `None` once released.
    bytes: Lock<Option<u64>>,
    used_at: AtomicU64,
    /// Where it stands in the order; 0 while it does not. Changed under the order's lock.
    placed_at: AtomicU64,
}

/// The bytes that one thing keeps. They are given back when it is released, and with its last holder.
pub(crate) struct Charge {
    entry: Arc<Entry>,
}

/// Why bytes cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChargeError {
    /// Everything else that is kept is pinned.
    #[error("the cache is full")]
    Full,
    #[error("evicted from the cache")]
    Evicted,
}

impl Charge {
    /// Keeps `bytes` more, evicting others as long as there are too many. Not to be called under any lock.
    ///
    /// # Errors
    /// When there is no room, or it was released before; the bytes are not charged then.
    pub(crate) fn grow(&self, bytes: u64) -> Result<(), ChargeError> {
        self.add(bytes)?;
        self.make_room().inspect_err(|_| self.shrink(bytes))
    }

    /// Keeps `bytes` more, before there is [room](Self::make_room) for them.
    pub(crate) fn add(&self, bytes: u64) -> Result<(), ChargeError> {
        let kept = &mut *self.entry.bytes.lock();
        *kept.as_mut().ok_or(ChargeError::Evicted)? += bytes;
        self.entry.account.used.fetch_add(bytes, Ordering::Relaxed);
        self.entry.account.budget.used.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Evicts others as long as too much is kept. Not to be called under any lock.
    pub(crate) fn make_room(&self) -> Result<(), ChargeError> {
        let (account, budget) = (&self.entry.account, &self.entry.account.budget);
        let over = |used: &AtomicU64, limit: u64| used.load(Ordering::Relaxed) > limit;
        while over(&account.used, budget.policy.per_broadcast) {
            budget.evict_one(Some(account.id)).ok_or(ChargeError::Full)?;
        }
        while over(&budget.used, budget.policy.capacity) {
            budget.evict_one(None).ok_or(ChargeError::Full)?;
        }
        Ok(())
    }

    fn shrink(&self, bytes: u64) {
        if let Some(kept) = &mut *self.entry.bytes.lock() {
            *kept -= bytes;
            self.entry.give_back(bytes);
        }
    }

    /// Notes that somebody uses it.
    pub(crate) fn touch(&self) {
        let now = self.entry.account.budget.counter.fetch_add(1, Ordering::Relaxed);
        self.entry.used_at.store(now, Ordering::Relaxed);
    }

    /// From now on it may be evicted.
    pub(crate) fn unpin(&self) {
        let mut order = self.entry.account.budget.order.lock();
        if self.entry.placed_at.load(Ordering::Relaxed) == 0 && self.entry.bytes.lock().is_some() {
            order.insert(&self.entry);
        }
    }

    /// Gives everything back, for good.
    pub(crate) fn release(&self) {
        let kept = self.entry.bytes.lock().take();
        if let Some(kept) = kept {
            self.entry.give_back(kept);
        }
        let mut order = self.entry.account.budget.order.lock();
        if self.entry.placed_at.load(Ordering::Relaxed) != 0 {
            order.remove(&self.entry);
        }
    }
}

impl Entry {
    fn give_back(&self, bytes: u64) {
        self.account.used.fetch_sub(bytes, Ordering::Relaxed);
        self.account.budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.release();
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charge").field("bytes", &*self.entry.bytes.lock()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
