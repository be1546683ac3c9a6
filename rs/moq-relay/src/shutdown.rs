//! Ending: the signals that ask for it, and how the news spreads through the relay.
//!
//! Listeners stop accepting, sessions are told "going away" and closed with code 0, and what has not ended after
//! [`GRACE`] ends with the process.

use std::{io, time::Duration};

use tokio::sync::watch;

/// How long sessions and answers may take to end. Closing takes a round trip or two.
pub(crate) const GRACE: Duration = Duration::from_secs(3);

/// What clients are told when the relay ends.
pub(crate) const REASON: &str = "going away";

/// Asks the relay to stop.
#[derive(Debug)]
pub(crate) struct Shutdown {
    asked: watch::Sender<bool>,
}

/// Knows whether the relay is about to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stopping {
    asked: watch::Receiver<bool>,
}

impl Shutdown {
    pub(crate) fn new() -> (Self, Stopping) {
        let (asked, watched) = watch::channel(false);
        (Self { asked }, Stopping { asked: watched })
    }

    /// Tells everybody.
    pub(crate) fn begin(&self) {
        self.asked.send_replace(true);
    }
}

impl Stopping {
    /// Returns once the relay is to stop.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing.
    pub(crate) async fn wait(&self) {
        // An error means that the relay itself is gone, which is the same news.
        let _ = self.asked.clone().wait_for(|asked| *asked).await;
    }
}

/// The signals that end a program, heard from now on.
#[cfg(unix)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// # Errors
    /// When the system lets nobody listen.
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The name of the next signal.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// Ctrl-C, the one signal there is.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// # Errors
    /// Never here.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    /// The name of the next signal.
    pub(crate) async fn next(&mut self) -> &'static str {
        match tokio::signal::ctrl_c().await {
            Ok(()) => "Ctrl-C",
            Err(_) => std::future::pending().await,
        }
    }
}
