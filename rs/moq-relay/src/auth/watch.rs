//! Watching: what ends a lease, noticed in time.
//!
//! Two things four times a second: leases whose time is over end, and files that were changed are read again. SIGHUP reads
//! them at once.

use std::{sync::Arc, time::SystemTime};

use anyhow::Context as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    task::spawn_blocking,
};
use tracing::{info, warn};

use super::{
    Auth,
    keys::{FileError, Files},
};
use crate::{
    shutdown::Stopping,
    watch::{Changes, looks},
};

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

/// Notices when files have changed and their writer is done.
struct Watch {
    files: Files,
    changes: Changes,
}

impl Watch {
    fn new(files: Files) -> Self {
        Self { changes: Changes::since(files.read()), files }
    }

    /// Looks once, and reads the files if it is time to, or if that `is_asked`. Returns what is wrong with them then.
    fn look(&mut self, is_asked: bool) -> Option<Vec<FileError>> {
        let now = self.files.look();
        self.changes.is_due(now, self.files.read(), is_asked).then(|| self.files.update())
    }
}

#[cfg(test)]
mod tests;
