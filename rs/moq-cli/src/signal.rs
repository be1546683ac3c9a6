//! Signals: the first one asks for a clean end, the second one ends it at once.

use std::{io, process};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

/// What shells report of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// Hears SIGINT and SIGTERM for as long as it is kept.
pub(crate) struct Signals {
    asked: watch::Receiver<bool>,
    _listener: JoinSet<()>,
}

impl Signals {
    /// Starts to listen, on the current set of local tasks.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (ask, asked) = watch::channel(false);
        let mut listener = JoinSet::new();
        listener.spawn_local(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if ask.send_replace(true) {
                    process::exit(INTERRUPTED);
                }
            }
        });
        Ok(Self { asked, _listener: listener })
    }

    /// What `happens`. `None`: the end was asked for before.
    pub(crate) async fn unless_ended<T>(&self, happens: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.end() => None,
            happened = happens => Some(happened),
        }
    }

    /// Waits until the end is asked for. Cancel safe.
    pub(crate) async fn end(&self) {
        // The sender lives as long as the listener.
        let _ = self.asked.clone().wait_for(|asked| *asked).await;
    }
}
