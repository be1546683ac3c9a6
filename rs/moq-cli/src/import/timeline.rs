//! Timeline: one clock for all tracks of a broadcast that never goes back, whatever the input does. Viewers wait for what lies
//! ahead of their clock and drop what lies behind it, so a stream that begins again goes on where it was.

use std::collections::BTreeMap;

/// How far a track may step back, in microseconds. Encoders that mend their own clock do, by a frame or so.
const BACK_MAX: i64 = 500_000;

/// How far ahead of everything a track may be, in microseconds. Slides that stand for half a minute are no jump.
const AHEAD_MAX: i64 = 60_000_000;

#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// From the input's clock to this one.
    shift: i64,
    /// The latest time of all.
    newest: Option<i64>,
    /// The last time of each track.
    last: BTreeMap<u32, i64>,
}

impl Timeline {
    /// When, here, a frame of this track is that the input has at this time. Both in microseconds.
    pub(super) fn place(&mut self, track: u32, time: i64) -> i64 {
        let at = time.saturating_add(self.shift);
        let is_back = self.last.get(&track).is_some_and(|last| at < last.saturating_sub(BACK_MAX));
        let at = match self.newest {
            Some(newest) if is_back || at > newest.saturating_add(AHEAD_MAX) => {
                self.shift = newest.saturating_sub(time);
                newest
            }
            _ => at,
        };
        self.last.insert(track, at);
        self.newest = self.newest.max(Some(at));
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_begins_again_goes_on() {
        let mut timeline = Timeline::default();
        let mut place = |track, millis: i64| timeline.place(track, millis * 1000) / 1000;
        assert_eq!((place(0, 5000), place(1, 4990), place(0, 5033)), (5000, 4990, 5033));
        assert_eq!(place(0, 5020), 5020, "a small step back is the encoder's own");
        assert_eq!((place(0, 0), place(1, 10), place(0, 33)), (5033, 5043, 5066), "both begin again");
        assert_eq!((place(0, 900_000), place(1, 900_010)), (5066, 5076), "both jump ahead");
        assert_eq!(place(0, 930_000), 35_066, "a slide");
    }

    #[test]
    fn no_time_is_too_far() {
        let mut timeline = Timeline::default();
        for time in [i64::MAX, i64::MIN, 0, i64::MIN, i64::MAX] {
            timeline.place(0, time);
            timeline.place(1, time);
        }
    }
}
