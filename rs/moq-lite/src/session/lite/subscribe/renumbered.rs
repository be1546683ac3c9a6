//! Renumbered: a source that was to go on with a track, and counts its groups anew.
//!
//! A publisher that was restarted under its old name is asked for the group at which the one before it broke off, and has
//! nothing to send until it has counted that far. So a source that brings none of it for a while is asked for the newest group it
//! has instead. If that is far below, this is another track than the one that is read: its readers are told of the end, and
//! whoever asks again gets the new one. Sources of one name that are merely late are a few groups behind. Spec: moq-lite-06,
//! "Relay", has nothing on this; groups of one publisher are one sequence there.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::session::{bounds::Bounds, clock::now};

/// How long a source may bring nothing of what it was asked to go on with: as long as groups wait to be continued.
const SILENCE: Duration = Duration::from_secs(3);

/// How often it is looked what it has brought, once it was asked for its newest group.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How many groups a source that is merely late may be behind. What comes again within as few heals by itself.
const LATE_MAX: u64 = 8;

/// Watches over one subscription that goes on where another broke off.
#[derive(Debug)]
pub(super) struct Resumption {
    floor: u64,
    /// Whether the source was asked for its newest group.
    is_asked: bool,
    /// When to look next. `None`: all is said.
    next: Option<Instant>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Nothing,
    /// Ask for the newest group.
    Ask,
    /// The source has another track.
    Renumbered,
}

impl Resumption {
    /// `floor`: the group that the source was asked to go on with; without one, there is nothing to watch over.
    pub(super) fn new(floor: Option<u64>) -> Self {
        let next = floor.map(|_| Instant::from_std(now() + SILENCE));
        Self { floor: floor.unwrap_or_default(), is_asked: false, next }
    }

    /// Waits until it is time to [look](Self::look).
    pub(super) async fn due(&self) {
        match self.next {
            Some(next) => sleep_until(next).await,
            None => std::future::pending().await,
        }
    }

    /// Judges by what the source has begun to send. What may belong to another track is kept out of this one meanwhile.
    pub(super) fn look(&mut self, bounds: &Bounds) -> Verdict {
        let lowest = self.floor.saturating_sub(LATE_MAX);
        if let Some(highest) = bounds.highest() {
            self.next = None;
            bounds.take_from(0);
            return if highest < lowest { Verdict::Renumbered } else { Verdict::Nothing };
        }
        self.next = Some(Instant::from_std(now() + LOOK_INTERVAL));
        bounds.take_from(lowest);
        if std::mem::replace(&mut self.is_asked, true) { Verdict::Nothing } else { Verdict::Ask }
    }
}
