//! A breaker: a server that fails again and again is left alone for a while, and then tried with one question.
//!
//! Time is handed in.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Failures in a row after which nobody is asked any more.
const FAILURES_MAX: u32 = 5;

/// How long that lasts. A server that restarts takes as long.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In a row.
    failures: u32,
    /// Until when nobody is asked.
    until: Option<Instant>,
    /// How often it has opened.
    opened: u64,
}

/// Leave to ask, to be told what came of it. Dropped untold, nothing came of it.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
}

impl Breaker {
    /// `None`: the server is to be left alone.
    pub(super) fn pass(&self, now: Instant) -> Option<Pass<'_>> {
        let mut state = self.state();
        match state.until {
            Some(until) if now < until => None,
            Some(_) => {
                // This one tries; the others wait for as long again, unless it succeeds.
                state.until = Some(now + PAUSE);
                Some(Pass { breaker: self })
            }
            None => Some(Pass { breaker: self }),
        }
    }

    pub(super) fn opened(&self) -> u64 {
        self.state().opened
    }

    /// A panic elsewhere breaks nothing: these are three numbers.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Returns whether the breaker opens with this.
    pub(super) fn done(self, is_success: bool, now: Instant) -> bool {
        let mut state = self.breaker.state();
        if is_success {
            *state = State { opened: state.opened, ..State::default() };
            return false;
        }
        state.failures = state.failures.saturating_add(1);
        let opens = state.failures >= FAILURES_MAX && state.until.is_none();
        if opens {
            state.opened += 1;
        }
        if state.failures >= FAILURES_MAX {
            state.until = Some(now + PAUSE);
        }
        opens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_fails_is_left_alone_and_tried_with_one_question() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let ask = |is_success, now| breaker.pass(now).map(|pass| pass.done(is_success, now));

        assert_eq!([(); 4].map(|()| ask(false, at(0))), [Some(false); 4]);
        assert_eq!((ask(true, at(0)), ask(false, at(0))), (Some(false), Some(false)), "a success in between counts");
        assert_eq!([(); 4].map(|()| ask(false, at(0))), [Some(false), Some(false), Some(false), Some(true)]);
        assert_eq!((ask(true, at(4)), breaker.opened()), (None, 1));

        let probe = breaker.pass(at(5)).unwrap();
        assert!(breaker.pass(at(6)).is_none(), "one question alone");
        assert!(!probe.done(false, at(6)));
        assert!(breaker.pass(at(10)).is_none() && breaker.opened() == 1, "still the same outage");
        assert_eq!((ask(true, at(11)), ask(true, at(11))), (Some(false), Some(false)));
    }

    #[test]
    fn a_probe_that_never_ends_gives_way_to_the_next() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..FAILURES_MAX {
            breaker.pass(start).unwrap().done(false, start);
        }

        assert!(breaker.pass(start + PAUSE).is_some(), "and nothing comes of it");

        assert!(breaker.pass(start + PAUSE).is_none() && breaker.pass(start + 2 * PAUSE).is_some());
    }
}
