//! Shard: one thread with its own runtime, its endpoint, its viewers and its sessions.
//!
//! What lives on a shard stays there: sessions need no lock, and one shard's load does not stop another. Shards meet only
//! in the model.

use std::thread;

use anyhow::{Context as _, anyhow};
use tokio::{runtime, sync::oneshot, task::LocalSet};

/// A running shard.
#[derive(Debug)]
pub(crate) struct Shard {
    name: &'static str,
    ended: oneshot::Receiver<anyhow::Result<()>>,
}

impl Shard {
    /// Starts a thread that lives as long as the future `life` makes there, and waits until that says it is ready.
    ///
    /// # Errors
    /// When the system gives no thread, and whatever ends `life` before it is ready.
    pub(crate) async fn start<T, F, L>(name: &'static str, life: F) -> anyhow::Result<(Self, T)>
    where
        T: Send + 'static,
        F: FnOnce(oneshot::Sender<T>) -> L + Send + 'static,
        L: Future<Output = anyhow::Result<()>>,
    {
        let (ready, is_ready) = oneshot::channel();
        let (done, ended) = oneshot::channel();
        let thread = thread::Builder::new().name(name.into());
        thread.spawn(move || done.send(live(|| life(ready)))).with_context(|| format!("starting the thread of shard {name}"))?;

        let shard = Self { name, ended };
        match is_ready.await {
            Ok(ready) => Ok((shard, ready)),
            Err(_) => Err(shard.ended().await.err().unwrap_or_else(|| anyhow!("shard {name} ended before it was ready"))),
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// What it ended with, a panic included.
    pub(crate) async fn ended(self) -> anyhow::Result<()> {
        let ended = self.ended.await.unwrap_or_else(|_| Err(anyhow!("panicked")));
        ended.with_context(|| format!("shard {}", self.name))
    }
}

fn live<L: Future<Output = anyhow::Result<()>>>(life: impl FnOnce() -> L) -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
    LocalSet::new().block_on(&runtime, async { life().await })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_shard_that_panics_says_so() {
        let (shard, ()) = Shard::start("test", |ready| async {
            ready.send(()).unwrap();
            panic!("on purpose")
        })
        .await
        .unwrap();

        let error = shard.ended().await.unwrap_err();
        assert_eq!(format!("{error:#}"), "shard test: panicked");
    }

    #[tokio::test]
    async fn a_shard_that_cannot_start_says_why() {
        let started = Shard::start("test", |_: oneshot::Sender<()>| async { Err(anyhow!("no socket")) }).await;

        assert_eq!(format!("{:#}", started.unwrap_err()), "shard test: no socket");
    }

    #[tokio::test]
    async fn tasks_of_a_shard_stay_on_its_thread() {
        let (shard, here) = Shard::start("test", |ready| async {
            let here = thread::current().id();
            let there = tokio::task::spawn_local(async { thread::current().id() }).await?;
            ready.send(here == there).unwrap();
            Ok(())
        })
        .await
        .unwrap();

        assert!(here);
        shard.ended().await.unwrap();
    }
}
