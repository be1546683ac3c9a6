use std::sync::OnceLock;

use super::*;

/// Something that is kept.
struct Kept {
    charge: OnceLock<Charge>,
}

impl Kept {
    /// Keeps `bytes` on `account`, ready to be evicted.
    fn new(account: &Account, bytes: u64) -> Arc<Self> {
        let kept = Self::pinned(account);
        kept.charge().grow(bytes).unwrap();
        kept.charge().unpin();
        kept
    }

    fn pinned(account: &Account) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| {
            let charge = account.charge(this.clone());
            Self { charge: OnceLock::from(charge) }
        })
    }

    fn charge(&self) -> &Charge {
        self.charge.get().unwrap()
    }

    fn is_evicted(&self) -> bool {
        self.charge().entry.bytes.lock().is_none()
    }
}

impl Evict for Kept {
    fn evict(&self) {
        self.charge().release();
    }
}

#[test]
fn what_was_used_least_recently_goes_first() {
    let budget = Budget::with_policy(Policy { capacity: 300, per_broadcast: 300, ..Policy::default() });
    let account = budget.account();
    let [first, second, third] = [(); 3].map(|()| Kept::new(&account, 100));
    assert_eq!(budget.used(), 300);

    first.charge().touch();
    let fourth = Kept::new(&account, 100);
    assert!(second.is_evicted());
    let fifth = Kept::new(&account, 100);
    assert!(third.is_evicted());
    let _sixth = Kept::new(&account, 100);
    assert!(first.is_evicted(), "it was used before the fourth came");
    assert!(!fourth.is_evicted() && !fifth.is_evicted());
    assert_eq!((budget.used(), budget.evictions()), (300, 3));
}

#[test]
fn what_is_pinned_stays_even_when_nothing_fits() {
    let budget = Budget::with_policy(Policy { capacity: 100, per_broadcast: 100, ..Policy::default() });
    let account = budget.account();
    let newest = Kept::pinned(&account);
    newest.charge().grow(80).unwrap();

    assert_eq!(newest.charge().grow(30), Err(ChargeError::Full));
    let other = Kept::pinned(&account);
    assert_eq!(other.charge().grow(30), Err(ChargeError::Full));
    assert_eq!(budget.used(), 80, "what does not fit is not charged");
    assert!(!newest.is_evicted());

    newest.charge().unpin();
    other.charge().grow(30).unwrap();
    assert!(newest.is_evicted());
    assert_eq!(budget.used(), 30);
}

#[test]
fn a_broadcast_over_its_share_evicts_its_own() {
    let budget = Budget::with_policy(Policy { capacity: 1000, per_broadcast: 200, ..Policy::default() });
    let (quiet, loud) = (budget.account(), budget.account());
    let oldest = Kept::new(&quiet, 200);
    let [own, newer] = [(); 2].map(|()| Kept::new(&loud, 100));
    let _newest = Kept::new(&loud, 50);
    assert!(own.is_evicted());
    assert!(!oldest.is_evicted() && !newer.is_evicted());
    assert_eq!((quiet.used(), loud.used(), budget.used()), (200, 150, 350));
}

#[test]
fn the_last_holder_gives_the_bytes_back() {
    let budget = Budget::new(1000);
    let account = budget.account();
    let kept = Kept::new(&account, 100);
    let holder = kept.clone();
    drop(kept);
    assert_eq!(budget.used(), 100);
    drop(holder);
    assert_eq!((budget.used(), account.used()), (0, 0));
    let order = budget.shared.order.lock();
    assert!(order.all.is_empty() && order.by_account.is_empty());
}

#[test]
fn what_was_evicted_keeps_nothing_more() {
    let budget = Budget::with_policy(Policy { capacity: 100, per_broadcast: 100, ..Policy::default() });
    let account = budget.account();
    let old = Kept::new(&account, 100);
    let _new = Kept::new(&account, 60);
    assert_eq!(old.charge().grow(1), Err(ChargeError::Evicted));
    old.charge().unpin();
    drop(old);
    assert_eq!(budget.used(), 60);
}

#[test]
fn threads_that_evict_each_other_leave_the_books_in_order() {
    let budget = Budget::with_policy(Policy { capacity: 5000, per_broadcast: 3000, ..Policy::default() });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let account = budget.account();
                let mut kept = std::collections::VecDeque::new();
                for round in 0..2000 {
                    let thing = Kept::pinned(&account);
                    // Another thread may have filled the cache with what is pinned, for a moment.
                    let fits = thing.charge().grow(100 + round % 7).is_ok();
                    thing.charge().unpin();
                    thing.charge().touch();
                    assert!(fits || !thing.is_evicted());
                    kept.push_back(thing);
                    if kept.len() > 40 {
                        kept.pop_front();
                    }
                }
            });
        }
    });
    assert_eq!(budget.used(), 0);
    assert!(budget.evictions() > 0);
    assert!(budget.shared.order.lock().all.is_empty());
}

#[test]
fn a_track_is_kept_as_long_as_it_says_within_limits() {
    let seconds = Duration::from_secs;
    let policy = Policy { min_age: seconds(2), max_age: seconds(30), ..Policy::default() };
    for (asked, kept) in [(0, 2), (2, 2), (5, 5), (30, 30), (31, 30)] {
        assert_eq!(policy.retention(seconds(asked)), seconds(kept), "asked for {asked} s");
    }
}
