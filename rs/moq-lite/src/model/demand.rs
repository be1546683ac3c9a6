//! Demand: what one reader asks of a track, and what all of them together ask of its source.
//!
//! Spec: moq-lite-06, "SUBSCRIBE"; how a relay merges many into one is the same for all versions.

use std::{collections::BTreeMap, time::Duration};

/// Where a reader wants to begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the newest group there is, or the first to come.
    #[default]
    Latest,
    /// With this group, or the first later one that is still worth having.
    At(u64),
}

/// What one reader asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Higher goes first.
    pub priority: u8,
    /// How far, in media time, a group may lie behind the newest and still be wanted. `None`: no limit.
    pub max_age: Option<Duration>,
    pub start: Start,
    /// The last group wanted. `None`: no end.
    pub end: Option<u64>,
}

impl Default for Ask {
    /// The newest group and those after it, at a middling priority.
    fn default() -> Self {
        Self { priority: 127, max_age: Some(Duration::ZERO), start: Start::Latest, end: None }
    }
}

/// What all readers together ask: enough for each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The highest.
    pub priority: u8,
    /// The longest. `None`: no limit.
    pub max_age: Option<Duration>,
    /// The earliest; [`Start::Latest`] as soon as one names none.
    pub start: Start,
    /// The last. `None`: no end.
    pub end: Option<u64>,
}

/// Every reader's ask, counted by value, so that merging them does not depend on how many there are.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    priorities: Counted<u8>,
    /// No limit stands as the longest there is.
    max_ages: Counted<Duration>,
    /// No start stands as the earliest.
    starts: Counted<Option<u64>>,
    /// No end stands as the last.
    ends: Counted<u64>,
}

impl Asks {
    pub(crate) fn add(&mut self, ask: &Ask) {
        let (max_age, start, end) = keys(ask);
        self.priorities.add(ask.priority);
        self.max_ages.add(max_age);
        self.starts.add(start);
        self.ends.add(end);
    }

    pub(crate) fn remove(&mut self, ask: &Ask) {
        let (max_age, start, end) = keys(ask);
        self.priorities.remove(ask.priority);
        self.max_ages.remove(max_age);
        self.starts.remove(start);
        self.ends.remove(end);
    }

    /// `None`: nobody asks.
    pub(crate) fn demand(&self) -> Option<Demand> {
        Some(Demand {
            priority: self.priorities.max()?,
            max_age: self.max_ages.max().filter(|age| *age != Duration::MAX),
            start: self.starts.min()?.map_or(Start::Latest, Start::At),
            end: self.ends.max().filter(|end| *end != u64::MAX),
        })
    }
}

fn keys(ask: &Ask) -> (Duration, Option<u64>, u64) {
    let start = match ask.start {
        Start::Latest => None,
        Start::At(group) => Some(group),
    };
    (ask.max_age.unwrap_or(Duration::MAX), start, ask.end.unwrap_or(u64::MAX))
}

/// How often each value is there.
#[derive(Debug)]
struct Counted<K>(BTreeMap<K, usize>);

impl<K> Default for Counted<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Copy + Ord> Counted<K> {
    fn add(&mut self, key: K) {
        *self.0.entry(key).or_default() += 1;
    }

    fn remove(&mut self, key: K) {
        if let Some(count) = self.0.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&key);
            }
        }
    }

    fn min(&self) -> Option<K> {
        self.0.first_key_value().map(|(key, _)| *key)
    }

    fn max(&self) -> Option<K> {
        self.0.last_key_value().map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(priority: u8, max_age: Option<u64>, start: Start, end: Option<u64>) -> Ask {
        Ask { priority, max_age: max_age.map(Duration::from_millis), start, end }
    }

    #[test]
    fn nobody_asks_for_nothing() {
        assert_eq!(Asks::default().demand(), None);
    }

    #[test]
    fn the_demand_is_enough_for_everybody() {
        let mut asks = Asks::default();
        asks.add(&ask(1, Some(500), Start::At(7), Some(9)));
        asks.add(&ask(200, Some(100), Start::At(3), Some(20)));
        let merged = Demand { priority: 200, max_age: Some(Duration::from_millis(500)), start: Start::At(3), end: Some(20) };
        assert_eq!(asks.demand(), Some(merged));

        let boundless = ask(0, None, Start::Latest, None);
        asks.add(&boundless);
        let all = Demand { priority: 200, max_age: None, start: Start::Latest, end: None };
        assert_eq!(asks.demand(), Some(all));

        asks.remove(&boundless);
        assert_eq!(asks.demand(), Some(merged), "whoever leaves takes his ask along");
    }

    fn any_ask() -> impl Strategy<Value = Ask> {
        let start = prop_oneof![Just(Start::Latest), (0u64..5).prop_map(Start::At)];
        (0u8..5, prop::option::of(0u64..5), start, prop::option::of(0u64..5))
            .prop_map(|(priority, max_age, start, end)| ask(priority, max_age, start, end))
    }

    proptest! {
        #[test]
        fn merging_does_not_depend_on_who_came_and_went(
            kept in prop::collection::vec(any_ask(), 0..8),
            gone in prop::collection::vec(any_ask(), 0..8),
        ) {
            let (mut plain, mut busy) = (Asks::default(), Asks::default());
            gone.iter().for_each(|ask| busy.add(ask));
            kept.iter().for_each(|ask| plain.add(ask));
            kept.iter().rev().for_each(|ask| busy.add(ask));
            gone.iter().for_each(|ask| busy.remove(ask));
            prop_assert_eq!(plain.demand(), busy.demand());
            prop_assert_eq!(kept.is_empty(), plain.demand().is_none());
        }
    }
}
