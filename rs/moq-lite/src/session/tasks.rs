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
