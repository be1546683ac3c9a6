//! How a connection over QUIC ends: who closed it, with which code, and what all its streams say of it afterwards.
//!
//! Spec: WebTransport over HTTP/3, section 6 (a capsule closes the session); moq-lite-06, "Session" (raw QUIC closes the
//! connection with the same code, unmapped).

use std::sync::{Arc, OnceLock};

use moq_lite::transport::ConnectionError;
use web_transport_quinn::{SessionError, WebTransportError};

use super::http3::{self, Farewell, H3_NO_ERROR};
use crate::backend::{closed, shorten};

/// The end of one connection, told once.
#[derive(Debug)]
pub(super) struct Ending {
    quinn: quinn::Connection,
    closer: Closer,
    /// The first close, or what was learned first: every later question gets the same answer.
    first: Arc<OnceLock<ConnectionError>>,
}

#[derive(Debug)]
enum Closer {
    Raw,
    /// Of a client.
    WebTransport(Box<web_transport_quinn::Session>),
    /// Of a server. What the peer has said is known before the connection closes for it.
    Served(Farewell),
}

impl Ending {
    pub(super) fn raw(quinn: quinn::Connection) -> Self {
        Self { quinn, closer: Closer::Raw, first: Arc::default() }
    }

    pub(super) fn web_transport(session: web_transport_quinn::Session) -> Self {
        let quinn = quinn::Connection::clone(&session);
        Self { quinn, closer: Closer::WebTransport(Box::new(session)), first: Arc::default() }
    }

    pub(super) fn served(streams: http3::Streams) -> Self {
        let (quinn, first) = (streams.connection.clone(), Arc::default());
        Self { quinn, closer: Closer::Served(http3::begin(streams, Arc::clone(&first))), first }
    }

    /// Closes the connection, unless it is over already. Over HTTP/3 the capsule is sent and the peer given a moment to
    /// answer it before the connection goes; that happens on its own.
    pub(super) fn close(&self, code: u32, reason: &str) {
        let reason = shorten(reason);
        if let Some(lost) = self.quinn.close_reason() {
            self.of(lost);
        }
        if self.first.set(closed(code.into(), reason)).is_err() {
            return;
        }
        match &self.closer {
            Closer::Raw => self.quinn.close(code.into(), reason.as_bytes()),
            Closer::WebTransport(session) => session.close(code, reason.as_bytes()),
            Closer::Served(farewell) => farewell.say(code, reason),
        }
    }

    /// What `lost`, as quinn tells it, means to the session.
    pub(super) fn of(&self, lost: quinn::ConnectionError) -> ConnectionError {
        self.first.get_or_init(|| self.learn(lost)).clone()
    }

    fn learn(&self, lost: quinn::ConnectionError) -> ConnectionError {
        if let Closer::WebTransport(session) = &self.closer
            && let Some(told) = told(session, &lost)
        {
            return told;
        }
        match (&self.closer, lost) {
            (Closer::Raw, quinn::ConnectionError::ApplicationClosed(close)) => {
                closed(close.error_code.into_inner(), &String::from_utf8_lossy(&close.reason))
            }
            (_, quinn::ConnectionError::ApplicationClosed(close)) => without_capsule(&close),
            (_, quinn::ConnectionError::LocallyClosed) => ConnectionError::Lost("endpoint closed".to_owned()),
            (_, other) => ConnectionError::Lost(other.to_string()),
        }
    }
}

/// What a client's session was told by its server.
fn told(session: &web_transport_quinn::Session, lost: &quinn::ConnectionError) -> Option<ConnectionError> {
    match (session.close_reason(), lost) {
        (Some(SessionError::WebTransportError(WebTransportError::Closed(code, reason))), _) => Some(closed(code.into(), &reason)),
        // The end of the CONNECT stream without a capsule closes as code 0 does; web-transport-quinn then closes QUIC.
        (_, quinn::ConnectionError::LocallyClosed) => Some(closed(0, "")),
        _ => None,
    }
}

/// What it means that the peer closed QUIC under its session.
fn without_capsule(close: &quinn::ApplicationClose) -> ConnectionError {
    let code = close.error_code.into_inner();
    match web_transport_proto::error_from_http3(code) {
        Some(code) => closed(code.into(), &String::from_utf8_lossy(&close.reason)),
        None if code == u64::from(H3_NO_ERROR) => closed(0, ""),
        None => ConnectionError::Lost(format!("HTTP/3 error {code:#x} from the peer")),
    }
}
