//! How a connection over qmux ends, and what all its streams say of it afterwards.

use std::sync::OnceLock;

use futures::FutureExt as _;
use moq_lite::transport::{ConnectionError, StreamError};
use qmux::Error;
use web_transport_trait::Session as _;

use crate::backend::{closed, shorten};

/// The end of one connection, told once.
pub(super) struct Ending {
    session: qmux::Session,
    /// The first close, or what was learned first: every later question gets the same answer.
    first: OnceLock<ConnectionError>,
}

impl Ending {
    pub(super) fn new(session: qmux::Session) -> Self {
        Self { session, first: OnceLock::new() }
    }

    pub(super) fn session(&self) -> &qmux::Session {
        &self.session
    }

    /// Closes the connection, unless it is over already.
    pub(super) fn close(&self, code: u32, reason: &str) {
        let reason = shorten(reason);
        if let Some(error) = self.session.closed().now_or_never() {
            self.of(&error);
        }
        if self.first.set(closed(code.into(), reason)).is_ok() {
            self.session.close(code, reason);
        }
    }

    /// What `error`, as qmux tells it, means to the session.
    pub(super) fn of(&self, error: &Error) -> ConnectionError {
        self.first.get_or_init(|| self.learn(error)).clone()
    }

    /// What `error` means to one stream.
    pub(super) fn of_stream(&self, error: &Error) -> StreamError {
        match error {
            Error::StreamReset(code) => StreamError::Reset(plain(code.into_inner())),
            Error::StreamStop(code) => StreamError::Stopped(plain(code.into_inner())),
            Error::StreamClosed => StreamError::Closed,
            _ => self.of(error).into(),
        }
    }

    fn learn(&self, error: &Error) -> ConnectionError {
        match error {
            Error::ConnectionClosed { code, reason } => closed(code.into_inner(), reason),
            // A channel inside gave way before the reason was known here; the session knows it by now.
            Error::Closed => match self.session.closed().now_or_never() {
                Some(Error::ConnectionClosed { code, reason }) => closed(code.into_inner(), &reason),
                None | Some(Error::Closed) => ConnectionError::Lost("the peer hung up".to_owned()),
                Some(reason) => ConnectionError::Lost(reason.to_string()),
            },
            other => ConnectionError::Lost(other.to_string()),
        }
    }
}

/// Codes of streams travel unmapped here.
fn plain(code: u64) -> u32 {
    u32::try_from(code).unwrap_or(u32::MAX)
}

impl std::fmt::Debug for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ending").field("first", &self.first).finish_non_exhaustive()
    }
}
