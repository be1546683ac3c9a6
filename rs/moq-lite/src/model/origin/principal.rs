//! Principal: who is behind what a peer announces, as far as whoever admitted it says.

use std::{fmt, sync::Arc};

/// On whose behalf a peer publishes: two sessions with the same are the same publisher, come back or connected twice.
///
/// What it is made of is up to whoever admits peers. It is never printed, since it may be a name or stem from a secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Principal(Arc<[u8]>);

impl Principal {
    /// The principal that these bytes stand for. Different kinds of principals have to differ in them.
    pub fn new(identity: &[u8]) -> Self {
        Self(identity.into())
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal").finish_non_exhaustive()
    }
}
