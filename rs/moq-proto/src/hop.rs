//! Who an announcement came through, and what its route costs.
//!
//! Nouns only; loops are found and routes are chosen by the model. Spec: moq-lite-06, "Hops" and "Cost".

use std::fmt;

use crate::{VarInt, VarIntError};

/// The identity of a relay or publisher on a route.
///
/// Any number below 2^62; choose it below 2^53, or JavaScript peers cannot read it ([`VarInt::JS_MAX`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HopId(VarInt);

impl HopId {
    /// Somebody who has no name: equal to nobody on a route, never a loop.
    pub const UNKNOWN: Self = Self(VarInt::ZERO);

    pub const fn get(self) -> u64 {
        self.0.get()
    }

    pub const fn is_unknown(self) -> bool {
        self.get() == 0
    }
}

impl From<VarInt> for HopId {
    fn from(id: VarInt) -> Self {
        Self(id)
    }
}

impl From<HopId> for VarInt {
    fn from(hop: HopId) -> Self {
        hop.0
    }
}

impl TryFrom<u64> for HopId {
    type Error = VarIntError;

    fn try_from(id: u64) -> Result<Self, VarIntError> {
        VarInt::try_from(id).map(Self)
    }
}

impl fmt::Display for HopId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why hops do not make a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HopError {
    #[error("more than {max} hops")]
    TooMany { max: usize },
    #[error("hop {0} twice in one chain")]
    Repeated(HopId),
}

/// The hops of a route, original publisher first: at most [`HopChain::MAX`], none but the unknown twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HopChain(Vec<HopId>);

impl HopChain {
    /// Longest chain, as moq-lite has it.
    pub const MAX: usize = 32;

    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// # Errors
    /// When they are too many, or one that is known comes twice.
    pub fn try_from_iter(hops: impl IntoIterator<Item = HopId>) -> Result<Self, HopError> {
        let mut chain = Self::new();
        hops.into_iter().try_for_each(|hop| chain.push(hop))?;
        Ok(chain)
    }

    /// Appends the next hop away from the publisher.
    ///
    /// # Errors
    /// When the chain is full or has this hop already; it stays as it was.
    pub fn push(&mut self, hop: HopId) -> Result<(), HopError> {
        if self.0.len() >= Self::MAX {
            return Err(HopError::TooMany { max: Self::MAX });
        }
        if self.contains(hop) {
            return Err(HopError::Repeated(hop));
        }
        self.0.push(hop);
        Ok(())
    }

    /// The original publisher, as far as it is named.
    pub fn first(&self) -> Option<HopId> {
        self.0.first().copied()
    }

    /// Whoever is nearest to us.
    pub fn last(&self) -> Option<HopId> {
        self.0.last().copied()
    }

    /// Whether the route goes through `hop`. Never true for the unknown hop, which is equal to nobody.
    pub fn contains(&self, hop: HopId) -> bool {
        !hop.is_unknown() && self.0.contains(&hop)
    }

    /// Whether somebody on the route, or its publisher, has no name.
    pub fn is_anonymous(&self) -> bool {
        self.0.is_empty() || self.0.iter().any(|hop| hop.is_unknown())
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = HopId> + DoubleEndedIterator {
        self.0.iter().copied()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<HopId>> for HopChain {
    type Error = HopError;

    fn try_from(hops: Vec<HopId>) -> Result<Self, HopError> {
        Self::try_from_iter(hops)
    }
}

/// What a route costs; each part saturates at 2^62 - 1. Compared by warm cost, then by cold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost {
    /// While the content is flowing already.
    pub warm: VarInt,
    /// When it has to be started first.
    pub cold: VarInt,
}

impl Cost {
    /// Content that is produced anyway.
    pub const LIVE: Self = Self { warm: VarInt::ZERO, cold: VarInt::ZERO };
    /// The last resort.
    pub const MAX: Self = Self { warm: VarInt::MAX, cold: VarInt::MAX };
    /// A route from a peer whose version knows no costs: chosen by length alone.
    pub const UNPRICED: Self = Self { warm: VarInt::ZERO, cold: VarInt::MAX };

    /// Each part, or 2^62 - 1 when it is larger.
    pub const fn new(warm: u64, cold: u64) -> Self {
        Self { warm: VarInt::saturating(warm), cold: VarInt::saturating(cold) }
    }

    /// The cost beyond a link that costs `link`.
    #[must_use]
    pub const fn add(self, link: u64) -> Self {
        Self::new(self.warm.get().saturating_add(link), self.cold.get().saturating_add(link))
    }
}

#[cfg(test)]
mod tests;
