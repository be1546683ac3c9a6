//! Auth: who may come in, and what they may do here.
//!
//! One verdict for every transport: a request comes in, a grant scoped to its path or a refusal comes out. Where the
//! request was made (CONNECT, upgrade, SETUP, plain HTTP) only decides how a refusal is said.

mod public;
mod request;

use moq_proto::PathError;
use moq_token::Grant;

pub(crate) use self::{public::Public, request::Request};
use crate::config::AuthConfig;

/// Decides over requests. One for the whole relay.
#[derive(Debug)]
pub(crate) struct Auth {
    public: Public,
}

/// Why a request was turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Refused {
    #[error("unusable path: {0}")]
    Path(#[from] PathError),
    /// A token is never weighed against public rights: whoever shows one wants to be judged by it.
    #[error("a token was shown, and no key is configured to check it")]
    Token,
    #[error("nothing is public at this path")]
    NotPublic,
}

impl Refused {
    /// What HTTP calls it.
    pub(crate) fn status(&self) -> http::StatusCode {
        match self {
            Self::Path(_) => http::StatusCode::BAD_REQUEST,
            Self::Token | Self::NotPublic => http::StatusCode::UNAUTHORIZED,
        }
    }
}

impl Auth {
    pub(crate) fn new(config: AuthConfig) -> Self {
        Self { public: Public::new(config.public_publish, config.public_subscribe) }
    }

    /// What whoever sent `request` may do, rooted at the path asked for; never empty.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn authorize(&self, request: &Request) -> Result<Grant, Refused> {
        match request.token {
            Some(_) => Err(Refused::Token),
            None => self.public.at(&request.path).ok_or(Refused::NotPublic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(publish: &[&str], subscribe: &[&str]) -> Auth {
        let paths = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Auth::new(AuthConfig { public_publish: paths(publish), public_subscribe: paths(subscribe) })
    }

    #[test]
    fn what_is_public_needs_no_token() {
        let auth = auth(&["demo"], &[""]);

        let demo = auth.authorize(&Request::from_target("/demo/room").unwrap()).unwrap();
        assert_eq!((demo.root.as_str(), demo.publish.len(), demo.subscribe.len()), ("demo/room", 1, 1));
        let elsewhere = auth.authorize(&Request::from_target("/news").unwrap()).unwrap();
        assert_eq!((elsewhere.publish.len(), elsewhere.subscribe.len()), (0, 1));
    }

    #[test]
    fn what_is_not_public_is_refused() {
        let auth = auth(&["demo"], &["demo"]);

        assert_eq!(auth.authorize(&Request::from_target("/news").unwrap()), Err(Refused::NotPublic));
        assert_eq!(auth.authorize(&Request::from_target("/demos").unwrap()), Err(Refused::NotPublic));
    }

    #[test]
    fn a_token_that_cannot_be_checked_is_refused_even_where_all_is_public() {
        let auth = auth(&[""], &[""]);

        assert_eq!(auth.authorize(&Request::from_target("/demo?jwt=abc").unwrap()), Err(Refused::Token));
        assert!(auth.authorize(&Request::from_target("/demo?jwt=").unwrap()).is_ok());
    }
}
