//! The session's one look at a clock: the runtime's, so that tests can hold it.

use std::time::Instant;

/// Now, in the model's terms.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
