//! Order: which group goes first on a connection, settled when its stream opens.
//!
//! A rank is 8 bits of the subscription's priority and 24 bits of the time the group's stream opened, so that the higher
//! priority wins and, at equal priority, the newest group. Groups opened in the same tick share.
//! Spec: moq-lite-06, "Prioritization".

use std::time::{Duration, Instant};

use crate::transport::Rank;

/// How long one step of the time part lasts. After 46 hours it begins again: what opens then stands behind what is still on its
/// way, once, for as long as that takes.
const TICK: Duration = Duration::from_millis(10);

/// Values of the time part: all but that of [`Rank::CONTROL`], so that no group ever ties with a control stream.
const TICKS: u128 = (1 << 24) - 1;

/// Hands out ranks by the time since a session began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    began: Instant,
}

impl Order {
    pub(super) fn new(began: Instant) -> Self {
        Self { began }
    }

    /// The time part of a stream that opens now.
    pub(super) fn tick(&self, now: Instant) -> Tick {
        let ticks = now.saturating_duration_since(self.began).as_millis() / TICK.as_millis();
        Tick((ticks % TICKS) as i32)
    }
}

/// When a group's stream opened, in ticks since its session began. Kept, so that a new priority can be applied to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(i32);

impl Tick {
    /// Of what is ranked by its priority alone.
    pub(super) const FIRST: Self = Self(0);

    pub(super) fn rank(self, priority: u8) -> Rank {
        Rank(((i32::from(priority) - 128) << 24) | self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_wins_then_the_newest_group_and_control_comes_before_all() {
        let began = Instant::now();
        let order = Order::new(began);
        let (early, late) = (order.tick(began), order.tick(began + Duration::from_secs(1)));

        assert!(late.rank(7) > early.rank(7));
        assert!(early.rank(8) > late.rank(7));
        assert!(early.rank(128) > late.rank(127));
        let last = order.tick(began + TICK * (TICKS as u32 - 1));
        assert!(last.rank(255) < Rank::CONTROL);
        assert!(last.rank(0) < early.rank(1));
    }

    #[test]
    fn newer_groups_come_first_after_days_too() {
        let began = Instant::now();
        let order = Order::new(began);
        let later = began + Duration::from_secs(20 * 24 * 3600);
        assert!(order.tick(later + TICK) > order.tick(later));
    }
}
