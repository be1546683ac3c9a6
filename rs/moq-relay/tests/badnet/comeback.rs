//! How a viewer comes back after a blackhole: what comes first, and when playback is live again.

use std::{fmt, time::Duration};

use crate::seen::{Arrival, Seen};

/// Delay up to which a frame is live: a few round trips of the networks here.
const LIVE: Duration = Duration::from_millis(150);

/// What came after a blackhole. Times are counted from its end, except as said.
#[derive(Debug)]
pub(crate) struct Comeback {
    first: Arrival,
    first_after: Duration,
    /// How long the group after the first one that came had been on air by then. Zero: there was none.
    pub(crate) overdue: Duration,
    live_after: Duration,
}

impl Comeback {
    /// What was seen after `end`, of groups that began at `starts`; all since the epoch. `None`: playback did not go on.
    pub(crate) fn after(end: Duration, seen: &Seen, starts: &[Duration]) -> Option<Self> {
        let mut came = seen.arrivals.iter().filter(|arrival| arrival.came > end);
        let first = *came.clone().next()?;
        let live = came.find(|arrival| arrival.came.saturating_sub(arrival.sent) < LIVE)?;
        let newer = starts.get(first.group as usize + 1);
        let overdue = newer.map_or(Duration::ZERO, |start| first.came.saturating_sub(*start));
        Some(Self { first, first_after: first.came - end, overdue, live_after: live.came - end })
    }
}

impl fmt::Display for Comeback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "group {} frame {} came first, {} ms after the blackhole; the next group was {} ms old; live after {} ms",
            self.first.group,
            self.first.frame,
            self.first_after.as_millis(),
            self.overdue.as_millis(),
            self.live_after.as_millis(),
        )
    }
}
