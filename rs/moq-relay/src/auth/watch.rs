//! Watching: what ends a lease, noticed in time.
//!
//! Leases whose time is over end, and files that were changed are read again, four times a second; SIGHUP reads them at once.
//! Beside it keys are fetched, and the server of `auth.url` is asked, for those who come and again for those inside.

use std::{
    cell::RefCell,
    sync::Arc,
    time::{Instant, SystemTime},
};

use anyhow::Context as _;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    task::spawn_blocking,
};
use tracing::{info, warn};

use super::{
    Auth,
    jwks::{Fetched, Wanted},
    keys::{FileError, Files},
    remote::{Messenger, Remote},
    trusted::Trusted,
};
use crate::{
    shutdown::Stopping,
    watch::{Changes, looks},
};

/// Sessions that are asked about again at one look: a thousand a second, which leaves room in the queue for newcomers.
const AGAIN_MAX: usize = 256;

/// Keeps what `Auth` decides by up to date.
pub(crate) struct Keeper {
    files: Files,
    trusted: Trusted,
    fetched: Fetched,
    messenger: Option<Messenger>,
}

impl Keeper {
    pub(super) fn new(files: Files, trusted: Trusted, fetched: Fetched, messenger: Option<Messenger>) -> Self {
        Self { files, trusted, fetched, messenger }
    }

    /// Looks after leases, keys and questions until `stopping` says that all is closed. A thread of its own is best. Ready once keys have been fetched, or
    /// once that has failed: a relay starts although a server is down, and lets nobody in by the keys it does not have.
    ///
    /// # Errors
    /// When the system lets nobody listen for signals, and when reading panics.
    pub(crate) async fn run(self, auth: Arc<Auth>, stopping: Stopping, ready: oneshot::Sender<()>) -> anyhow::Result<()> {
        let hangups = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
        let Self { files, trusted, mut fetched, messenger } = self;
        let trusted = RefCell::new(trusted);
        if let Some(wanted) = &auth.wanted {
            update(&auth, wanted, &trusted, &mut fetched).await;
        }
        // Whoever waits for it may be gone; the end comes with `stopping` then.
        let _ = ready.send(());
        let asking = async {
            match (messenger, &auth.remote) {
                (Some(messenger), Some(remote)) => drop(tokio::join!(messenger.run(), again(&auth, remote))),
                _ => std::future::pending().await,
            }
        };
        let fetching = async {
            match &auth.wanted {
                Some(wanted) => loop {
                    update(&auth, wanted, &trusted, &mut fetched).await;
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopping.closing() => Ok(()),
            () = expire(&auth) => Ok(()),
            ended = reload(&auth, files, &trusted, hangups) => ended,
            () = asking => Ok(()),
            () = fetching => Ok(()),
        }
    }
}

async fn expire(auth: &Auth) {
    let mut looks = looks();
    loop {
        looks.tick().await;
        auth.expire(SystemTime::now());
    }
}

/// Asks again about those inside, when the server has said to.
async fn again(auth: &Auth, remote: &Remote) {
    let mut looks = looks();
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = under_way.next() => {}
            _ = looks.tick() => {
                for (lease, inquiry) in auth.leases.due(Instant::now(), AGAIN_MAX) {
                    under_way.push(async move { auth.ask_again(remote, lease, &inquiry).await });
                }
            }
        }
    }
}

/// Fetches keys, once it is time to.
async fn update(auth: &Auth, wanted: &Wanted, trusted: &RefCell<Trusted>, fetched: &mut Fetched) {
    if fetched.update(wanted).await {
        let verifier = {
            let mut trusted = trusted.borrow_mut();
            trusted.fetch(fetched);
            trusted.verifier()
        };
        let keys = verifier.keys().len();
        let ended = auth.replace(verifier, SystemTime::now());
        info!(keys, ended, "fetched keys have changed");
    }
    wanted.done();
}

/// Beside `expire`, which a volume that hangs does not hold up.
async fn reload(auth: &Auth, files: Files, trusted: &RefCell<Trusted>, mut hangups: Signal) -> anyhow::Result<()> {
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
            let verifier = {
                let mut trusted = trusted.borrow_mut();
                trusted.read(&watch.files);
                trusted.verifier()
            };
            let ended = auth.replace(verifier, SystemTime::now());
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
