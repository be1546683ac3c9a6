//! Quiet: a log that strangers can make the relay write has a bound.
//!
//! The first few lines of a kind in each second are written, the others only counted; the next one that is written says how
//! many were not. What is counted elsewhere, in metrics, is complete.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Lines of one kind in a second. With thirty kinds of refusal at once this is 150 lines.
const LINES_MAX: u32 = 5;

const SECOND: Duration = Duration::from_secs(1);

/// Lines of one kind.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    since: Option<Instant>,
    written: u32,
    suppressed: u64,
}

impl Quiet {
    /// Asks for one line. `None`: it is not to be written. Otherwise how many were not, since the last one that was.
    pub(crate) fn line(&self, now: Instant) -> Option<u64> {
        // A panic elsewhere breaks nothing: these are three numbers.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.since.is_none_or(|since| now.duration_since(since) >= SECOND) {
            *state = State { since: Some(now), written: 0, ..*state };
        }
        if state.written == LINES_MAX {
            state.suppressed += 1;
            return None;
        }
        state.written += 1;
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_a_second_and_a_number() {
        let (quiet, start) = (Quiet::default(), Instant::now());

        let written = (0..10_000).filter(|count| quiet.line(start + Duration::from_micros(*count)).is_some()).count();

        assert_eq!(written, LINES_MAX as usize);
        assert_eq!(quiet.line(start + SECOND), Some(10_000 - u64::from(LINES_MAX)));
        assert_eq!(quiet.line(start + SECOND), Some(0));
    }
}
