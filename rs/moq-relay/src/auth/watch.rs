//! Watching: what ends a lease, noticed in time.
//!
//! Two things four times a second: leases whose time is over end, and files that were changed are read again. Files are
//! looked at rather than listened for: a look costs microseconds, and sees what the notifications of an operating system do
//! not, such as a change on a network volume or a mounted secret that is swapped behind a link. SIGHUP reads them at once.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    task::spawn_blocking,
    time::{Interval, MissedTickBehavior, interval},
};
use tracing::{info, warn};

use super::{
    Auth,
    keys::{FileError, Files, Look},
};
use crate::shutdown::Stopping;

/// Time between two looks. A change is taken by the second look that finds it, so that its writer may finish, and by the third
/// even if he does not: a right that ends does so within a second.
const INTERVAL: Duration = Duration::from_millis(250);

/// Looks that find another state each, after which the files are read although somebody still writes.
const UNSETTLED_MAX: u8 = 3;

/// Looks after leases and files until `stopping`. A thread of its own is best.
///
/// # Errors
/// When the system lets nobody listen for signals, and when reading panics.
pub(crate) async fn run(auth: Arc<Auth>, files: Files, stopping: Stopping, ready: oneshot::Sender<()>) -> anyhow::Result<()> {
    let hangups = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
    // Whoever waits for it may be gone; the end comes with `stopping` then.
    let _ = ready.send(());
    tokio::select! {
        () = stopping.wait() => Ok(()),
        () = expire(&auth) => Ok(()),
        ended = reload(&auth, files, hangups) => ended,
    }
}

async fn expire(auth: &Auth) {
    let mut looks = looks();
    loop {
        looks.tick().await;
        auth.expire(SystemTime::now());
    }
}

/// Beside `expire`, which a volume that hangs does not hold up.
async fn reload(auth: &Auth, files: Files, mut hangups: Signal) -> anyhow::Result<()> {
    let mut looks = looks();
    let mut watch = Watch::new(files);
    loop {
        let is_asked = tokio::select! {
            _ = looks.tick() => false,
            Some(()) = hangups.recv() => true,
        };
        let looked = spawn_blocking(move || {
            let wrong = watch.look(is_asked);
            (watch, wrong)
        });
        let wrong;
        (watch, wrong) = looked.await.context("looking at the files of [auth]")?;
        if let Some(wrong) = wrong {
            for error in wrong {
                warn!(%error, "not taken; what was good before stays, except for keys whose file is gone");
            }
            let ended = auth.replace(watch.files.verifier(), SystemTime::now());
            info!(keys = watch.files.keys(), ended, "keys and revocations read again");
        }
    }
}

fn looks() -> Interval {
    let mut looks = interval(INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

/// Notices when files have changed and their writer is done.
struct Watch {
    files: Files,
    last: Look,
    /// Looks since the change was first seen.
    unsettled: u8,
}

impl Watch {
    fn new(files: Files) -> Self {
        Self { last: files.read().clone(), files, unsettled: 0 }
    }

    /// Looks once, and reads the files if it is time to, or if that `is_asked`. Returns what is wrong with them then.
    fn look(&mut self, is_asked: bool) -> Option<Vec<FileError>> {
        let now = self.files.look();
        let is_changed = now != *self.files.read();
        let is_settled = now == self.last;
        self.last = now;
        self.unsettled += 1;
        if !is_changed {
            self.unsettled = 0;
        }
        let is_due = is_changed && (is_settled || self.unsettled == UNSETTLED_MAX);
        (is_due || is_asked).then(|| {
            self.unsettled = 0;
            self.files.update()
        })
    }
}

#[cfg(test)]
mod tests;
