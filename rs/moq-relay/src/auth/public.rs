//! What anybody may do without showing a token.

use moq_proto::Path;
use moq_token::Grant;

/// The public part of the relay, as a grant from the root.
#[derive(Clone, Debug)]
pub(crate) struct Public {
    grant: Grant,
}

impl Public {
    /// Everybody may publish below `publish`, and subscribe below `subscribe`.
    pub(crate) fn new(publish: Vec<Path>, subscribe: Vec<Path>) -> Self {
        Self { grant: Grant { root: Path::root(), publish, subscribe, expires: None } }
    }

    /// What of it lies at `path` or below. `None`: nothing does.
    pub(crate) fn at(&self, path: &Path) -> Option<Grant> {
        self.grant.at(path)
    }
}
