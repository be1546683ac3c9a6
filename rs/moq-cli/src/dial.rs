//! Dial: a session with the relay, and after it another, each from its connection on.
//!
//! Every one is looked up, judged and asked for anew: `http://` asks for the relay's fingerprint again, and all else believes
//! what the options said. Whether there is to be another, and where, is up to [`moq_native::reconnect`], which asks
//! [`Retry`](reconnect::Retry).

use anyhow::anyhow;
use moq_lite::{
    session::{self, Session},
    transport::ConnectionError,
};
use moq_native::{
    AnyConnection, Client,
    reconnect::{self, DialError, Lost, Place},
};
use moq_proto::{Version, close};

use crate::{connect::Connect, failure::Failure};

/// What it takes to get there.
pub(crate) struct Dial {
    client: Client,
    /// Where the options say.
    pub(crate) place: Place,
    versions: Vec<Version>,
    needs_udp: bool,
    /// Whether a token is shown.
    shown: bool,
}

impl Dial {
    /// # Errors
    /// When the options make no sense, or a file they name cannot be read.
    pub(crate) fn new(options: &Connect) -> anyhow::Result<Self> {
        let token = options.token()?;
        let shown = token.is_some() || options.url.has_token();
        Ok(Self {
            client: options.client()?,
            place: options.url.url(token.as_ref()).into(),
            versions: options.versions(),
            needs_udp: options.url.needs_udp(),
            shown,
        })
    }

    /// Connects, and agrees on a version.
    pub(crate) async fn session(&self, place: &Place) -> Result<Session<AnyConnection>, DialError> {
        reconnect::dial(&self.client, place, &self.versions).await
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
            DialError::Unsayable(version) => {
                anyhow!(
                    "over raw QUIC, TCP and Unix sockets, {version} cannot say which path is meant; use https://, or --protocol moq-lite-05"
                )
            }
            error => error.into(),
        }
    }
}
