//! Where a WebSocket has won the race, so that the next one there begins without a head start for QUIC.
//!
//! A place is remembered until QUIC wins there, or until too many others have followed it. What it is good for is decided in
//! `client.rs`.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use url::Url;

/// Most places that are remembered: more than one client goes to and fro between. One that is forgotten costs a head start.
const PLACES_MAX: usize = 64;

/// The hosts and ports, the one where a WebSocket won last at the end.
#[derive(Debug, Default)]
pub(super) struct Wins(Mutex<VecDeque<Place>>);

type Place = (String, u16);

impl Wins {
    /// Whether a WebSocket has won at the host and port of `url`, and QUIC not since.
    pub(super) fn contain(&self, url: &Url) -> bool {
        place(url).is_some_and(|place| self.lock().contains(&place))
    }

    /// Takes note of who has won at the host and port of `url`.
    pub(super) fn settle(&self, url: &Url, is_websocket: bool) {
        let Some(place) = place(url) else { return };
        let mut places = self.lock();
        places.retain(|known| *known != place);
        if is_websocket {
            if places.len() == PLACES_MAX {
                places.pop_front();
            }
            places.push_back(place);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None`: nobody can be connected to there.
fn place(url: &Url) -> Option<Place> {
    Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: usize) -> Url {
        format!("https://relay.example:{port}/room?jwt=x").parse().unwrap()
    }

    #[test]
    fn a_win_is_remembered_for_the_host_and_port_until_quic_wins() {
        let wins = Wins::default();
        assert!(!wins.contain(&at(443)));
        wins.settle(&at(443), true);
        assert!(wins.contain(&"https://RELAY.example/elsewhere".parse().unwrap()));
        for other in ["https://relay.example:444/room", "https://other.example/room", "http://relay.example/room"] {
            assert!(!wins.contain(&other.parse().unwrap()), "{other}");
        }
        wins.settle(&at(444), false);
        assert!(wins.contain(&at(443)));
        wins.settle(&at(443), false);
        assert!(!wins.contain(&at(443)));
    }

    #[test]
    fn the_one_that_is_longest_ago_makes_room() {
        let wins = Wins::default();
        (0..PLACES_MAX).for_each(|port| wins.settle(&at(1 + port), true));
        wins.settle(&at(1), true);
        wins.settle(&at(1000), true);
        assert!(wins.contain(&at(1)) && wins.contain(&at(1000)) && !wins.contain(&at(2)));
        assert_eq!(wins.lock().len(), PLACES_MAX);
    }
}
