//! Control state: a value behind one lock, and those who wait for it to change.
//!
//! For announcements, demand and requests, which change seldom. Nothing on the road of a frame is kept here; that has
//! [`bell`](super::bell).

use std::{
    fmt,
    future::poll_fn,
    ops::{Deref, DerefMut},
    sync::{Arc, MutexGuard},
    task::{Context, Poll, Waker},
};

use slab::Slab;
use smallvec::SmallVec;

use super::lock::Lock;

type Wakers = SmallVec<[Waker; 4]>;

/// A value that can be waited for.
pub(crate) struct Watch<T> {
    inner: Lock<Inner<T>>,
}

struct Inner<T> {
    value: T,
    /// One place for each [`Waiter`] that ever waited; empty while it does not.
    waiting: Slab<Option<Waker>>,
}

impl<T> Watch<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { inner: Lock::new(Inner { value, waiting: Slab::new() }) }
    }

    /// Locks the value. Changing it through the guard wakes everybody who waits, once the lock is free again.
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        Guard { inner: Some(self.inner.lock()), changed: false }
    }

    /// Wakes everybody who waits, for what they look at beside the value.
    pub(crate) fn notify(&self) {
        self.lock().changed = true;
    }
}

impl<T: fmt::Debug> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&*self.lock()).finish()
    }
}

/// The locked value. Taking it mutably counts as a change.
pub(crate) struct Guard<'a, T> {
    /// `None` only while it is dropped.
    inner: Option<MutexGuard<'a, Inner<T>>>,
    changed: bool,
}

impl<T> Guard<'_, T> {
    /// Everybody who waits, if the value changed.
    fn take_woken(&mut self) -> Wakers {
        match &mut self.inner {
            Some(inner) if std::mem::take(&mut self.changed) => {
                inner.waiting.iter_mut().filter_map(|(_, waker)| waker.take()).collect()
            }
            _ => Wakers::new(),
        }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner.as_ref().expect("held until dropped").value
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.inner.as_mut().expect("held until dropped").value
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        let wakers = self.take_woken();
        self.inner = None;
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// One who waits for a [`Watch`]; its place there is reused from wait to wait and freed with it.
pub(crate) struct Waiter<T> {
    watch: Arc<Watch<T>>,
    place: Option<usize>,
}

impl<T> Waiter<T> {
    pub(crate) fn new(watch: Arc<Watch<T>>) -> Self {
        Self { watch, place: None }
    }

    /// Asks `check` now and, as long as it is pending, whenever the value has changed.
    pub(crate) fn poll<R>(&mut self, cx: &mut Context<'_>, check: impl FnOnce(&mut Guard<'_, T>) -> Poll<R>) -> Poll<R> {
        let mut guard = self.watch.lock();
        let result = check(&mut guard);
        if result.is_pending() {
            // A check that changes something and still waits must not wake itself for it.
            let wakers = guard.take_woken();
            if let Some(inner) = &mut guard.inner {
                let place = *self.place.get_or_insert_with(|| inner.waiting.insert(None));
                inner.waiting[place] = Some(cx.waker().clone());
            }
            drop(guard);
            wakers.into_iter().for_each(Waker::wake);
        }
        result
    }

    /// Waits until `check` is ready. Cancel safe.
    pub(crate) async fn wait<R>(&mut self, mut check: impl FnMut(&mut Guard<'_, T>) -> Poll<R>) -> R {
        poll_fn(|cx| self.poll(cx, &mut check)).await
    }
}

impl<T> Clone for Waiter<T> {
    fn clone(&self) -> Self {
        Self::new(self.watch.clone())
    }
}

impl<T> fmt::Debug for Waiter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter").field("place", &self.place).finish_non_exhaustive()
    }
}

impl<T> Drop for Waiter<T> {
    fn drop(&mut self) {
        if let Some(place) = self.place
            && let Some(inner) = &mut self.watch.lock().inner
        {
            inner.waiting.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, task::noop_waker_ref};

    use super::{super::bell::tests::counting_waker, *};

    fn is_three(value: &mut Guard<'_, u32>) -> Poll<u32> {
        if **value == 3 { Poll::Ready(**value) } else { Poll::Pending }
    }

    #[tokio::test]
    async fn a_waiter_sleeps_until_the_value_suits_it() {
        let watch = Arc::new(Watch::new(0));
        let mut waiter = Waiter::new(watch.clone());
        let mut waiting = Box::pin(waiter.wait(is_three));
        assert_eq!(waiting.as_mut().now_or_never(), None);

        *watch.lock() = 2;
        assert_eq!(waiting.as_mut().now_or_never(), None);
        *watch.lock() = 3;
        assert_eq!(waiting.await, 3);
    }

    #[test]
    fn looking_wakes_nobody_and_changing_wakes_each_once() {
        let watch = Arc::new(Watch::new(0));
        let (waker, count) = counting_waker();
        let mut waiters: Vec<_> = (0..3).map(|_| Waiter::new(watch.clone())).collect();
        for waiter in &mut waiters {
            assert!(waiter.poll(&mut Context::from_waker(&waker), is_three).is_pending());
        }
        assert_eq!(*watch.lock(), 0);
        assert_eq!(count.get(), 0);
        *watch.lock() = 1;
        assert_eq!(count.get(), 3);
        *watch.lock() = 2;
        assert_eq!(count.get(), 3, "nobody waits any more");
    }

    #[test]
    fn waiters_leave_no_trace() {
        let watch = Arc::new(Watch::new(0));
        for _ in 0..10 {
            let mut waiter = Waiter::new(watch.clone());
            for _ in 0..10 {
                assert!(waiter.poll(&mut Context::from_waker(noop_waker_ref()), is_three).is_pending());
            }
            assert_eq!(watch.inner.lock().waiting.len(), 1);
        }
        assert!(watch.inner.lock().waiting.is_empty());
    }

    #[test]
    fn a_check_that_changes_something_does_not_wake_itself() {
        let watch = Arc::new(Watch::new(0));
        let (waker, count) = counting_waker();
        let mut waiter = Waiter::new(watch);
        let checked = waiter.poll(&mut Context::from_waker(&waker), |value| {
            **value += 1;
            Poll::<()>::Pending
        });
        assert!(checked.is_pending());
        assert_eq!(count.get(), 0);
    }
}
