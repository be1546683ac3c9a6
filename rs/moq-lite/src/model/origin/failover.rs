//! From one source of a broadcast to the next.
//!
//! Finds who else has what a source had. Continuing a track there is up to whoever serves it: only the same publisher's
//! groups continue each other.

use std::sync::Arc;

use moq_proto::{HopId, Path};

use super::{Consumer, places::Source};
use crate::model::broadcast;

impl Consumer {
    /// Other ways to the broadcast that `publisher` announced at exactly this path, best first: whatever has the same first
    /// hop and has not ended. What is [consumed](Self::consume) at present may be among them.
    pub fn alternatives(&self, path: &Path, publisher: HopId) -> Vec<broadcast::Consumer> {
        let Some(path) = self.scope.resolve(path) else { return Vec::new() };
        let horizon = self.horizon();
        let sources: Vec<Arc<Source>> = {
            let places = self.shared.places.lock();
            let place = places.tree.get(path.as_str()).into_iter();
            let seen = place.flat_map(|place| place.sources()).filter(|source| source.told.is_visible(&horizon));
            seen.filter(|source| source.told.route.publisher() == Some(publisher)).cloned().collect()
        };
        let broadcasts = sources.iter().map(|source| source.broadcast.clone());
        broadcasts.filter(|broadcast| broadcast.ended().is_none()).collect()
    }
}
