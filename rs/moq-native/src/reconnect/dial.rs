//! Dial: a session with a server, from its connection on.

use std::borrow::Cow;

use moq_lite::session::{self, Session};
use moq_proto::Version;
use url::Url;

use super::{Place, Retry};
use crate::{AnyConnection, Client, ConnectError, request_target};

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    #[error("connecting: {0}")]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Session(#[from] session::Error),
    /// The path meant goes with the session's SETUP on transports without a URL, and this version has none.
    #[error("{0} cannot say which path is meant over a transport without URLs")]
    Unsayable(Version),
}

impl From<&DialError> for Retry {
    fn from(error: &DialError) -> Self {
        match error {
            DialError::Connect(error) => error.into(),
            DialError::Session(error) => error.into(),
            DialError::Unsayable(_) => Self::Never,
        }
    }
}

/// Connects to a place, and agrees on one of `versions`, which stand in order of preference.
///
/// # Errors
/// As [`Client::connect`] and [`Session::connect`]; before moq-lite-05, also when a path is meant that the transport cannot say.
///
/// # Cancel safety
/// Dropping the call abandons the attempt.
pub async fn dial(client: &Client, place: &Place, versions: &[Version]) -> Result<Session<AnyConnection>, DialError> {
    let connection = client.connect(place.url()).await?;
    let mut session = Session::connect(connection, versions).await?;
    if let Some(target) = unsaid(place.url()) {
        let version = session.version();
        if version < Version::Lite05 && !matches!(&*target, "" | "/") {
            return Err(DialError::Unsayable(version));
        }
        session.set_request_target(target.into_owned());
    }
    Ok(session)
}

/// The path and query that the transport does not say.
fn unsaid(url: &Url) -> Option<Cow<'_, str>> {
    match url.scheme() {
        "moqt" | "moql" | "tcp" | "unix" => Some(request_target(url)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_transport_does_not_say_is_left_to_the_session() {
        for (url, target) in [
            ("https://a/room?jwt=x", None),
            ("ws://a/room", None),
            ("moqt://a/room?jwt=x", Some("/room?jwt=x")),
            ("tcp://a:1/room", Some("/room")),
            ("unix:///run/a.sock", Some("")),
            ("unix:///run/a.sock?path=/room%3Fjwt=x", Some("/room?jwt=x")),
        ] {
            assert_eq!(unsaid(&url.parse().unwrap()).as_deref(), target, "{url}");
        }
    }
}
