//! Progress: one line on a terminal that says what is going on; nothing where nobody looks.

use std::{
    io::{IsTerminal as _, Write as _, stderr, stdin, stdout},
    time::{Duration, Instant},
};

use clap::Args;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{link::State, meter::Meter};

/// How often the line is written.
const INTERVAL: Duration = Duration::from_millis(500);

/// Back to the beginning of the line, which is cleared.
const AGAIN: &str = "\r\x1b[K";

/// Whether there is to be one.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Quiet {
    /// No progress line. There is none either unless standard error is a terminal.
    #[arg(long, short)]
    quiet: bool,
}

/// The line, as long as it is kept.
pub(crate) struct Progress {
    pub(crate) meter: Meter,
    /// `None`: nobody looks.
    ticks: Option<Interval>,
    written: bool,
    /// There is no session right now.
    is_cut_off: bool,
}

impl Progress {
    /// For a command that reads standard input, where somebody may be typing.
    pub(crate) fn of_input(quiet: Quiet) -> Self {
        Self::new(!quiet.quiet && !stdin().is_terminal())
    }

    /// For a command that writes to standard output, where somebody may be reading.
    pub(crate) fn of_output(quiet: Quiet) -> Self {
        Self::new(!quiet.quiet && !stdout().is_terminal())
    }

    fn new(wanted: bool) -> Self {
        let mut ticks = (wanted && stderr().is_terminal()).then(|| interval(INTERVAL));
        if let Some(ticks) = &mut ticks {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        Self { meter: Meter::new(Instant::now()), ticks, written: false, is_cut_off: false }
    }

    /// Waits until the line is due. Cancel safe.
    pub(crate) async fn due(&mut self) {
        match &mut self.ticks {
            Some(ticks) => drop(ticks.tick().await),
            None => std::future::pending().await,
        }
    }

    pub(crate) fn show(&mut self) {
        self.written = true;
        // A terminal that has gone needs no line.
        let _ = write!(stderr(), "{AGAIN}{}", self.line());
    }

    /// From the next line on.
    pub(crate) fn link(&mut self, state: &State) {
        self.is_cut_off = matches!(state, State::Reconnecting(_));
    }

    fn line(&mut self) -> String {
        let line = self.meter.line(Instant::now());
        if self.is_cut_off { format!("reconnecting; {line}") } else { line }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.written {
            self.meter.look_back();
            self.show();
            let _ = writeln!(stderr());
        }
    }
}

#[cfg(test)]
mod tests {
    use moq_native::reconnect::Place;
    use moq_proto::Version;

    use super::*;

    #[test]
    fn the_line_tells_when_there_is_no_session() {
        let mut progress = Progress::new(false);
        assert!(progress.line().starts_with("0 groups"));
        progress.link(&State::Reconnecting(String::new()));
        assert!(progress.line().starts_with("reconnecting; 0 groups"));
        let place = Place::from(url::Url::parse("https://relay/").unwrap());
        progress.link(&State::Connected { place, version: Version::Lite05 });
        assert!(progress.line().starts_with("0 groups"));
    }
}
