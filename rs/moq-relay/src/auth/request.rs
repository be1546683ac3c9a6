//! A request to come in: the path a peer asked for, and the token it shows.

use std::fmt;

use moq_proto::{Path, PathError, canonical};

/// What a peer asks for, read from its request target. The token is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) path: Path,
    /// The `jwt` of the query. `None`: there was none, or it was empty.
    pub(crate) token: Option<String>,
}

impl Request {
    /// Reads a path and its query, such as `/room/alice?jwt=...`. An empty target is the root.
    ///
    /// # Errors
    /// When the path cannot be one.
    pub(crate) fn from_target(target: &str) -> Result<Self, PathError> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let tokens = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "jwt");
        // The last one wins, as clients that append theirs to a configured URL expect.
        let token = tokens.map(|(_, token)| token.into_owned()).last();
        Ok(Self { path: canonical(path)?, token: token.filter(|token| !token.is_empty()) })
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("path", &self.path).field("token", &self.token.as_ref().map(|_| "…")).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_path_and_perhaps_a_token() {
        let rows = [
            ("", "", None),
            ("/", "", None),
            ("/room//alice/", "room/alice", None),
            ("/r%C3%A4ume?x=1", "räume", None),
            ("/room?jwt=abc", "room", Some("abc")),
            ("/room?jwt=", "room", None),
            ("/room?jwt=one&x=y&jwt=two", "room", Some("two")),
            ("/room?jwt=a%2Bb", "room", Some("a+b")),
        ];
        for (target, path, token) in rows {
            let request = Request::from_target(target).unwrap();
            assert_eq!((request.path.as_str(), request.token.as_deref()), (path, token), "{target}");
        }
        for target in ["/../etc", "/a%2Fb", "/a%00"] {
            assert!(Request::from_target(target).is_err(), "{target}");
        }
    }

    #[test]
    fn a_token_never_reaches_a_log() {
        let request = Request::from_target("/room?jwt=secret").unwrap();

        assert!(!format!("{request:?}").contains("secret"));
    }
}
