//! The ready list of a shard: viewers that have something to say to it, such as that there is room again.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

use futures::task::AtomicWaker;

/// The viewers that asked for a visit: just subscribed, changed, or with room again.
#[derive(Default)]
pub(super) struct Ready {
    keys: Mutex<Vec<usize>>,
    waker: AtomicWaker,
}

impl Ready {
    /// The next viewer that asks wakes this waker.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    pub(super) fn take(&self, into: &mut Vec<usize>) {
        into.append(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// One viewer's waker, made once: puts it on the ready list and wakes its shard.
pub(super) struct ViewerBell {
    key: usize,
    rung: AtomicBool,
    ready: Arc<Ready>,
}

impl ViewerBell {
    pub(super) fn new(key: usize, ready: Arc<Ready>) -> Self {
        Self { key, rung: AtomicBool::new(false), ready }
    }

    /// From now on it rings again.
    pub(super) fn rearm(&self) {
        self.rung.store(false, Ordering::Release);
    }
}

impl Wake for ViewerBell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.ready.keys.lock().unwrap_or_else(PoisonError::into_inner).push(self.key);
            self.ready.waker.wake();
        }
    }
}
