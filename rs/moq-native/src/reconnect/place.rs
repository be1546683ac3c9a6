//! Place: where a session is, and where a server that goes away may send its client.
//!
//! A server's word is followed wherever it leads, but never out of encryption, to another kind of transport without any, nor
//! with a token that is somebody else's business. Spec: moq-lite-04, "GOAWAY", which leaves this to the client's policy.

use std::fmt;

use url::{Position, Url};

/// Where in the query relays look for the token.
const TOKEN: &str = "jwt";

/// A server and what is asked for there. Shown without its query, which may hold a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Place(Url);

/// Why a server's word is not followed. It is not repeated here, as it may hold a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    #[error("it is no URL: {0}")]
    Url(#[from] url::ParseError),
    #[error("no transport goes by its scheme")]
    Scheme,
    #[error("it is not encrypted, and not what was asked for")]
    Plain,
    #[error("it names a user")]
    User,
    #[error("it names no host")]
    Host,
}

impl Place {
    /// What to connect to. It may hold a token.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Where to go once the server here has sent GOAWAY with `uri`: here again if that is empty.
    ///
    /// The token of this place, the query key `jwt`, goes along to the same host, any port of it, unless the URI has one of its
    /// own; another host gets nothing of this place.
    ///
    /// # Errors
    /// When it is no URL that a [`Client`](crate::Client) can connect to; when it has a user name or a password; when it is
    /// `http`, `ws`, `tcp` or `unix`, and this place is not of the same scheme.
    pub fn next(&self, uri: &str) -> Result<Self, PlaceError> {
        if uri.is_empty() {
            return Ok(self.clone());
        }
        let mut url = Url::parse(uri)?;
        match url.scheme() {
            "https" | "moqt" | "moql" | "wss" => {}
            "http" | "ws" | "tcp" | "unix" if url.scheme() == self.0.scheme() => {}
            "http" | "ws" | "tcp" | "unix" => return Err(PlaceError::Plain),
            _ => return Err(PlaceError::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(PlaceError::User);
        }
        if host(&url).is_none() && url.scheme() != "unix" {
            return Err(PlaceError::Host);
        }
        url.set_fragment(None);
        // Schemes of our own are spelled as they come.
        let is_same_host = host(&url).zip(host(&self.0)).is_some_and(|(one, other)| one.eq_ignore_ascii_case(other));
        if let Some(token) = token(&self.0).filter(|_| is_same_host && token(&url).is_none()) {
            url.query_pairs_mut().append_pair(TOKEN, &token);
        }
        Ok(Self(url))
    }
}

fn host(url: &Url) -> Option<&str> {
    url.host_str().filter(|host| !host.is_empty())
}

/// The last one counts, as with the relay.
fn token(url: &Url) -> Option<String> {
    let tokens = url.query_pairs().filter(|(name, token)| name == TOKEN && !token.is_empty());
    tokens.last().map(|(_, token)| token.into_owned())
}

impl From<Url> for Place {
    fn from(url: Url) -> Self {
        Self(url)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = &self.0;
        write!(f, "{}://{}", url.scheme(), &url[Position::BeforeHost..Position::AfterPath])
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Place {
        Url::parse(url).unwrap().into()
    }

    fn next(from: &str, uri: &str) -> Result<String, PlaceError> {
        place(from).next(uri).map(|place| place.url().to_string())
    }

    #[test]
    fn an_empty_uri_is_the_same_place() {
        let here = "https://a.example/room?jwt=secret";
        assert_eq!(next(here, "").unwrap(), here);
    }

    #[test]
    fn a_token_goes_nowhere_but_to_its_host() {
        let here = "https://a.example/room?jwt=mine&x=1";
        for (uri, there) in [
            ("https://b.example/room", "https://b.example/room"),
            ("https://a.example.b.example/", "https://a.example.b.example/"),
            ("https://b.example/?jwt=theirs", "https://b.example/?jwt=theirs"),
            ("https://A.example:4443/other", "https://a.example:4443/other?jwt=mine"),
            ("moqt://A.EXAMPLE/", "moqt://A.EXAMPLE/?jwt=mine"),
            ("https://a.example/?jwt=theirs", "https://a.example/?jwt=theirs"),
            ("https://a.example/?jwt=&y=2#z", "https://a.example/?jwt=&y=2&jwt=mine"),
        ] {
            assert_eq!(next(here, uri).as_deref(), Ok(there), "{uri}");
        }
    }

    #[test]
    fn what_is_no_place_to_go_says_why() {
        for (from, uri, error) in [
            ("https://a/", "elsewhere", PlaceError::Url(url::ParseError::RelativeUrlWithoutBase)),
            ("https://a/", "ftp://a/", PlaceError::Scheme),
            ("https://a/", "file:///etc/passwd", PlaceError::Scheme),
            ("https://a/", "http://a/", PlaceError::Plain),
            ("https://a/", "ws://a/", PlaceError::Plain),
            ("moqt://a/", "tcp://a:1", PlaceError::Plain),
            ("tcp://a:1", "unix:///run/other.sock", PlaceError::Plain),
            ("https://a/", "https://me@a/", PlaceError::User),
            ("https://a/", "https://:secret@a/", PlaceError::User),
            ("https://a/", "moqt:///room", PlaceError::Host),
        ] {
            assert_eq!(next(from, uri), Err(error), "{uri}");
        }
        for (from, uri) in [("ws://a/", "ws://b/"), ("http://a/", "https://a/"), ("unix:///run/a", "unix:///run/b")] {
            assert_eq!(next(from, uri).as_deref(), Ok(uri));
        }
    }

    #[test]
    fn a_place_is_shown_without_secrets() {
        for url in ["https://me:secret@a:4443/room?jwt=secret", "moqt://a/room?jwt=secret#secret", "unix:///room?jwt=secret"] {
            let shown = format!("{} {:?}", place(url), place(url));
            assert!(!shown.contains("secret") && shown.contains("/room"), "{shown}");
        }
    }
}
