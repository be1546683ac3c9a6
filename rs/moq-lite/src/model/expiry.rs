//! Expiry: when a group stops being worth sending.
//!
//! Decides only; `track` removes groups and `session` resets their streams. It goes by media time: a group lies behind the
//! live edge by what came after its end, and its end is where the next group begins. Spec: moq-lite-05, "Expiration".

use std::time::Duration;

use moq_proto::{Timescale, Timestamp};

/// What can tell how far its groups lie behind its live edge.
pub trait Timeline {
    /// Media time from the end of group `sequence` to the latest frame of the newest group. `None`: it is the newest, or
    /// nothing with a frame follows it yet.
    fn behind(&self, sequence: u64) -> Option<Duration>;
}

/// Whether `sequence` lies `max_age` or more behind the live edge. The newest group never does. `None`: no limit.
pub fn is_expired(timeline: &impl Timeline, sequence: u64, max_age: Option<Duration>) -> bool {
    max_age.is_some_and(|max_age| timeline.behind(sequence).is_some_and(|behind| behind >= max_age))
}

/// Media time from `reach`, where the next group begins, to `edge`. `None` when the edge is the earlier one, as can be when a
/// publisher's clock jumps back.
pub(crate) fn distance(reach: Timestamp, edge: Timestamp, scale: Timescale) -> Option<Duration> {
    let units = u64::try_from(edge.since(reach)).ok()?;
    Timestamp::try_from(units).ok().map(|distance| distance.to_duration(scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Groups(Vec<Option<Duration>>);

    impl Timeline for Groups {
        fn behind(&self, sequence: u64) -> Option<Duration> {
            self.0[sequence as usize]
        }
    }

    fn at(units: u64) -> Timestamp {
        Timestamp::try_from(units).unwrap()
    }

    #[test]
    fn a_group_expires_once_it_is_as_far_behind_as_allowed() {
        let groups = Groups(vec![Some(Duration::from_secs(2)), Some(Duration::ZERO), None]);
        let expired = |max_age| [0, 1, 2].map(|sequence| is_expired(&groups, sequence, max_age));
        assert_eq!(expired(Some(Duration::from_millis(2001))), [false, false, false]);
        assert_eq!(expired(Some(Duration::from_secs(2))), [true, false, false]);
        assert_eq!(expired(Some(Duration::ZERO)), [true, true, false], "only the newest");
        assert_eq!(expired(None), [false, false, false]);
    }

    #[test]
    fn distance_is_measured_in_the_tracks_own_units() {
        let scale = Timescale::try_from(90_000).unwrap();
        assert_eq!(distance(at(90_000), at(135_000), scale), Some(Duration::from_millis(500)));
        assert_eq!(distance(at(5), at(5), scale), Some(Duration::ZERO));
        assert_eq!(distance(at(6), at(5), scale), None);
    }
}
