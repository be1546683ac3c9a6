//! From one source of a broadcast to the next.
//!
//! Finds who else has what a source had. Continuing a track there is up to whoever serves it: only the same publisher's
//! groups continue each other.

use std::sync::Arc;

use moq_proto::{HopId, Path};

use super::{Producer, holder::counts, places::Source};
use crate::model::broadcast;

impl Producer {
    /// Other ways to the broadcast that `publisher` announced at exactly this path, best first: whatever has the same first
    /// hop, has not ended, and leads neither to nor through the peer of this producer. A hop is what its sender says it is, so
    /// they are of the same principal as that peer, or trusted.
    pub fn alternatives(&self, path: &Path, publisher: HopId) -> Vec<broadcast::Consumer> {
        let Some(path) = self.scope.resolve(path) else { return Vec::new() };
        let sources: Vec<Arc<Source>> = {
            let places = self.shared.read();
            let place = places.tree.get(path.as_str()).into_iter();
            let visible = place.flat_map(|place| place.visible(&self.peer));
            let same = |source: &&Arc<Source>| {
                let told = &source.told;
                told.route.publisher() == Some(publisher) && counts(told.principal.as_ref(), self.peer.principal.as_ref())
            };
            visible.filter(same).cloned().collect()
        };
        sources.iter().filter(|source| source.is_alive()).map(|source| source.broadcast.clone()).collect()
    }
}
