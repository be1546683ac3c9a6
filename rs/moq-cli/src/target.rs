//! Target: the URL of a relay, as typed, as asked for, and as told to people.

use std::{fmt, str::FromStr};

use url::{Position, Url, form_urlencoded};

use crate::token::Token;

/// Where in the query relays look for the token.
const PARAMETER: &str = "jwt";

/// Where a relay is, and what to ask for there. Shown without its query, which may hold a token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target(Url);

/// Why text is not a URL of a relay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("it has no scheme; for example https://relay.example.com/room, or http://localhost:4443 for a development relay")]
    NoScheme,
    #[error("{0} is no scheme of a relay; use https, moqt, moql, wss, ws, http, tcp or unix")]
    Scheme(String),
    #[error("it names no host")]
    NoHost,
    #[error("it names no port, and TCP has none of its own")]
    NoPort,
    #[error("a Unix socket has a path and no host: unix:///run/moq.sock, or unix:///run/moq.sock?path=/room")]
    NoFile,
    #[error("{0}")]
    Url(#[from] url::ParseError),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        // A Unix socket has no host, and so may go without the slashes of one.
        if !text.contains("://") && !text.starts_with("unix:/") {
            return Err(TargetError::NoScheme);
        }
        let url = Url::parse(text)?;
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        match url.scheme() {
            "unix" if has_host || matches!(url.path(), "" | "/") => Err(TargetError::NoFile),
            "unix" => Ok(Self(url)),
            "https" | "moqt" | "moql" | "wss" | "ws" | "http" | "tcp" if !has_host => Err(TargetError::NoHost),
            "tcp" if url.port().is_none() => Err(TargetError::NoPort),
            "https" | "moqt" | "moql" | "wss" | "ws" | "http" | "tcp" => Ok(Self(url)),
            other => Err(TargetError::Scheme(other.to_owned())),
        }
    }
}

impl Target {
    /// The URL to connect to, with `token` in the query of what is asked for. The last one wins, should there be one already.
    pub(crate) fn url(&self, token: Option<&Token>) -> Url {
        let mut url = self.0.clone();
        let Some(token) = token else { return url };
        if self.is_unix() {
            let asked = moq_native::request_target(&self.0).into_owned();
            let (path, more) = asked.split_once('?').map_or((asked.as_str(), ""), |(path, query)| (path, query));
            let mut query = form_urlencoded::Serializer::new(more.to_owned());
            let asked = format!("{path}?{}", query.append_pair(PARAMETER, token.expose()).finish());
            url.query_pairs_mut().clear().append_pair("path", &asked);
        } else {
            url.query_pairs_mut().append_pair(PARAMETER, token.expose());
        }
        url
    }

    /// Whether what is asked for shows a token itself.
    pub(crate) fn has_token(&self) -> bool {
        let asked = moq_native::request_target(&self.0);
        let query = asked.split_once('?').map_or("", |(_, query)| query);
        form_urlencoded::parse(query.as_bytes()).any(|(name, token)| name == PARAMETER && !token.is_empty())
    }

    fn is_unix(&self) -> bool {
        self.0.scheme() == "unix"
    }

    /// Whether a network that drops UDP keeps this from working.
    pub(crate) fn needs_udp(&self) -> bool {
        matches!(self.0.scheme(), "moqt" | "moql")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = &self.0;
        write!(f, "{}://{}", url.scheme(), &url[Position::BeforeHost..Position::AfterPath])
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_shown_without_secrets() {
        for text in [
            "https://me:secret@host:4443/room?jwt=secret",
            "moqt://host/room?x=1&jwt=secret#secret",
            "tcp://host:4444/room?jwt=secret",
            "unix:///run/room?path=/a%3Fjwt%3Dsecret",
        ] {
            let target: Target = text.parse().unwrap();
            let shown = format!("{target} {target:?}");
            assert!(!shown.contains("secret") && shown.contains("/room"), "{shown}");
            assert!(target.has_token());
        }
    }

    #[test]
    fn a_unix_socket_may_go_without_the_slashes_of_a_host() {
        let target: Target = "unix:/run/moq.sock?path=/room".parse().unwrap();
        let url = target.url(None);
        assert_eq!((url.path(), &*moq_native::request_target(&url)), ("/run/moq.sock", "/room"));
    }

    #[test]
    fn what_is_no_target_says_why() {
        for (text, error) in [
            ("localhost:4443", TargetError::NoScheme),
            ("relay", TargetError::NoScheme),
            ("ftp://relay", TargetError::Scheme("ftp".into())),
            ("moqt://", TargetError::NoHost),
            ("tcp://relay", TargetError::NoPort),
            ("unix://run/moq.sock", TargetError::NoFile),
            ("unix:///?path=/room", TargetError::NoFile),
            ("https://", TargetError::Url(url::ParseError::EmptyHost)),
        ] {
            assert_eq!(text.parse::<Target>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_token_goes_where_the_relay_looks_for_it() {
        let token = Token::new("a.b.c", String::new).unwrap();
        for (text, asked) in [
            ("https://host/room?x=1", "/room?x=1&jwt=a.b.c"),
            ("tcp://host:1/room", "/room?jwt=a.b.c"),
            ("unix:///run/moq.sock", "?jwt=a.b.c"),
            ("unix:///run/moq.sock?path=/room%3Fx%3D1", "/room?x=1&jwt=a.b.c"),
        ] {
            let target: Target = text.parse().unwrap();
            assert!(!target.has_token(), "{text}");
            let url = target.url(Some(&token));
            assert_eq!(moq_native::request_target(&url), asked, "{text}");
            assert!(Target(url).has_token(), "{text}");
        }
    }
}
