//! The send window: how many bytes may wait for their acknowledgement.
//!
//! Mostly about twice what the path holds. Whatever does not fit waits in the cache, where all viewers share it, and where it may
//! still go stale without ever being sent. But while nothing is acknowledged nothing makes room either, and the newest group would
//! wait behind older ones for a path that is dead: so the window of a silent path is as wide as windows get. Once packets pass
//! again, the highest rank goes first, and that is the newest group's.
//!
//! Decides only; quinn is told by whoever asks. Time is passed in.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Bytes that wait for acknowledgement before anything is known of the path.
pub(crate) const SEND_WINDOW: u64 = 256 * 1024;

/// Least and most of them. The most is also all that a viewer can hold of what the cache has let go of.
const RANGE: (u64, u64) = (64 * 1024, 4 * 1024 * 1024);

/// How often the path is looked at, while somebody asks.
const INTERVAL: Duration = Duration::from_millis(100);

/// How long nothing is acknowledged on a silent path. Delayed acknowledgements take a tenth of it.
const SILENCE: Duration = Duration::from_millis(200);

/// And how many round trips it has to be, so that a path with a long one is not taken for silent.
const SILENCE_ROUND_TRIPS: u32 = 4;

/// How long a path that is heard of again counts as strained: its congestion window begins small, and what waits is more.
const RECOVERY: Duration = Duration::from_secs(1);

/// What is known of a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    /// Bytes it holds.
    pub(super) holds: u64,
    pub(super) round_trip: Duration,
    /// Acknowledgements received.
    pub(super) acks: u64,
}

/// How many bytes may wait for acknowledgement.
#[derive(Debug)]
pub(super) struct SendWindow {
    since: Instant,
    /// When the path was looked at last, in milliseconds after `since`.
    looked: AtomicU64,
    is_strained: AtomicBool,
    heard: Mutex<Heard>,
}

/// When something was heard of the path, as far as looking shows.
#[derive(Debug)]
struct Heard {
    acks: u64,
    at: Instant,
    /// When the path was silent last.
    silent: Option<Instant>,
}

impl SendWindow {
    pub(super) fn new(now: Instant) -> Self {
        let heard = Mutex::new(Heard { acks: 0, at: now, silent: None });
        Self { since: now, looked: AtomicU64::new(0), is_strained: AtomicBool::new(false), heard }
    }

    /// The window for this path, if it is time to look and there is a reason to change it. To be asked when a group begins, and
    /// while a stream finds no room (`is_full`).
    pub(super) fn look(&self, now: Instant, is_full: bool, path: impl FnOnce() -> Path) -> Option<u64> {
        let looked = self.looked.load(Ordering::Relaxed);
        let passed = u64::try_from(now.saturating_duration_since(self.since).as_millis()).unwrap_or(u64::MAX);
        if u128::from(passed.saturating_sub(looked)) < INTERVAL.as_millis() {
            return None;
        }
        self.looked.store(passed, Ordering::Relaxed);
        let path = path();
        let is_strained = self.heard.lock().unwrap_or_else(PoisonError::into_inner).is_strained(now, &path);
        let was_strained = self.is_strained.swap(is_strained, Ordering::Relaxed);
        let (least, most) = RANGE;
        let window = if is_strained { most } else { path.holds.saturating_mul(2).clamp(least, most) };
        (is_full || is_strained || was_strained).then_some(window)
    }

    /// Whether the path was silent when last looked at, or not long before.
    pub(super) fn is_strained(&self) -> bool {
        self.is_strained.load(Ordering::Relaxed)
    }
}

impl Heard {
    fn is_strained(&mut self, now: Instant, path: &Path) -> bool {
        if path.acks != self.acks {
            (self.acks, self.at) = (path.acks, now);
        }
        if now.saturating_duration_since(self.at) >= SILENCE.max(path.round_trip * SILENCE_ROUND_TRIPS) {
            self.silent = Some(now);
        }
        self.silent.is_some_and(|silent| now.saturating_duration_since(silent) < RECOVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window that is looked at after so many milliseconds, with or without room, when the path holds and has acknowledged so
    /// much; and what it is then, and whether the path is strained.
    fn looking() -> impl Fn(u64, bool, u64, u64) -> (Option<u64>, bool) {
        let begun = Instant::now();
        let window = SendWindow::new(begun);
        move |millis, is_full, holds, acks| {
            let path = Path { holds, acks, round_trip: Duration::from_millis(40) };
            (window.look(begun + Duration::from_millis(millis), is_full, || path), window.is_strained())
        }
    }

    #[test]
    fn the_window_follows_the_path_ten_times_a_second_while_it_is_full() {
        let look = looking();
        assert_eq!(look(99, true, 1_000_000, 1), (None, false));
        assert_eq!(look(100, true, 1_000_000, 1), (Some(2_000_000), false));
        assert_eq!(look(199, true, 1_000_000, 2), (None, false));
        assert_eq!(look(250, true, 12_000, 2), (Some(64 * 1024), false));
        assert_eq!(look(350, true, u64::MAX, 3), (Some(4 * 1024 * 1024), false));
        assert_eq!(look(450, false, 12_000, 4), (None, false), "there is room");
    }

    #[test]
    fn a_silent_path_gets_the_widest_window_until_it_has_recovered() {
        let look = looking();
        assert_eq!(look(1_000, false, 12_000, 1), (None, false));
        assert_eq!(look(1_199, false, 12_000, 1), (None, false), "silent for less than 0.2 s");
        assert_eq!(look(1_300, false, 12_000, 1), (Some(4 * 1024 * 1024), true));
        assert_eq!(look(2_900, true, u64::MAX, 1), (Some(4 * 1024 * 1024), true), "no more than the most");
        assert_eq!(look(3_000, true, 2_400, 2), (Some(4 * 1024 * 1024), true), "what waits is more than the path holds");
        assert_eq!(look(3_899, false, 90_000, 30), (Some(4 * 1024 * 1024), true));
        assert_eq!(look(4_000, false, 90_000, 31), (Some(180_000), false));
        assert_eq!(look(4_100, false, 90_000, 32), (None, false));
    }

    #[test]
    fn a_path_with_a_long_round_trip_is_not_silent() {
        let begun = Instant::now();
        let window = SendWindow::new(begun);
        let path = || Path { holds: 12_000, acks: 0, round_trip: Duration::from_millis(600) };
        window.look(begun + Duration::from_millis(2_399), true, path);
        assert!(!window.is_strained());
        window.look(begun + Duration::from_millis(2_500), true, path);
        assert!(window.is_strained());
    }
}
