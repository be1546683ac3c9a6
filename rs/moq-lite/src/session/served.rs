//! Which groups of a track a viewer was given, so that none is given twice, and which it was not.

use std::ops::{Range, RangeInclusive};

use smallvec::SmallVec;

/// Most separate runs remembered. Sequences mostly come in order and make one run; with more, the gap between the two lowest
/// counts as given too.
const RUNS_MAX: usize = 64;

/// A set of group sequences, kept as inclusive runs in ascending order.
#[derive(Clone, Debug, Default)]
pub(super) struct Served {
    runs: SmallVec<[(u64, u64); 2]>,
}

impl Served {
    pub(super) fn contains(&self, sequence: u64) -> bool {
        let at = self.runs.partition_point(|&(first, _)| first <= sequence);
        at > 0 && self.runs[at - 1].1 >= sequence
    }

    /// Adds `sequence`; `false` when it was there already.
    pub(super) fn insert(&mut self, sequence: u64) -> bool {
        if self.contains(sequence) {
            return false;
        }
        let at = self.runs.partition_point(|&(first, _)| first <= sequence);
        let joins_left = at > 0 && self.runs[at - 1].1 + 1 == sequence;
        let joins_right = at < self.runs.len() && self.runs[at].0 - 1 == sequence;
        match (joins_left, joins_right) {
            (true, true) => {
                self.runs[at - 1].1 = self.runs[at].1;
                self.runs.remove(at);
            }
            (true, false) => self.runs[at - 1].1 = sequence,
            (false, true) => self.runs[at].0 = sequence,
            (false, false) => {
                self.runs.insert(at, (sequence, sequence));
                self.shorten();
            }
        }
        true
    }

    /// Takes `sequence` out again.
    pub(super) fn remove(&mut self, sequence: u64) {
        let at = self.runs.partition_point(|&(_, last)| last < sequence);
        let Some(&(first, last)) = self.runs.get(at).filter(|&&(first, _)| first <= sequence) else { return };
        self.runs.remove(at);
        if sequence < last {
            self.runs.insert(at, (sequence + 1, last));
        }
        if first < sequence {
            self.runs.insert(at, (first, sequence - 1));
        }
        self.shorten();
    }

    fn shorten(&mut self) {
        if self.runs.len() > RUNS_MAX {
            self.runs[1].0 = self.runs[0].0;
            self.runs.remove(0);
        }
    }

    /// What of `range` is not in it, in ascending runs: at most one more than are remembered.
    pub(super) fn gaps(&self, range: Range<u64>) -> Vec<RangeInclusive<u64>> {
        let (mut gaps, mut next) = (Vec::new(), range.start);
        for &(first, last) in self.runs.iter().filter(|&&(_, last)| last >= range.start) {
            if first >= range.end {
                break;
            }
            if first > next {
                gaps.push(next..=first - 1);
            }
            next = last.saturating_add(1);
        }
        if next < range.end {
            gaps.push(next..=range.end - 1);
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(changes in prop::collection::vec((any::<bool>(), 0u64..100), 0..200), from in 0u64..100, to in 0u64..100) {
            let (mut served, mut model) = (Served::default(), BTreeSet::new());
            for (comes, sequence) in changes {
                prop_assert_eq!(served.contains(sequence), model.contains(&sequence));
                if comes {
                    prop_assert_eq!(served.insert(sequence), model.insert(sequence));
                } else {
                    served.remove(sequence);
                    model.remove(&sequence);
                }
            }
            let missing: Vec<u64> = (from..to).filter(|sequence| !model.contains(sequence)).collect();
            prop_assert_eq!(served.gaps(from..to).into_iter().flatten().collect::<Vec<_>>(), missing);
        }
    }

    #[test]
    fn its_memory_is_bounded() {
        let mut served = Served::default();
        for sequence in (0..10_000).step_by(2) {
            assert!(served.insert(sequence));
        }
        assert_eq!(served.runs.len(), RUNS_MAX);
        assert!(!served.insert(9_998));
        assert!(!served.insert(0), "nothing is given twice");
        served.remove(100);
        assert_eq!(served.runs.len(), RUNS_MAX);
        served.remove(9_998);
        assert!(served.insert(9_998), "unless it was taken back");
    }
}
