//! A session's tasks: futures that run inside the session's own, so that dropping it ends them all.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use futures::stream::{FuturesUnordered, StreamExt};

use super::Error;

type Task = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

/// Starts tasks from inside others.
#[derive(Clone, Default)]
pub(super) struct Spawner {
    started: Rc<RefCell<Vec<Task>>>,
}

impl Spawner {
    /// Starts `task` within the turn. An error of it ends the session.
    pub(super) fn spawn(&self, task: impl Future<Output = Result<(), Error>> + 'static) {
        self.started.borrow_mut().push(Box::pin(task));
    }
}

/// Everything a session is busy with.
pub(super) struct Tasks {
    running: FuturesUnordered<Task>,
    spawner: Spawner,
}

impl Tasks {
    pub(super) fn new(spawner: Spawner) -> Self {
        Self { running: FuturesUnordered::new(), spawner }
    }

    /// Runs until a task fails, or none is left. Tasks start tasks only while they are polled here, so none is missed.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            self.running.extend(self.spawner.started.borrow_mut().drain(..));
            match self.running.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(()))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) if self.spawner.started.borrow().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(None) => {}
                Poll::Pending if self.spawner.started.borrow().is_empty() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        // Tasks hold what holds the spawner: one that was never polled would keep itself alive.
        let never_polled = std::mem::take(&mut *self.spawner.started.borrow_mut());
        drop(never_polled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_start_tasks_and_end_with_the_last() {
        let (spawner, done) = (Spawner::default(), Rc::new(RefCell::new(Vec::new())));
        let (inner, first, second) = (spawner.clone(), done.clone(), done.clone());
        spawner.spawn(async move {
            first.borrow_mut().push("first");
            inner.spawn(async move {
                second.borrow_mut().push("second");
                Ok(())
            });
            tokio::task::yield_now().await;
            Ok(())
        });
        assert_eq!(Tasks::new(spawner).run().await, Ok(()));
        assert_eq!(*done.borrow(), ["first", "second"]);
    }

    #[tokio::test]
    async fn nothing_outlives_a_session_that_fails() {
        let (spawner, kept) = (Spawner::default(), Rc::new(()));
        // Holds the spawner, as every task of a session does through what they share.
        let (inner, held) = (spawner.clone(), kept.clone());
        spawner.spawn(async move {
            let (again, held_too) = (inner.clone(), held.clone());
            inner.spawn(async move {
                let _held = (again, held_too);
                std::future::pending().await
            });
            Err(Error::Internal("a test"))
        });
        assert_eq!(Tasks::new(spawner).run().await, Err(Error::Internal("a test")));
        assert_eq!(Rc::strong_count(&kept), 1);
    }
}
