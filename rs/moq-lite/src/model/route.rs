//! Which of several sources of one path to use.
//!
//! Judges routes; where they are kept and who may see them is the origin's. Spec: moq-lite-06, "Routing", "Hops" and "Cost";
//! the order of routes is the one shipping relays have, so that all nodes of a mesh agree.

use std::cmp::Reverse;

use moq_proto::{Cost, HopChain, HopId, Path};

/// How an announced path is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The full chain, original publisher first, nearest sender last; [stamped](Self::stamped) where it names no publisher.
    /// Empty for what is produced here.
    pub hops: HopChain,
    /// Including the last link.
    pub cost: Cost,
    /// Produced inside this process rather than learned over a session.
    pub local: bool,
}

impl Route {
    /// The route of what is produced here, live.
    pub const fn local() -> Self {
        Self { hops: HopChain::new(), cost: Cost::LIVE, local: true }
    }

    /// Gives a publisher without a name one for as long as its connection lives: `stamp`, chosen at random for the
    /// connection, goes in front of a chain that is empty or starts with the unknown hop. A publisher that comes back is
    /// then a new one to everybody downstream. Other chains stay as they are.
    ///
    /// `None`: the chain is full.
    pub fn stamped(hops: HopChain, stamp: HopId) -> Option<HopChain> {
        match hops.first() {
            Some(first) if !first.is_unknown() => Some(hops),
            Some(_) => HopChain::try_from_iter([stamp].into_iter().chain(hops.iter())).ok(),
            None => HopChain::try_from_iter([stamp, HopId::UNKNOWN]).ok(),
        }
    }

    /// The original publisher, if it has a name. Routes of one publisher lead to the same content and are interchangeable.
    pub fn publisher(&self) -> Option<HopId> {
        self.hops.first().filter(|first| !first.is_unknown())
    }

    /// Whether somebody on the way has no name, so that loops through them go unseen. Such routes come last.
    fn is_anonymous(&self) -> bool {
        !self.local && self.hops.is_anonymous()
    }

    /// Whether the last sender is a relay: it has a name, and is not the publisher itself.
    fn is_relayed(&self) -> bool {
        self.hops.len() > 1 && self.hops.last().is_some_and(|last| !last.is_unknown())
    }
}

/// The place of a route among the routes to one path: the least is the best. No two are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    anonymous: bool,
    cost: Cost,
    learned: bool,
    hops: usize,
    relayed: bool,
    /// Among relays, so that all nodes choose alike; 0 for others.
    tie: u64,
    /// A publisher that comes back takes over at once, rather than after the old session's timeout.
    newest: Reverse<u64>,
}

impl Rank {
    /// `announced` counts announcements: the larger, the newer.
    pub(super) fn new(path: &Path, route: &Route, announced: u64) -> Self {
        let relayed = route.is_relayed();
        Self {
            anonymous: route.is_anonymous(),
            cost: route.cost,
            learned: !route.local,
            hops: route.hops.len(),
            relayed,
            tie: if relayed { tie_break(path, &route.hops) } else { 0 },
            newest: Reverse(announced),
        }
    }
}

/// FNV-1a, 64 bits, of the path and then of each hop as 8 bytes, little-endian.
fn tie_break(path: &Path, hops: &HopChain) -> u64 {
    /// Not the usual start: the one all relays share.
    const START: u64 = 0x420C_0DEC_B00B;
    const PRIME: u64 = 0x0100_0000_01b3;
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    let named = path.as_str().bytes().fold(START, fold);
    hops.iter().flat_map(|hop| hop.get().to_le_bytes()).fold(named, fold)
}

#[cfg(test)]
mod tests;
