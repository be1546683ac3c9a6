//! Waiting: an operation that a library offers only as a future, asked for by poll.
//!
//! Such a future holds the registration that wakes its task, so it has to outlive the poll that made it.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;

/// An operation repeated without end, such as accepting the next stream. Nothing is allocated before the first wait.
///
/// A clone starts idle: an unfinished operation stays with the handle that began it.
pub(super) struct Waiting<T> {
    results: Option<Pin<Box<dyn Stream<Item = T> + Send + Sync>>>,
}

impl<T> Waiting<T> {
    /// Whether nothing waits yet, so that trying once on the stack may spare the allocation.
    pub(super) fn is_idle(&self) -> bool {
        self.results.is_none()
    }

    /// The next result of what `begin` repeats. `begin` is called on the first poll of this handle only.
    pub(super) fn poll<S>(&mut self, cx: &mut Context<'_>, begin: impl FnOnce() -> S) -> Poll<T>
    where
        S: Stream<Item = T> + Send + Sync + 'static,
    {
        match self.results.get_or_insert_with(|| Box::pin(begin())).as_mut().poll_next(cx) {
            Poll::Ready(Some(result)) => Poll::Ready(result),
            // The operations repeat without end; a stream that ended all the same has nothing more to say.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { results: None }
    }
}

impl<T> Clone for Waiting<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> fmt::Debug for Waiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("idle", &self.is_idle()).finish()
    }
}
