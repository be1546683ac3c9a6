//! The live edge of a track, as the distance of its groups from it.

use std::{sync::Arc, time::Duration};

use super::Shared;
use crate::model::expiry::Timeline;

/// How far a track's groups lie behind its live edge, now and whenever it is asked.
#[derive(Clone, Debug)]
pub struct Edge {
    shared: Arc<Shared>,
}

impl Edge {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Timeline for Edge {
    fn behind(&self, sequence: u64) -> Option<Duration> {
        self.shared.groups.lock().behind(sequence, self.shared.info.timescale)
    }
}
