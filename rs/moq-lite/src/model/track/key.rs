//! What a track is found by in its broadcast.

use std::{fmt, sync::Arc};

use moq_proto::Path;

/// The name of a track, and how far below the path of its broadcast it was asked for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The root: at the broadcast's own path.
    pub(crate) below: Path,
    pub(crate) name: Arc<str>,
}

impl Key {
    pub(crate) fn new(below: Path, name: impl Into<Arc<str>>) -> Self {
        Self { below, name: name.into() }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.below.is_root() {
            true => self.name.fmt(f),
            false => write!(f, "{:?} at {:?}", self.name, self.below),
        }
    }
}
