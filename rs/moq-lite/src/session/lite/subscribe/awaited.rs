//! Awaited: which groups of a subscription there are, as far as its publisher says.
//!
//! Spec: moq-lite-06, "SUBSCRIBE_START", "SUBSCRIBE_END" and "SUBSCRIBE_DROP".

use std::ops::Range;

/// Most separate runs of groups remembered that a publisher left out. Those of a busy link follow each other and make a few;
/// what is beyond is waited for like any other group.
const RUNS_MAX: usize = 64;

/// The groups that a publisher has said it will send.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    first: Option<u64>,
    /// The lowest that was asked for later on.
    reopened: Option<u64>,
    end: Option<u64>,
    /// Runs that will not come: first and last of each, ascending, with something between them.
    left_out: Vec<(u64, u64)>,
}

impl Awaited {
    /// `first` is the lowest there will be.
    pub(super) fn start(&mut self, first: u64) {
        self.first = Some(first);
    }

    /// Those from `floor` on are asked for after all, which a publisher does not answer with another start.
    pub(super) fn reopen(&mut self, floor: u64) {
        self.reopened = Some(self.reopened.map_or(floor, |lowest| lowest.min(floor)));
    }

    /// The lowest that may come, once the publisher has said where it begins.
    pub(super) fn known_start(&self) -> Option<u64> {
        self.first.map(|first| self.reopened.map_or(first, |floor| floor.min(first)))
    }

    /// None at or above `end` will exist.
    pub(super) fn end(&mut self, end: u64) {
        self.end = Some(end);
    }

    pub(super) fn known_end(&self) -> Option<u64> {
        self.end
    }

    /// Those from `first` to `last` will not come.
    pub(super) fn leave_out(&mut self, mut first: u64, mut last: u64) {
        if first > last {
            return;
        }
        self.left_out.retain(|&(from, to)| {
            let apart = to.saturating_add(1) < first || last.saturating_add(1) < from;
            if !apart {
                (first, last) = (first.min(from), last.max(to));
            }
            apart
        });
        if self.left_out.len() < RUNS_MAX {
            let at = self.left_out.partition_point(|&(from, _)| from < first);
            self.left_out.insert(at, (first, last));
        }
    }

    /// The groups that come, in runs, once it is known where they begin and end.
    pub(super) fn ranges(&self) -> Option<Vec<Range<u64>>> {
        let (mut next, end) = (self.known_start()?, self.end?);
        let mut ranges = Vec::new();
        for &(from, to) in &self.left_out {
            ranges.push(next..from.min(end));
            next = next.max(to.saturating_add(1));
        }
        ranges.push(next..end);
        ranges.retain(|range| !range.is_empty());
        Some(ranges)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn awaited(first: u64, end: u64, left_out: &[(u64, u64)]) -> Awaited {
        let mut awaited = Awaited::default();
        awaited.start(first);
        awaited.end(end);
        left_out.iter().for_each(|&(from, to)| awaited.leave_out(from, to));
        awaited
    }

    proptest! {
        #[test]
        fn what_comes_is_all_that_is_not_left_out(
            first in 0u64..50,
            end in 0u64..50,
            left_out in prop::collection::vec((0u64..60, 0u64..60), 0..40),
        ) {
            let ranges = awaited(first, end, &left_out).ranges().unwrap();
            let mut expected: BTreeSet<u64> = (first..end).collect();
            left_out.iter().for_each(|&(from, to)| expected.retain(|sequence| !(from..=to).contains(sequence)));
            prop_assert_eq!(ranges.into_iter().flatten().collect::<Vec<_>>(), Vec::from_iter(expected));
        }
    }

    #[test]
    fn nothing_is_known_before_both_ends_are() {
        let mut awaited = Awaited::default();
        awaited.leave_out(0, 3);
        assert_eq!(awaited.ranges(), None);
        awaited.end(5);
        assert_eq!(awaited.ranges(), None);
        awaited.start(2);
        assert_eq!(awaited.ranges().as_deref(), Some(&[Range { start: 4, end: 5 }][..]));
    }

    #[test]
    fn what_is_asked_for_later_on_comes_as_well_whether_or_not_the_start_is_known() {
        let mut awaited = Awaited::default();
        awaited.reopen(3);
        awaited.reopen(4);
        assert_eq!(awaited.known_start(), None);
        awaited.start(7);
        awaited.end(9);
        assert_eq!(awaited.ranges().as_deref(), Some(&[Range { start: 3, end: 9 }][..]));
        awaited.reopen(2);
        assert_eq!(awaited.known_start(), Some(2));
        awaited.start(0);
        assert_eq!(awaited.known_start(), Some(0));
    }

    #[test]
    fn its_memory_is_bounded() {
        let apart: Vec<(u64, u64)> = (0..1000).map(|n| (n * 2, n * 2)).collect();
        let awaited = awaited(0, u64::MAX, &apart);
        assert_eq!(awaited.left_out.len(), RUNS_MAX);
        assert_eq!(awaited.ranges().unwrap().last(), Some(&(RUNS_MAX as u64 * 2 - 1..u64::MAX)));
    }
}
