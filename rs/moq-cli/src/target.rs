//! Target: the URL of a relay, as typed, as asked for, and as told to people.

use std::{fmt, str::FromStr};

use url::{Position, Url};

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
    #[error("{0} is no scheme of a relay; use https, moqt, moql, wss, ws or http")]
    Scheme(String),
    #[error("it names no host")]
    NoHost,
    #[error("{0}")]
    Url(#[from] url::ParseError),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if !text.contains("://") {
            return Err(TargetError::NoScheme);
        }
        let url = Url::parse(text)?;
        if !matches!(url.scheme(), "https" | "moqt" | "moql" | "wss" | "ws" | "http") {
            return Err(TargetError::Scheme(url.scheme().to_owned()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(TargetError::NoHost);
        }
        Ok(Self(url))
    }
}

impl Target {
    /// The URL to connect to, with `token` in its query. The last one wins, should there be one already.
    pub(crate) fn url(&self, token: Option<&Token>) -> Url {
        let mut url = self.0.clone();
        if let Some(token) = token {
            url.query_pairs_mut().append_pair(PARAMETER, token.expose());
        }
        url
    }

    /// Whether the URL itself shows a token.
    pub(crate) fn has_token(&self) -> bool {
        self.0.query_pairs().any(|(name, token)| name == PARAMETER && !token.is_empty())
    }

    /// Whether the transport carries no URL, so that the session has to say what is asked for.
    pub(crate) fn is_raw_quic(&self) -> bool {
        matches!(self.0.scheme(), "moqt" | "moql")
    }

    /// Whether it asks for nothing but the host.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.0.path(), "" | "/") && self.0.query().is_none()
    }

    /// Whether a network that drops UDP keeps this from working.
    pub(crate) fn needs_udp(&self) -> bool {
        self.is_raw_quic() || self.0.scheme() == "http"
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
        for text in ["https://me:secret@host:4443/room?jwt=secret", "moqt://host/room?x=1&jwt=secret#secret"] {
            let target: Target = text.parse().unwrap();
            let shown = format!("{target} {target:?}");
            assert!(!shown.contains("secret") && shown.contains("/room"), "{shown}");
            assert!(target.has_token());
        }
    }

    #[test]
    fn what_is_no_target_says_why() {
        for (text, error) in [
            ("localhost:4443", TargetError::NoScheme),
            ("relay", TargetError::NoScheme),
            ("ftp://relay", TargetError::Scheme("ftp".into())),
            ("moqt://", TargetError::NoHost),
            ("https://", TargetError::Url(url::ParseError::EmptyHost)),
        ] {
            assert_eq!(text.parse::<Target>(), Err(error), "{text}");
        }
    }
}
