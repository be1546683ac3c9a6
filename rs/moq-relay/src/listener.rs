//! Listener: one bounded task for everybody who arrives.
//!
//! A task's panic ends that task alone. When the relay drains, nobody new is let in; those inside end by themselves.

use moq_native::{Incoming, Server};
use tokio::task::{JoinError, JoinSet};
use tracing::{Instrument, Span, error, warn};

use crate::{
    metrics::Metrics,
    shutdown::{Phase, Stopping},
};

/// Sessions at a time on one listener, those still on their way in included. At a quarter of a MiB each this is 2.5 GiB.
pub(crate) const TASKS_MAX: usize = 10_000;

/// Where newcomers come from.
pub(crate) trait Arrivals {
    type Newcomer: 'static;

    /// The next one; `None` once there will be no more.
    ///
    /// Must be cancel safe: dropping the call loses nobody.
    async fn next(&mut self) -> Option<Self::Newcomer>;

    /// Lets nobody begin any more. Whoever has begun still arrives; others are told no, for as long as the next one is waited for.
    fn close(&mut self);

    /// Turns one away for lack of room, cheaply.
    fn refuse(&self, newcomer: Self::Newcomer);
}

impl Arrivals for Server {
    type Newcomer = Incoming;

    async fn next(&mut self) -> Option<Incoming> {
        self.accept().await
    }

    fn close(&mut self) {
        self.refuse_newcomers();
    }

    fn refuse(&self, newcomer: Incoming) {
        // Dropped unanswered, it costs nothing more.
        drop(newcomer);
    }
}

/// Serves everybody who arrives, in a task each, until the end of arrivals, or until nobody is left after `stopping` has said that
/// the relay drains; once it says that all is closed, waits for those inside.
///
/// Runs on a shard, since its tasks stay on this thread.
pub(crate) async fn run<A, S, F>(arrivals: &mut A, room: usize, metrics: Metrics, mut stopping: Stopping, serve: S)
where
    A: Arrivals,
    S: Fn(A::Newcomer) -> F,
    F: Future<Output = ()> + 'static,
{
    let mut tasks = JoinSet::new();
    let (mut is_full, mut is_draining) = (false, false);
    while !(is_draining && tasks.is_empty()) {
        tokio::select! {
            biased;
            phase = stopping.next() => match phase {
                Phase::Closing(_) => break,
                _ => {
                    is_draining = true;
                    arrivals.close();
                }
            },
            Some(ended) = tasks.join_next() => note(ended, &metrics),
            newcomer = arrivals.next() => match newcomer {
                None => break,
                Some(newcomer) if tasks.len() >= room => {
                    metrics.refused();
                    if !std::mem::replace(&mut is_full, true) {
                        warn!(room, "full: newcomers are turned away");
                    }
                    arrivals.refuse(newcomer);
                }
                Some(newcomer) => {
                    is_full = false;
                    tasks.spawn_local(serve(newcomer).instrument(Span::current()));
                }
            },
        }
    }
    while let Some(ended) = tasks.join_next().await {
        note(ended, &metrics);
    }
}

/// A panic is counted and told; the others go on.
fn note(ended: Result<(), JoinError>, metrics: &Metrics) {
    if let Err(panic) = ended {
        metrics.panicked();
        error!(%panic, "a session ended by a fault of ours");
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use tokio::{sync::mpsc, task::LocalSet};

    use super::*;
    use crate::shutdown::{Farewell, Shutdown};

    struct Names {
        names: mpsc::Receiver<&'static str>,
        refused: Rc<RefCell<Vec<&'static str>>>,
    }

    impl Arrivals for Names {
        type Newcomer = &'static str;

        async fn next(&mut self) -> Option<&'static str> {
            self.names.recv().await
        }

        fn close(&mut self) {
            self.names.close();
        }

        fn refuse(&self, newcomer: &'static str) {
            self.refused.borrow_mut().push(newcomer);
        }
    }

    type Serving = (mpsc::Sender<&'static str>, Rc<RefCell<Vec<&'static str>>>, Names);

    fn names() -> Serving {
        let (sender, names) = mpsc::channel(8);
        let refused = Rc::new(RefCell::new(Vec::new()));
        (sender, refused.clone(), Names { names, refused })
    }

    #[tokio::test]
    async fn a_panic_ends_one_session_alone() {
        let (sender, _, mut names) = names();
        let (metrics, (_shutdown, stopping)) = (Metrics::default(), Shutdown::new());
        let served = Rc::new(RefCell::new(Vec::new()));
        for name in ["alice", "mallory", "bob"] {
            sender.send(name).await.unwrap();
        }
        drop(sender);

        let serve = |name| {
            let served = served.clone();
            async move {
                assert_ne!(name, "mallory");
                tokio::task::yield_now().await;
                served.borrow_mut().push(name);
            }
        };
        LocalSet::new().run_until(run(&mut names, 8, metrics.clone(), stopping, serve)).await;

        served.borrow_mut().sort_unstable();
        assert_eq!(*served.borrow(), ["alice", "bob"]);
        assert!(metrics.read().contains(&("moq_relay_sessions_panicked_total", 1)));
    }

    #[tokio::test]
    async fn a_full_house_turns_newcomers_away_until_somebody_leaves() {
        let (sender, refused, mut names) = names();
        let (metrics, (_shutdown, stopping)) = (Metrics::default(), Shutdown::new());
        let (leave, left) = (Rc::new(tokio::sync::Notify::new()), Rc::new(tokio::sync::Notify::new()));

        let serve = |_| {
            let (leave, left) = (leave.clone(), left.clone());
            async move {
                leave.notified().await;
                left.notify_one();
            }
        };
        let story = async {
            sender.send("first").await.unwrap();
            sender.send("too many").await.unwrap();
            while refused.borrow().is_empty() {
                tokio::task::yield_now().await;
            }
            leave.notify_one();
            left.notified().await;
            sender.send("second").await.unwrap();
            leave.notify_one();
            left.notified().await;
            drop(sender);
        };
        LocalSet::new().run_until(async { tokio::join!(run(&mut names, 1, metrics, stopping, serve), story) }).await;

        assert_eq!(*refused.borrow(), ["too many"]);
    }

    #[tokio::test]
    async fn draining_lets_in_who_has_begun_and_waits_for_those_inside() {
        let (sender, _, mut names) = names();
        let (shutdown, stopping) = Shutdown::new();
        let (served, entered) = (Rc::new(RefCell::new(Vec::new())), Rc::new(tokio::sync::Notify::new()));
        let (inside, told, enter) = (served.clone(), stopping.clone(), entered.clone());
        let serve = |name| {
            let (inside, told, enter) = (inside.clone(), told.clone(), enter.clone());
            async move {
                enter.notify_one();
                told.closing().await;
                inside.borrow_mut().push(name);
            }
        };
        let story = async {
            sender.send("inside").await.unwrap();
            entered.notified().await;
            sender.try_send("on its way").unwrap();
            shutdown.drain();
            sender.closed().await;
            assert!(sender.try_send("late").is_err());
            entered.notified().await;
            shutdown.close(Farewell::Overdue);
        };
        LocalSet::new().run_until(async { tokio::join!(run(&mut names, 8, Metrics::default(), stopping, serve), story) }).await;

        served.borrow_mut().sort_unstable();
        assert_eq!(*served.borrow(), ["inside", "on its way"]);
    }

    #[tokio::test]
    async fn draining_ends_with_the_last_one_inside() {
        let (sender, _, mut names) = names();
        let (shutdown, stopping) = Shutdown::new();
        let told = stopping.clone();
        let serve = |_| {
            let told = told.clone();
            async move { told.draining().await }
        };
        sender.send("inside").await.unwrap();
        shutdown.drain();
        LocalSet::new().run_until(run(&mut names, 8, Metrics::default(), stopping, serve)).await;
    }
}
