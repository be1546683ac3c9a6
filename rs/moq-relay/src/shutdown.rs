//! Ending: the signals that ask for it, and how the news spreads through the relay.
//!
//! It comes in two steps. While the relay is draining nobody new is let in, and every peer is asked to leave (GOAWAY) and served
//! until it does; when it is closing, whoever is still there is closed. Both are told here and decided in
//! [`drain`](crate::drain).
//! Spec: moq-lite-06, "GOAWAY" and "Error Codes".

use std::{fmt, io, process::ExitCode, time::Duration};

use moq_proto::{CloseCode, close};
use tokio::sync::watch;

/// How far the relay is on its way to the end. Each step comes once, in this order; the middle one may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    Draining,
    Closing(Farewell),
}

/// What sessions are closed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Farewell {
    GoingAway,
    /// Asked to leave, they have not.
    Overdue,
}

impl Farewell {
    /// The same for every version: codes are a matter of a peer's release, and older ones only show it.
    pub(crate) fn code(self) -> CloseCode {
        match self {
            Self::GoingAway => close::session::NO_ERROR,
            Self::Overdue => close::session::GOAWAY_TIMEOUT,
        }
    }

    /// What the peer is told with it.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::GoingAway => "going away",
            Self::Overdue => "goaway timeout",
        }
    }
}

/// Tells everybody how far the end is. Dropped, it is as if it were [closing](Phase::Closing).
#[derive(Debug)]
pub(crate) struct Shutdown {
    phase: watch::Sender<Phase>,
}

/// Knows how far the end is.
#[derive(Clone, Debug)]
pub(crate) struct Stopping {
    phase: watch::Receiver<Phase>,
    seen: Phase,
}

impl Shutdown {
    pub(crate) fn new() -> (Self, Stopping) {
        let (phase, watched) = watch::channel(Phase::Serving);
        (Self { phase }, Stopping { phase: watched, seen: Phase::Serving })
    }

    /// Asks every peer to leave.
    pub(crate) fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Closes whatever is still there. The first farewell counts.
    pub(crate) fn close(&self, farewell: Farewell) {
        self.advance(Phase::Closing(farewell));
    }

    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let is_news = *phase < to && !matches!(phase, Phase::Closing(_));
            if is_news {
                *phase = to;
            }
            is_news
        });
    }
}

impl Stopping {
    /// Returns once nobody new is to be let in.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing.
    pub(crate) async fn draining(&self) {
        self.reaches(|phase| phase >= Phase::Draining).await;
    }

    /// Returns once all that is left is to end.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing.
    pub(crate) async fn closing(&self) {
        self.reaches(|phase| matches!(phase, Phase::Closing(_))).await;
    }

    /// The next step that this clone has not returned yet; not to be asked for after the last one.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing.
    pub(crate) async fn next(&mut self) -> Phase {
        let seen = self.seen;
        // An error means that the relay itself is gone.
        let next = self.phase.wait_for(|phase| *phase > seen).await;
        self.seen = next.map_or(Phase::Closing(Farewell::GoingAway), |phase| *phase);
        self.seen
    }

    async fn reaches(&self, is_there: impl Fn(Phase) -> bool) {
        // An error means that the relay itself is gone, which is the last step too.
        let _ = self.phase.clone().wait_for(|phase| is_there(*phase)).await;
    }
}

/// Longest drain after an interrupt: who presses Ctrl-C sits there and waits.
const INTERRUPT_MAX: Duration = Duration::from_secs(2);

/// A signal that ends a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
}

impl Signal {
    /// How much of this time peers get to leave.
    pub(crate) fn patience(self, drain_timeout: Duration) -> Duration {
        match self {
            Self::Interrupt => drain_timeout.min(INTERRUPT_MAX),
            Self::Terminate => drain_timeout,
        }
    }

    /// What a program ends with that this signal has ended: 128 and the signal's number.
    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Interrupt => ExitCode::from(130),
            Self::Terminate => ExitCode::from(143),
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
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

    /// The next signal.
    ///
    /// # Cancel safety
    /// Dropping the call loses none.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
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

    /// The next signal.
    pub(crate) async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_step_is_told_once_and_the_first_farewell_counts() {
        let (shutdown, mut stopping) = Shutdown::new();
        shutdown.drain();
        stopping.draining().await;
        assert_eq!(stopping.next().await, Phase::Draining);
        shutdown.drain();
        shutdown.close(Farewell::GoingAway);
        shutdown.close(Farewell::Overdue);
        stopping.closing().await;
        assert_eq!(stopping.next().await, Phase::Closing(Farewell::GoingAway));
    }

    #[tokio::test]
    async fn whoever_comes_late_hears_of_the_last_step_alone() {
        let (shutdown, stopping) = Shutdown::new();
        shutdown.drain();
        assert_eq!(stopping.clone().next().await, Phase::Draining);
        shutdown.close(Farewell::Overdue);
        assert_eq!(stopping.clone().next().await, Phase::Closing(Farewell::Overdue));
    }

    #[tokio::test]
    async fn a_relay_that_is_gone_is_closing() {
        let (shutdown, mut stopping) = Shutdown::new();
        drop(shutdown);
        stopping.draining().await;
        stopping.closing().await;
        assert_eq!(stopping.next().await, Phase::Closing(Farewell::GoingAway));
    }

    #[test]
    fn an_interrupt_waits_two_seconds_at_most() {
        let patience = |seconds| Signal::Interrupt.patience(Duration::from_secs(seconds)).as_secs();
        assert_eq!([0, 1, 10].map(patience), [0, 1, 2]);
        assert_eq!(Signal::Terminate.patience(Duration::from_secs(10)).as_secs(), 10);
    }
}
