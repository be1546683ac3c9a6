//! Dial: a session with the relay, and after it another, each from its connection on.
//!
//! Every one is looked up, judged and asked for anew: `http://` asks for the relay's fingerprint again, and all else believes
//! what the options said. Whether there is to be another is up to [`moq_native::reconnect`], which asks [`Retry`].

use anyhow::anyhow;
use moq_lite::{
    session::{self, Session},
    transport::ConnectionError,
};
use moq_native::{
    AnyConnection, Client, ConnectError,
    reconnect::{Lost, Retry},
};
use moq_proto::{Version, close};
use url::Url;

use crate::{connect::Connect, failure::Failure};

/// What it takes to get there. The URL may hold a token, so it is never shown.
pub(crate) struct Dial {
    client: Client,
    url: Url,
    versions: Vec<Version>,
    /// The transport carries no URL, so the session says what is asked for.
    is_raw: bool,
    /// Nothing is asked for but the host.
    is_plain: bool,
    needs_udp: bool,
    /// Whether a token is shown.
    shown: bool,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("connecting: {0}")]
    Connect(ConnectError),
    #[error("{0}")]
    Session(session::Error),
    #[error("over raw QUIC, TCP and Unix sockets, {0} cannot say which path is meant; use https://, or --protocol moq-lite-05")]
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

impl Dial {
    /// # Errors
    /// When the options make no sense, or a file they name cannot be read.
    pub(crate) fn new(options: &Connect) -> anyhow::Result<Self> {
        let token = options.token()?;
        let shown = token.is_some() || options.url.has_token();
        Ok(Self {
            client: options.client()?,
            url: options.url.url(token.as_ref()),
            versions: options.versions(),
            is_raw: options.url.is_raw(),
            is_plain: options.url.is_plain() && !shown,
            needs_udp: options.url.needs_udp(),
            shown,
        })
    }

    /// Connects, and agrees on a version.
    pub(crate) async fn session(&self) -> Result<(AnyConnection, Session<AnyConnection>), DialError> {
        let connection = self.client.connect(&self.url).await.map_err(DialError::Connect)?;
        let mut session = Session::connect(connection.clone(), &self.versions).await.map_err(DialError::Session)?;
        if self.is_raw {
            let version = session.version();
            if version < Version::Lite05 && !self.is_plain {
                return Err(DialError::Unsayable(version));
            }
            session.set_request_target(moq_native::request_target(&self.url).into_owned());
        }
        Ok((connection, session))
    }

    /// Why there are no more sessions, as people and scripts hear of it.
    pub(crate) fn over(&self, lost: Lost<DialError>) -> anyhow::Error {
        match lost {
            Lost::Session(None) => anyhow!("the relay ended the session"),
            Lost::Session(Some(error)) => self.failure(DialError::Session(error)),
            Lost::Dial(error) => self.failure(error),
        }
    }

    pub(crate) fn failure(&self, error: DialError) -> anyhow::Error {
        match error {
            DialError::Connect(error) => Failure::connect(error, self.shown, self.needs_udp).into(),
            DialError::Session(session::Error::Connection(ConnectionError::Closed { code, reason }))
                if code == close::session::UNAUTHORIZED.get() =>
            {
                Failure::Refused { reason, shown: self.shown }.into()
            }
            DialError::Session(error) => anyhow!("the session is over: {error}"),
            error @ DialError::Unsayable(_) => error.into(),
        }
    }
}
