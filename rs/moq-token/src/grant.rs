//! Grant: what a peer may do, once that is decided.
//!
//! Whoever decides (a token, a certificate, a public path) hands out a grant; the relay narrows it to the path a session
//! asked for and lets the session see nothing else.

use std::time::SystemTime;

use moq_proto::Path;

use crate::permission;

/// What a peer may publish and subscribe to, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where the paths below count from.
    pub root: Path,
    /// Prefixes of what may be published, below the root; one that is empty is everything.
    pub publish: Vec<Path>,
    /// Prefixes of what may be subscribed to, below the root; one that is empty is everything.
    pub subscribe: Vec<Path>,
    /// When it ends. `None`: never by itself.
    pub expires: Option<SystemTime>,
}

impl Grant {
    /// Whether it allows nothing at all.
    pub fn is_empty(&self) -> bool {
        self.publish.is_empty() && self.subscribe.is_empty()
    }

    /// The same grant for a session at `path`: rooted there, its prefixes counted from there. `None`: nothing is left.
    #[must_use]
    pub fn at(&self, path: &Path) -> Option<Self> {
        let scoped = Self {
            root: path.clone(),
            publish: permission::rebase(&self.root, &self.publish, path),
            subscribe: permission::rebase(&self.root, &self.subscribe, path),
            expires: self.expires,
        };
        (!scoped.is_empty()).then_some(scoped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(texts: &[&str]) -> Vec<Path> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_session_is_rooted_at_the_path_it_asked_for() {
        let expires = Some(SystemTime::UNIX_EPOCH);
        let grant = Grant { root: Path::root(), publish: paths(&["room/alice"]), subscribe: paths(&["room"]), expires };

        let scoped = grant.at(&paths(&["room"])[0]).unwrap();

        assert_eq!(
            scoped,
            Grant { root: paths(&["room"])[0].clone(), publish: paths(&["alice"]), subscribe: paths(&[""]), expires }
        );
    }

    #[test]
    fn one_role_is_enough_to_come_in() {
        let grant = Grant { root: Path::root(), publish: paths(&[]), subscribe: paths(&["live"]), expires: None };

        assert!(grant.at(&paths(&["live/show"])[0]).unwrap().publish.is_empty());
        assert_eq!(grant.at(&paths(&["backstage"])[0]), None);
    }

    #[test]
    fn narrowing_twice_is_narrowing_at_once() {
        let grant = Grant { root: Path::root(), publish: paths(&["a"]), subscribe: paths(&["a/b", "c"]), expires: None };
        let [once, first, second] = [&paths(&["a/b/x"])[0], &paths(&["a"])[0], &paths(&["a/b/x"])[0]];

        assert_eq!(grant.at(first).and_then(|grant| grant.at(second)), grant.at(once));
    }
}
