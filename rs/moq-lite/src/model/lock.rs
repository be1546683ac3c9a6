//! A lock that a panic elsewhere does not break.
//!
//! A panic ends the session it happened in and no other. What is locked here is consistent between any two statements that
//! change it, so the next holder goes on with it.
//!
//! Order, where more than one is held: questions and what is kept with them, groups of a track, group, image, frames, log,
//! budget, bells, ringer. Under none of them is a waker woken, or a group evicted.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex whose poison is ignored.
#[derive(Debug, Default)]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
