//! Penalties: who shows bad tokens again and again waits.
//!
//! Counts failed logins by address and decides who is under a penalty; what that means is `Auth`'s. Time is handed in.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{address::household, config::PenaltyConfig};

/// How long failures are remembered together.
const WINDOW: Duration = Duration::from_secs(60);

/// Most addresses that are remembered. At a hundred bytes each this is 6 MiB; who is in control of more networks than that makes
/// the relay forget the oldest.
const ADDRESSES_MAX: usize = 65_536;

/// The failures of all addresses.
#[derive(Debug)]
pub(super) struct Penalties {
    config: PenaltyConfig,
    addresses_max: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// By household.
    records: HashMap<IpAddr, Record>,
    /// In the order they came in, and when that was; some may be gone from `records` or there anew.
    order: VecDeque<(IpAddr, Instant)>,
}

/// What one address has done since its first failure.
#[derive(Clone, Copy, Debug)]
struct Record {
    since: Instant,
    failures: u32,
    /// When the penalty ends, if there is one.
    until: Option<Instant>,
}

impl Penalties {
    pub(super) fn new(config: PenaltyConfig) -> Self {
        Self { config, addresses_max: ADDRESSES_MAX, table: Mutex::default() }
    }

    /// Whether the address is under a penalty.
    pub(super) fn is_under(&self, address: IpAddr, now: Instant) -> bool {
        let household = household(address);
        let until = self.table().records.get(&household).and_then(|record| record.until);
        until.is_some_and(|until| now < until)
    }

    /// Counts a failed login. Returns whether a penalty begins with it.
    pub(super) fn count(&self, address: IpAddr, now: Instant) -> bool {
        let Some(allowed) = self.config.failures.filter(|_| !self.is_exempt(address)) else { return false };
        let household = household(address);
        let mut table = self.table();
        table.forget(now, WINDOW + self.config.duration);
        let record = match table.records.get(&household) {
            Some(record) if !self.is_over(record, now) => *record,
            _ => {
                table.make_room(self.addresses_max);
                table.order.push_back((household, now));
                Record { since: now, failures: 0, until: None }
            }
        };
        let failures = record.failures.saturating_add(1);
        let begins = record.until.is_none() && failures >= allowed;
        let until = if begins { Some(now + self.config.duration) } else { record.until };
        table.records.insert(household, Record { failures, until, ..record });
        begins
    }

    fn is_exempt(&self, address: IpAddr) -> bool {
        self.config.exempt.iter().any(|network| network.contains(address))
    }

    fn is_over(&self, record: &Record, now: Instant) -> bool {
        match record.until {
            Some(until) => now >= until,
            None => now.duration_since(record.since) >= WINDOW,
        }
    }

    /// A panic elsewhere breaks nothing: at worst a record stands there without its place in the order, until it is over.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Lets go of what began `age` ago or earlier.
    fn forget(&mut self, now: Instant, age: Duration) {
        while self.order.front().is_some_and(|(_, since)| now.duration_since(*since) >= age) {
            self.forget_oldest();
        }
    }

    fn make_room(&mut self, max: usize) {
        while self.order.len() >= max {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((address, since)) = self.order.pop_front() else { return };
        // It may have come back since, and then stands further behind.
        if self.records.get(&address).is_some_and(|record| record.since == since) {
            self.records.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Network;

    const PENALTY: Duration = Duration::from_secs(90);

    fn penalties() -> Penalties {
        Penalties::new(PenaltyConfig { failures: Some(3), duration: PENALTY, exempt: Network::LOOPBACK.to_vec() })
    }

    fn sizes(penalties: &Penalties) -> (usize, usize) {
        let table = penalties.table();
        (table.records.len(), table.order.len())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_failure_that_is_allowed_begins_a_penalty_and_time_ends_it() {
        let (penalties, start, mallory) = (penalties(), Instant::now(), ip("192.0.2.7"));
        let at = |seconds| start + Duration::from_secs(seconds);

        assert_eq!([1, 2, 3].map(|second| penalties.count(mallory, at(second))), [false, false, true]);
        assert!(penalties.is_under(mallory, at(3)) && !penalties.is_under(ip("192.0.2.8"), at(3)));
        assert!(!penalties.count(mallory, at(60)), "a penalty does not begin within one");
        assert!(penalties.is_under(mallory, at(92)), "nor is it made longer");
        assert!(!penalties.is_under(mallory, at(93)));
        assert_eq!([93, 94, 95].map(|second| penalties.count(mallory, at(second))), [false, false, true]);
    }

    #[test]
    fn failures_a_minute_apart_do_not_add_up() {
        let (penalties, start, alice) = (penalties(), Instant::now(), ip("192.0.2.7"));

        let begins = (0..100).any(|count| penalties.count(alice, start + Duration::from_secs(31) * count));

        assert!(!begins);
        assert!(penalties.table().order.len() < 10);
    }

    #[test]
    fn a_household_is_one_and_who_is_exempt_is_never_counted() {
        let (penalties, now) = (penalties(), Instant::now());

        for address in ["2001:db8::1", "2001:db8::2:2", "2001:db8:0:0:ffff::"] {
            penalties.count(ip(address), now);
        }
        assert!(penalties.is_under(ip("2001:db8::3"), now) && !penalties.is_under(ip("2001:db8:0:1::3"), now));
        for _ in 0..100 {
            assert!(!penalties.count(ip("::ffff:127.0.0.1"), now) && !penalties.count(ip("::1"), now));
        }
        let unlimited = Penalties::new(PenaltyConfig { failures: None, ..penalties.config });
        assert!((0..100).all(|_| !unlimited.count(ip("192.0.2.7"), now)));
    }

    #[test]
    fn the_table_has_an_end_and_lets_go_of_the_oldest() {
        let (mut penalties, start) = (penalties(), Instant::now());
        penalties.addresses_max = 4;
        let nth = |number: u32| IpAddr::V4((0xc000_0200 + number).into());
        for number in 0..3 {
            penalties.count(nth(0), start + Duration::from_millis(number));
        }
        assert!(penalties.is_under(nth(0), start));

        for number in 1..4 {
            penalties.count(nth(number), start + Duration::from_secs(1));
        }
        assert!(penalties.is_under(nth(0), start), "there was room");
        penalties.count(nth(4), start + Duration::from_secs(1));
        assert!(!penalties.is_under(nth(0), start));
        assert_eq!(sizes(&penalties), (4, 4));

        penalties.count(nth(5), start + Duration::from_secs(1000));
        assert_eq!(sizes(&penalties), (1, 1), "what is over is forgotten");
    }
}
