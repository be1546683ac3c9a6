//! What is known of one announcement, and who may hear of it.

use super::{Horizon, SessionId, principal::Principal};
use crate::model::route::{Rank, Route};

/// What is known of one announcement, from one change of it to the next.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) route: Route,
    pub(super) rank: Rank,
    /// Where it was learned.
    pub(super) session: SessionId,
    /// On whose behalf it was announced. `None`: it is trusted.
    pub(super) principal: Option<Principal>,
    /// The number of the change that first announced it; the same through all its updates, and nobody else's.
    pub(super) announced: u64,
    /// The number of the change since which the principal has been at this path without a gap, over whatever sessions.
    pub(super) claimed: u64,
    /// The number of the change that told this.
    pub(super) since: u64,
    /// Whether what lies below the path is served too.
    pub(super) serves_below: bool,
}

impl Told {
    /// Whether the peer may hear of it: it neither told us so itself nor lies on the way.
    pub(super) fn is_visible(&self, to: &Horizon) -> bool {
        self.session != to.session && !self.route.hops.contains(to.hop)
    }
}
