//! A generated certificate, and the one that follows it.
//!
//! Clients pin it by its fingerprint, and whoever has pinned the old one is to get in until that ends: so the old one is shown
//! until then. The next one is made a day before, and its fingerprint told beside the old one's, so that who pins both does
//! not notice.

use std::time::{Duration, SystemTime};

use moq_native::tls::{Certificates, GenerateError};

/// How long before the end of a certificate the next one is made and told.
const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

/// How long before the end of a certificate the next one is shown: less than anybody notices, more than lies between two looks.
const HANDOVER: Duration = Duration::from_secs(1);

/// How far the clock may be set back until the certificate is one of the future; an hour of that is in it.
const CLOCK_SKEW: Duration = Duration::from_secs(30 * 60);

/// Certificates for some names, one after the other.
#[derive(Debug)]
pub(super) struct Generated {
    names: Vec<String>,
    made: SystemTime,
    shown: Certificates,
    next: Option<Certificates>,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The next certificate is there.
    Prepared,
    /// Another certificate is to be shown.
    Replaced,
}

impl Generated {
    /// # Errors
    /// When a name is none.
    pub(super) fn new(names: Vec<String>, now: SystemTime) -> Result<Self, GenerateError> {
        Ok(Self { shown: Certificates::generate_at(&names, now)?, made: now, names, next: None })
    }

    /// Does what is due at `now`. `None`: nothing was.
    ///
    /// # Errors
    /// When no certificate could be made; the one shown stays.
    pub(super) fn turn(&mut self, now: SystemTime) -> Result<Option<Turn>, GenerateError> {
        // A clock that was put right, or a machine that slept.
        let is_next_useless = self.next.as_ref().is_some_and(|next| next.expires() <= now + HANDOVER);
        if now + CLOCK_SKEW < self.made || is_next_useless {
            *self = Self::new(std::mem::take(&mut self.names), now)?;
            return Ok(Some(Turn::Replaced));
        }
        let ends = self.shown.expires();
        let mut turn = None;
        if self.next.is_none() && ends <= now + OVERLAP {
            self.next = Some(Certificates::generate_at(&self.names, now)?);
            self.made = now;
            turn = Some(Turn::Prepared);
        }
        if ends <= now + HANDOVER
            && let Some(next) = self.next.take()
        {
            self.shown = next;
            turn = Some(Turn::Replaced);
        }
        Ok(turn)
    }

    /// The one to be shown.
    pub(super) fn shown(&self) -> &Certificates {
        &self.shown
    }

    /// The one that will be shown when this one ends. `None`: that is a while yet.
    pub(super) fn next(&self) -> Option<&Certificates> {
        self.next.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use moq_native::tls::GENERATED_LIFETIME;

    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn generated(now: SystemTime) -> Generated {
        Generated::new(vec!["localhost".into()], now).unwrap()
    }

    #[test]
    fn the_old_one_is_shown_until_it_ends_and_the_new_one_known_before() {
        let start = SystemTime::now();
        let mut generated = generated(start);
        let (old, ends) = (generated.shown().fingerprints(), generated.shown().expires());
        assert!(ends.duration_since(start).unwrap() <= GENERATED_LIFETIME);

        let early = ends - OVERLAP - Duration::from_secs(1);
        assert_eq!((generated.turn(early).unwrap(), generated.next().is_some()), (None, false));

        assert_eq!(generated.turn(ends - OVERLAP).unwrap(), Some(Turn::Prepared));
        let next = generated.next().unwrap().fingerprints();
        assert_ne!(next, old);
        assert_eq!(generated.turn(ends - HANDOVER * 2).unwrap(), None);
        assert_eq!(generated.shown().fingerprints(), old);

        assert_eq!(generated.turn(ends - HANDOVER).unwrap(), Some(Turn::Replaced));
        assert_eq!(generated.shown().fingerprints(), next);
        assert!(generated.next().is_none());
        assert!(generated.shown().expires() > ends + 11 * 24 * HOUR);
    }

    #[test]
    fn a_machine_that_slept_shows_a_fresh_one_when_it_wakes() {
        let start = SystemTime::now();
        for slept in [GENERATED_LIFETIME - HOUR / 2, 2 * GENERATED_LIFETIME, 30 * GENERATED_LIFETIME] {
            let mut generated = generated(start);
            generated.turn(start + GENERATED_LIFETIME - OVERLAP).unwrap();
            assert_eq!(generated.turn(start + slept).unwrap(), Some(Turn::Replaced), "{slept:?}");
            assert!(generated.shown().expires() > start + slept + HOUR, "{slept:?}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_makes_a_new_one() {
        let start = SystemTime::now();
        let mut generated = generated(start);

        assert_eq!(generated.turn(start - HOUR / 3).unwrap(), None);
        assert_eq!(generated.turn(start - 24 * HOUR).unwrap(), Some(Turn::Replaced));
        assert_eq!(generated.turn(start - 24 * HOUR).unwrap(), None);
    }
}
