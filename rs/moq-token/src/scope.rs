//! What a key may sign at most.

use moq_proto::Path;
use serde::{Deserialize, Serialize};

use crate::{
    Claims, ClaimsError,
    prefixes::{self, Written},
};

/// The most that tokens of one key may allow. A token that says more is refused whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Where the paths below count from.
    pub root: Path,
    /// Prefixes of what tokens may allow to publish; none: nothing.
    pub publish: Vec<Path>,
    /// Prefixes of what tokens may allow to subscribe to; none: nothing.
    pub subscribe: Vec<Path>,
}

impl Scope {
    /// What of `claims` goes beyond the scope, in words. `None`: they are within.
    ///
    /// A token for relays goes beyond any scope but the one that covers everything: a relay speaks for others.
    pub fn exceeded_by(&self, claims: &Claims) -> Option<String> {
        let beyond = |granted: &[Path], allowed: &[Path]| {
            // What cannot be joined is a path nobody can have; it is counted as beyond.
            let allowed: Vec<_> = allowed.iter().filter_map(|prefix| self.root.join(prefix).ok()).collect();
            let within = |path: &Path| allowed.iter().any(|prefix| path.has_prefix(prefix));
            granted.iter().find(|path| !claims.root.join(path).is_ok_and(|path| within(&path))).cloned()
        };
        if let Some(path) = beyond(&claims.publish, &self.publish) {
            return Some(format!("publishing below `{}/{path}`", claims.root));
        }
        if let Some(path) = beyond(&claims.subscribe, &self.subscribe) {
            return Some(format!("subscribing below `{}/{path}`", claims.root));
        }
        (claims.cluster && !self.is_everything()).then(|| "being a relay".to_owned())
    }

    fn is_everything(&self) -> bool {
        let all = |prefixes: &[Path]| prefixes.iter().any(Path::is_root);
        self.root.is_root() && all(&self.publish) && all(&self.subscribe)
    }
}

/// A scope as it stands in a key file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Json {
    #[serde(default)]
    root: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    put: Option<Written>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    get: Option<Written>,
}

impl TryFrom<Json> for Scope {
    type Error = ClaimsError;

    fn try_from(json: Json) -> Result<Self, ClaimsError> {
        Ok(Self {
            root: prefixes::path(&json.root)?,
            publish: prefixes::one_of([("put", json.put)])?,
            subscribe: prefixes::one_of([("get", json.get)])?,
        })
    }
}

impl From<&Scope> for Json {
    fn from(scope: &Scope) -> Self {
        Self {
            root: prefixes::escape(&scope.root),
            put: prefixes::written(&scope.publish),
            get: prefixes::written(&scope.subscribe),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(texts: &[&str]) -> Vec<Path> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn claims(root: &str, publish: &[&str], subscribe: &[&str]) -> Claims {
        Claims { root: root.parse().unwrap(), publish: paths(publish), subscribe: paths(subscribe), ..Claims::default() }
    }

    #[test]
    fn a_token_stays_within_the_scope_of_its_key() {
        let scope = Scope { root: "room".parse().unwrap(), publish: paths(&["alice"]), subscribe: paths(&[""]) };

        for within in [
            claims("room", &["alice"], &[""]),
            claims("room/alice", &[""], &[""]),
            claims("", &["room/alice/cam"], &["room/bob", "room"]),
            claims("room", &[], &["x"]),
        ] {
            assert_eq!(scope.exceeded_by(&within), None, "{within:?}");
        }
        for beyond in [
            claims("room", &["bob"], &[]),
            claims("room", &[""], &[]),
            claims("room", &["alice", "bob"], &[]),
            claims("room", &["alicey"], &[]),
            claims("rooms", &[], &[""]),
            claims("", &[], &[""]),
            claims("", &[], &["room", "hall"]),
        ] {
            assert!(scope.exceeded_by(&beyond).is_some(), "{beyond:?}");
        }
    }

    #[test]
    fn only_a_key_for_everything_speaks_for_relays() {
        let relay = Claims { cluster: true, ..claims("", &[""], &[""]) };
        let everything = Scope { root: Path::root(), publish: paths(&[""]), subscribe: paths(&[""]) };
        let readers = Scope { publish: vec![], ..everything.clone() };

        assert_eq!(everything.exceeded_by(&relay), None);
        assert!(readers.exceeded_by(&Claims { publish: vec![], ..relay }).is_some());
    }
}
