//! Reports: what a viewer, which never waits, tells the conversation that made it, which does.

use std::{
    cell::RefCell,
    future::poll_fn,
    task::{Poll, Waker},
};

use moq_proto::CloseCode;

/// What the conversation that made a viewer learns from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything was delivered, or will never be.
    Complete,
    Failed(CloseCode),
    /// The viewer's connection is gone.
    Gone,
    Panicked,
}

/// A viewer's news for its conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// The lowest group that is or may yet be delivered.
    pub(super) first: Option<u64>,
    /// No group at or above this will exist.
    pub(super) end: Option<u64>,
    pub(super) outcome: Option<Outcome>,
}

#[derive(Default)]
pub(super) struct Report {
    state: RefCell<(News, Option<Waker>)>,
}

impl Report {
    pub(super) fn news(&self) -> News {
        self.state.borrow().0
    }

    pub(super) fn tell(&self, change: impl FnOnce(&mut News)) {
        let waker = {
            let (news, waker) = &mut *self.state.borrow_mut();
            let before = *news;
            change(news);
            if *news == before { None } else { waker.take() }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits for news that differ from `known`.
    pub(super) async fn changed(&self, known: News) -> News {
        poll_fn(|cx| {
            let (news, waker) = &mut *self.state.borrow_mut();
            if *news != known {
                return Poll::Ready(*news);
            }
            *waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}
