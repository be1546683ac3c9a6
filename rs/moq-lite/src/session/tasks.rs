//! A session's tasks: futures that run inside the session's own, so that dropping it ends them all.
//!
//! Those that take in media come first in every turn, and once more when the session ends: a peer that says its last words and
//! leaves is heard to the end, as far as they have arrived.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::stream::{FuturesUnordered, StreamExt};

use super::Error;

type Task = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

/// Longest time that what has arrived of a peer that is gone is read. It is all here, so nothing waits but for its turn.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Starts tasks from inside others.
#[derive(Clone, Default)]
pub(super) struct Spawner {
    started: Rc<RefCell<Vec<Task>>>,
    /// Those that take in media.
    arriving: Rc<RefCell<Vec<Task>>>,
}

impl Spawner {
    /// Starts `task` within the turn. An error of it ends the session.
    pub(super) fn spawn(&self, task: impl Future<Output = Result<(), Error>> + 'static) {
        self.started.borrow_mut().push(Box::pin(task));
    }

    /// Starts a task that takes in media: it is asked before all others.
    pub(super) fn spawn_arriving(&self, task: impl Future<Output = Result<(), Error>> + 'static) {
        self.arriving.borrow_mut().push(Box::pin(task));
    }

    fn has_started(&self) -> bool {
        !self.started.borrow().is_empty() || !self.arriving.borrow().is_empty()
    }
}

/// Everything a session is busy with.
pub(super) struct Tasks {
    arriving: FuturesUnordered<Task>,
    running: FuturesUnordered<Task>,
    spawner: Spawner,
}

impl Tasks {
    pub(super) fn new(spawner: Spawner) -> Self {
        Self { arriving: FuturesUnordered::new(), running: FuturesUnordered::new(), spawner }
    }

    /// Runs until a task fails, or none is left. Tasks start tasks only while they are polled here, so none is missed.
    pub(super) async fn run(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Takes in what has arrived of a peer that is gone: its media, until the streams have told their ends, and then what it
    /// said of it. A track whose end was announced before the peer left is over; it is not lost.
    pub(super) async fn drain(&mut self) {
        let drained = poll_fn(|cx| {
            // How the session ended is known; how its streams do is told to their readers.
            while ready!(self.poll_arriving(cx)).is_some() {}
            Poll::Ready(())
        });
        let _ = tokio::time::timeout(DRAIN_MAX, drained).await;
        // What was just read may have used up the turn.
        tokio::task::unconstrained(poll_fn(|cx| {
            while matches!(self.poll_running(cx), Poll::Ready(Some(_))) {}
            Poll::Ready(())
        }))
        .await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let arrived = self.poll_arriving(cx);
            if let Poll::Ready(Some(Err(error))) = arrived {
                return Poll::Ready(Err(error));
            }
            let ran = self.poll_running(cx);
            match (arrived, ran) {
                (_, Poll::Ready(Some(Err(error)))) => return Poll::Ready(Err(error)),
                (_, Poll::Ready(Some(Ok(())))) | (Poll::Ready(Some(_)), _) => {}
                _ if self.spawner.has_started() => {}
                (Poll::Ready(None), Poll::Ready(None)) => return Poll::Ready(Ok(())),
                _ => return Poll::Pending,
            }
        }
    }

    fn poll_running(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), Error>>> {
        self.running.extend(self.spawner.started.borrow_mut().drain(..));
        self.running.poll_next_unpin(cx)
    }

    fn poll_arriving(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), Error>>> {
        loop {
            self.arriving.extend(self.spawner.arriving.borrow_mut().drain(..));
            let arrived = self.arriving.poll_next_unpin(cx);
            if !matches!(arrived, Poll::Ready(Some(_))) && !self.spawner.arriving.borrow().is_empty() {
                continue;
            }
            return arrived;
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        // Tasks hold what holds the spawner: one that was never polled would keep itself alive.
        let never_polled = [self.spawner.started.take(), self.spawner.arriving.take()];
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
    async fn media_comes_before_all_else_and_is_read_to_its_end() {
        let (spawner, done) = (Spawner::default(), Rc::new(RefCell::new(Vec::new())));
        let (inner, talk, accept) = (spawner.clone(), done.clone(), done.clone());
        spawner.spawn(async move {
            talk.borrow_mut().push("talk");
            Err(Error::Internal("a test"))
        });
        spawner.spawn_arriving(async move {
            accept.borrow_mut().push("accept");
            inner.spawn_arriving(async move {
                accept.borrow_mut().push("group");
                tokio::task::yield_now().await;
                accept.borrow_mut().push("the rest of it");
                Ok(())
            });
            std::future::pending::<()>().await;
            Ok(())
        });
        let mut tasks = Tasks::new(spawner);
        assert_eq!(tasks.run().await, Err(Error::Internal("a test")));
        assert_eq!(*done.borrow(), ["accept", "group", "talk"]);
        tasks.drain().await;
        assert_eq!(done.borrow().last(), Some(&"the rest of it"));
    }

    #[tokio::test]
    async fn what_was_said_of_media_is_heard_after_the_media() {
        let (spawner, done) = (Spawner::default(), Rc::new(RefCell::new(Vec::new())));
        let (inner, accept, talk) = (spawner.clone(), done.clone(), done.clone());
        spawner.spawn_arriving(async move {
            accept.borrow_mut().push("group");
            tokio::task::yield_now().await;
            accept.borrow_mut().push("the rest of it");
            inner.spawn(async move {
                talk.borrow_mut().push("the track is over");
                std::future::pending().await
            });
            Ok(())
        });
        Tasks::new(spawner).drain().await;
        assert_eq!(*done.borrow(), ["group", "the rest of it", "the track is over"]);
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
