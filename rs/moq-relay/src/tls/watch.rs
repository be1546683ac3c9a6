//! Watching: certificates are renewed, and files that were changed are taken, within a second of it.
//!
//! SIGHUP has the files read at once, and so has SIGUSR1, by which renewal scripts used to tell a relay.

use std::{sync::Arc, time::SystemTime};

use anyhow::Context as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    task::spawn_blocking,
};
use tracing::{info, warn};

use super::{Counts, Store, generated::Turn, store::News};
use crate::{shutdown::Stopping, watch::looks};

/// Looks after `store` until `stopping` says that all is closed. A thread of its own is best.
///
/// # Errors
/// When the system lets nobody listen for signals, and when reading panics.
pub(crate) async fn run(
    mut store: Store,
    counts: Arc<Counts>,
    stopping: Stopping,
    ready: oneshot::Sender<()>,
) -> anyhow::Result<()> {
    let mut hangups = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
    let mut users = signal(SignalKind::user_defined1()).context("listening for SIGUSR1")?;
    // Whoever waits for it may be gone; the end comes with `stopping` then.
    let _ = ready.send(());
    let mut looks = looks();
    loop {
        let is_asked = tokio::select! {
            () = stopping.closing() => return Ok(()),
            _ = looks.tick() => false,
            Some(()) = hangups.recv() => true,
            Some(()) = users.recv() => true,
        };
        let counts = counts.clone();
        let looked = spawn_blocking(move || {
            let news = store.look(SystemTime::now(), is_asked, &counts);
            (store, news)
        });
        let news;
        (store, news) = looked.await.context("looking at certificates")?;
        tell(&news);
    }
}

fn tell(news: &News) {
    for error in &news.wrong {
        warn!(%error, "not taken: what was good before stays; mend the file, and it is taken within a second");
    }
    if news.is_taken {
        info!("certificates read again");
    }
    match news.generated {
        Some(Turn::Prepared) => info!("the next generated certificate is made; /certificate.sha256?all tells both"),
        Some(Turn::Replaced) => info!("a new generated certificate is shown; clients that pinned the old one pin anew"),
        None => {}
    }
    if news.has_ended {
        warn!("a certificate has ended, and no good one has taken its place: renew the files of [server.tls] or [web.https]");
    }
}
