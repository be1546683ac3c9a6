//! How a connection over QUIC ends: who closed it, with which code, and what all its streams say of it afterwards.
//!
//! Spec: WebTransport over HTTP/3, section 6 (a capsule closes the session); moq-lite-06, "Session" (raw QUIC closes the
//! connection with the same code, unmapped).

use std::sync::OnceLock;

use moq_lite::transport::ConnectionError;
use web_transport_quinn::{SessionError, WebTransportError};

use crate::backend::{closed, shorten};

/// HTTP/3's way to say that a connection is over and all is well (RFC 9114, section 8.1).
const H3_NO_ERROR: u64 = 0x100;

/// The end of one connection, told once.
#[derive(Debug)]
pub(super) struct Ending {
    closer: Closer,
    /// The first close, or what was learned first: every later question gets the same answer.
    first: OnceLock<ConnectionError>,
}

#[derive(Debug)]
enum Closer {
    Raw(quinn::Connection),
    WebTransport(Box<web_transport_quinn::Session>),
}

impl Ending {
    pub(super) fn raw(quinn: quinn::Connection) -> Self {
        Self { closer: Closer::Raw(quinn), first: OnceLock::new() }
    }

    pub(super) fn web_transport(session: web_transport_quinn::Session) -> Self {
        Self { closer: Closer::WebTransport(Box::new(session)), first: OnceLock::new() }
    }

    /// Closes the connection, unless it is over already. Over HTTP/3 the capsule is sent and the peer given a moment to
    /// answer it before the connection goes; that happens on its own.
    pub(super) fn close(&self, code: u32, reason: &str) {
        let reason = shorten(reason);
        let quinn = match &self.closer {
            Closer::Raw(quinn) => quinn,
            Closer::WebTransport(session) => session,
        };
        if let Some(lost) = quinn.close_reason() {
            self.of(lost);
        }
        if self.first.set(closed(code.into(), reason)).is_err() {
            return;
        }
        match &self.closer {
            Closer::Raw(quinn) => quinn.close(code.into(), reason.as_bytes()),
            Closer::WebTransport(session) => session.close(code, reason.as_bytes()),
        }
    }

    /// What `lost`, as quinn tells it, means to the session.
    pub(super) fn of(&self, lost: quinn::ConnectionError) -> ConnectionError {
        self.first.get_or_init(|| self.learn(lost)).clone()
    }

    fn learn(&self, lost: quinn::ConnectionError) -> ConnectionError {
        if let Closer::WebTransport(session) = &self.closer {
            return over_http3(session, lost);
        }
        match lost {
            quinn::ConnectionError::ApplicationClosed(close) => {
                closed(close.error_code.into_inner(), &String::from_utf8_lossy(&close.reason))
            }
            quinn::ConnectionError::LocallyClosed => ConnectionError::Lost("endpoint closed".to_owned()),
            other => ConnectionError::Lost(other.to_string()),
        }
    }
}

fn over_http3(session: &web_transport_quinn::Session, lost: quinn::ConnectionError) -> ConnectionError {
    if let Some(SessionError::WebTransportError(WebTransportError::Closed(code, reason))) = session.close_reason() {
        return closed(code.into(), &reason);
    }
    match lost {
        // The end of the CONNECT stream without a capsule closes as code 0 does; web-transport-quinn then closes QUIC.
        quinn::ConnectionError::LocallyClosed => closed(0, ""),
        quinn::ConnectionError::ApplicationClosed(close) => {
            let code = close.error_code.into_inner();
            match web_transport_proto::error_from_http3(code) {
                Some(code) => closed(code.into(), &String::from_utf8_lossy(&close.reason)),
                None if code == H3_NO_ERROR => closed(0, ""),
                None => ConnectionError::Lost(format!("HTTP/3 error {code:#x} from the peer")),
            }
        }
        other => ConnectionError::Lost(other.to_string()),
    }
}
