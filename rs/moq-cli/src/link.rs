//! Link: whether there is a session with the relay right now. Whoever keeps the sessions tells; commands show it to people and
//! scripts, and wait for it where they cannot do without.

use moq_native::reconnect::Place;
use moq_proto::Version;
use tokio::{sync::watch, time::Instant};

/// What was told last.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Connected {
        place: Place,
        version: Version,
    },
    /// Another session is tried for. Why the last one ended.
    Reconnecting(String),
}

/// The one who tells.
pub(crate) struct Teller(watch::Sender<Told>);

/// One who hears it. Each hears of every change, or only of the last of several.
#[derive(Clone)]
pub(crate) struct Link(watch::Receiver<Told>);

#[derive(Debug)]
struct Told {
    state: State,
    /// Sessions that were lost, or left for another.
    lost: u64,
    since: Instant,
}

/// Begins with a session.
pub(crate) fn link(place: Place, version: Version) -> (Teller, Link) {
    let told = Told { state: State::Connected { place, version }, lost: 0, since: Instant::now() };
    let (teller, link) = watch::channel(told);
    (Teller(teller), Link(link))
}

impl Teller {
    /// There is another session, after one that was lost or in the place of one that goes on.
    pub(crate) fn connected(&self, place: Place, version: Version) {
        self.0.send_modify(|told| {
            told.lost += u64::from(matches!(told.state, State::Connected { .. }));
            (told.state, told.since) = (State::Connected { place, version }, Instant::now());
        });
    }

    pub(crate) fn reconnecting(&self, why: String) {
        self.0.send_modify(|told| {
            (told.state, told.since) = (State::Reconnecting(why), Instant::now());
            told.lost += 1;
        });
    }
}

impl Link {
    /// Waits until something is told that was not heard of yet. Never ends once nobody can tell.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing.
    pub(crate) async fn changed(&mut self) -> State {
        match self.0.changed().await {
            Ok(()) => self.0.borrow_and_update().state.clone(),
            Err(_) => std::future::pending().await,
        }
    }

    /// How many sessions were lost, or left for another, so far.
    pub(crate) fn lost(&self) -> u64 {
        self.0.borrow().lost
    }

    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.0.borrow().state, State::Connected { .. })
    }

    /// Waits until there is a session, and returns since when. Never ends once there will be none.
    pub(crate) async fn connected(&self) -> Instant {
        let mut link = self.0.clone();
        let since = link.wait_for(|told| matches!(told.state, State::Connected { .. })).await.map(|told| told.since);
        match since {
            Ok(since) => since,
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{advance, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_told_is_heard_once() {
        let began = Instant::now();
        let place = Place::from(url::Url::parse("https://relay/").unwrap());
        let (teller, mut link) = link(place.clone(), Version::Lite05);
        let mut idle = link.clone();
        assert!(timeout(Duration::from_secs(1), link.changed()).await.is_err(), "it began so");

        teller.reconnecting("lost".into());
        assert!(matches!(link.changed().await, State::Reconnecting(why) if why == "lost"));
        assert!(!link.is_connected());
        assert!(timeout(Duration::from_secs(1), link.connected()).await.is_err());
        advance(Duration::from_secs(1)).await;
        teller.connected(place.clone(), Version::Lite06);
        assert!(matches!(link.changed().await, State::Connected { version: Version::Lite06, .. }));
        assert_eq!((link.lost(), link.connected().await), (1, began + Duration::from_secs(3)));

        assert!(matches!(idle.changed().await, State::Connected { version: Version::Lite06, .. }), "only the last");
        teller.connected(place, Version::Lite06);
        assert!(matches!(link.changed().await, State::Connected { .. }), "another in its place");
        assert_eq!(link.lost(), 2);
        idle.changed().await;
        drop(teller);
        assert!(timeout(Duration::from_secs(1), idle.changed()).await.is_err());
    }
}
