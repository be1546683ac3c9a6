//! Drain: from the signal that ends the relay to the end of its last session.
//!
//! SIGTERM: every peer that can be is asked to leave, and served until it does; what is left after `drain_timeout` is closed.
//! SIGINT: the same in two seconds at most. Another signal: at once. How each part of the relay hears of it is `shutdown`'s.
//! Spec: moq-lite-06, "GOAWAY".

use std::{process::ExitCode, time::Duration};

use anyhow::anyhow;
use futures::{
    future::LocalBoxFuture,
    stream::{FuturesUnordered, StreamExt as _},
};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::{
    metrics::Metrics,
    shard::Shard,
    shutdown::{Farewell, Shutdown, Signal, Signals},
};

/// How long sessions and answers may take to end once they are closed. Closing takes a round trip or two.
const GRACE: Duration = Duration::from_secs(3);

/// The same after another signal: long enough for what is closed to be said, and not for an answer.
const AT_ONCE: Duration = Duration::from_millis(50);

/// Shards that have not ended, as their ends.
type Running = FuturesUnordered<LocalBoxFuture<'static, anyhow::Result<()>>>;

/// A relay that runs, seen from its end.
pub(crate) struct Drain {
    /// Where there are sessions. They end when nobody new is let in and the last session has gone.
    serving: Running,
    /// What sessions need for as long as there are any. They end when all is closed.
    helping: Running,
    shutdown: Shutdown,
    signals: Signals,
    /// How long peers may take to leave after SIGTERM. Zero: they are not asked.
    drain_timeout: Duration,
    metrics: Metrics,
}

/// How a drain ended.
enum Drained {
    /// Everybody has left.
    Empty,
    /// Somebody has not.
    Overdue,
    /// Another signal came first.
    Again(Signal),
    /// A shard failed.
    Failed(anyhow::Error),
}

impl Drain {
    pub(crate) fn new(
        (serving, helping): (Vec<Shard>, Vec<Shard>),
        shutdown: Shutdown,
        signals: Signals,
        drain_timeout: Duration,
        metrics: Metrics,
    ) -> Self {
        let running = |shards: Vec<Shard>| shards.into_iter().map(|shard| Box::pin(shard.ended()) as _).collect();
        Self { serving: running(serving), helping: running(helping), shutdown, signals, drain_timeout, metrics }
    }

    /// Waits for a signal or the failure of a shard, and then for the end of all there is. Returns what the process ends with.
    ///
    /// # Errors
    /// Why a shard failed.
    pub(crate) async fn run(mut self) -> anyhow::Result<ExitCode> {
        let signal = tokio::select! {
            signal = self.signals.next() => signal,
            Some(ended) = self.serving.next() => return self.failed(early(ended)).await,
            Some(ended) = self.helping.next() => return self.failed(early(ended)).await,
        };
        let patience = signal.patience(self.drain_timeout);
        info!(%signal, ?patience, sessions = self.metrics.open_sessions(), "stopping");
        if patience.is_zero() {
            return Ok(self.close(Farewell::GoingAway).await);
        }
        let (began, sessions) = (Instant::now(), self.metrics.open_sessions());
        let code = match self.leave(patience).await {
            Drained::Empty => self.close(Farewell::GoingAway).await,
            Drained::Overdue => self.close(Farewell::Overdue).await,
            Drained::Again(signal) => self.at_once(signal).await,
            Drained::Failed(error) => return self.failed(error).await,
        };
        let (lasted, forced) = (began.elapsed(), self.metrics.drain_forced());
        match forced {
            0 => info!(?lasted, sessions, forced, "drained"),
            _ => warn!(?lasted, sessions, forced, "drained, and closed sessions that had not left"),
        }
        Ok(code)
    }

    /// Asks everybody to leave, and waits for that.
    async fn leave(&mut self, patience: Duration) -> Drained {
        self.shutdown.drain();
        let is_empty = async {
            while let Some(ended) = self.serving.next().await {
                if let Err(error) = ended {
                    return Drained::Failed(error);
                }
            }
            Drained::Empty
        };
        tokio::select! {
            biased;
            signal = self.signals.next() => Drained::Again(signal),
            drained = is_empty => drained,
            Some(ended) = self.helping.next() => Drained::Failed(early(ended)),
            () = sleep(patience) => Drained::Overdue,
        }
    }

    /// Closes what is left, and gives it a moment.
    async fn close(&mut self, farewell: Farewell) -> ExitCode {
        self.shutdown.close(farewell);
        let ended = async { tokio::join!(self.serving.by_ref().count(), self.helping.by_ref().count()) };
        tokio::select! {
            biased;
            signal = self.signals.next() => {
                warn!(%signal, "stopped at once");
                signal.exit_code()
            }
            ended = timeout(GRACE, ended) => {
                match ended {
                    Ok(_) => info!("stopped"),
                    Err(_) => warn!(grace = ?GRACE, "stopped before every session had ended"),
                }
                ExitCode::SUCCESS
            }
        }
    }

    /// Closes what is left, and waits no longer than it takes to say so.
    async fn at_once(&mut self, signal: Signal) -> ExitCode {
        warn!(%signal, "stopped at once");
        self.shutdown.close(Farewell::GoingAway);
        let _ = timeout(AT_ONCE, self.serving.by_ref().count()).await;
        signal.exit_code()
    }

    /// Closes what is left after a failure.
    async fn failed(&mut self, error: anyhow::Error) -> anyhow::Result<ExitCode> {
        self.close(Farewell::GoingAway).await;
        Err(error)
    }
}

/// The end of a shard that nobody had asked for.
fn early(ended: anyhow::Result<()>) -> anyhow::Error {
    ended.err().unwrap_or_else(|| anyhow!("a shard ended by itself"))
}
