//! Leaving: what a peer that goes away asks of us, and who hears of it.
//!
//! Said and heard in [`lite::goaway`](super::lite), and followed by whoever keeps the sessions: here nothing ends.
//! Spec: moq-lite-04, "GOAWAY".

use std::fmt;

use tokio::sync::watch;

/// A wish of one side that the other leaves.
///
/// Where to may hold credentials, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct GoAway {
    uri: String,
}

impl GoAway {
    pub(super) fn new(uri: String) -> Self {
        Self { uri }
    }

    /// Where to, at most 8,192 bytes, as the peer wrote it: nobody has looked at it. Empty: to where we came.
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

impl fmt::Debug for GoAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.uri.is_empty() { "GoAway(here)" } else { "GoAway(elsewhere)" })
    }
}

/// What is told of it: once in a session, each way.
pub(super) type Told = watch::Sender<Option<GoAway>>;

/// Hears when the peer asks us to leave, also while its session runs.
#[derive(Clone, Debug)]
pub struct AskedToLeave(watch::Receiver<Option<GoAway>>);

impl AskedToLeave {
    pub(super) fn of(told: &Told) -> Self {
        Self(told.subscribe())
    }

    /// Waits until the peer asks. The session goes on until either side ends it, and what the peer publishes is the last resort
    /// from then on. Never ends when the session does before, nor with peers before moq-lite-04.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing; called again, it says the same.
    pub async fn wait(&mut self) -> GoAway {
        if let Ok(told) = self.0.wait_for(Option::is_some).await
            && let Some(goaway) = &*told
        {
            return goaway.clone();
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_is_not_shown() {
        let told = Told::new(Some(GoAway::new("https://relay/?jwt=secret".into())));
        assert!(!format!("{told:?} {:?}", AskedToLeave::of(&told)).contains("secret"));
    }
}
