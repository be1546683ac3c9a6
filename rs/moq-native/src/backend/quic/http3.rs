//! HTTP/3 on the side of a server: SETTINGS both ways and the CONNECT of a client, up to the answer; then what HTTP/3 asks of
//! the connection while the session lives.
//!
//! The client's side is web-transport-quinn's. Streams and datagrams of the session belong to the rooms beside this one, and so
//! does every stream that the client opens: the same code sorts them before and after the answer.
//! How long all this may take is bounded by whoever waits for it. Nothing here writes out what a client asks for, at any level.
//!
//! Spec: RFC 9114; RFC 9204; RFC 9220; WebTransport over HTTP/3, drafts 02 to 16, section 3.

mod frames;
mod lobby;
mod qpack;
mod request;
mod session;
mod settings;
mod violation;

use http::StatusCode;
use quinn::VarInt;
use web_transport_proto::ConnectResponse;

use self::frames::Frames;
pub(super) use self::{
    lobby::Lobby,
    session::{Farewell, begin},
};
pub use self::{qpack::DecodeError, request::Request, violation::Violation};
use super::arrivals::{Control, Critical};

/// The connection is over, or of no more use, and all is well (RFC 9114, section 8.1).
pub(crate) const H3_NO_ERROR: VarInt = VarInt::from_u32(0x100);

/// Largest field section accepted, as RFC 9114, section 4.2.2, counts it, and as SETTINGS tell clients. A token of 8 KiB fits
/// beside everything that browsers send along.
const FIELD_SECTION_BYTES_MAX: u32 = 16 * 1024;

/// Bytes of frames without meaning that a client may send before its SETTINGS and before its request, each.
const IGNORED_BYTES_MAX: u64 = 64 * 1024;

/// A client's request that waits for an answer. Dropped unanswered, its connection closes.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) request: Request,
    streams: Streams,
    critical: Critical,
    lobby: Lobby,
}

/// A session once its request was granted.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) protocol: Option<String>,
    pub(super) streams: Streams,
    pub(super) critical: Critical,
    pub(super) lobby: Lobby,
}

/// The streams of HTTP/3 that stay open as long as the session does.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) connection: quinn::Connection,
    /// This side's control stream, which says nothing after SETTINGS.
    ours: quinn::SendStream,
    control: Frames<Control>,
    send: quinn::SendStream,
    recv: quinn::RecvStream,
}

/// Why a request could not be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    #[error(transparent)]
    Write(#[from] quinn::WriteError),
    #[error(transparent)]
    Protocol(#[from] web_transport_proto::ConnectError),
}

/// Brings a new connection to the point where its client has asked for a session.
///
/// # Errors
/// When the client breaks HTTP/3 or asks for something else; it has been told, and the connection is closed.
pub(crate) async fn accept(connection: quinn::Connection) -> Result<Asking, Violation> {
    let (mut lobby, critical) = (Lobby::default(), Critical::default());
    let asked = tokio::try_join!(open(&connection), receive(&connection, &mut lobby, &critical));
    let (ours, (control, request, send, recv)) = asked.inspect_err(|violation| {
        connection.close(violation.code(), violation.to_string().as_bytes());
    })?;
    Ok(Asking { request, streams: Streams { connection, ours, control, send, recv }, critical, lobby })
}

async fn open(connection: &quinn::Connection) -> Result<quinn::SendStream, Violation> {
    let mut control = connection.open_uni().await?;
    match control.write_all(&settings::ours()).await {
        Ok(()) => Ok(control),
        Err(quinn::WriteError::ConnectionLost(lost)) => Err(lost.into()),
        Err(_) => Err(Violation::ControlClosed),
    }
}

type Received = (Frames<Control>, Request, quinn::SendStream, quinn::RecvStream);

async fn receive(connection: &quinn::Connection, lobby: &mut Lobby, critical: &Critical) -> Result<Received, Violation> {
    let mut control = Frames::new(lobby.control(connection, critical).await?, IGNORED_BYTES_MAX);
    settings::read(&mut control).await?;
    // The first one handed over is number 0, whatever arrives first: the session that all prefixes name.
    let (send, recv) = connection.accept_bi().await?;
    let mut stream = Frames::new(recv, IGNORED_BYTES_MAX);
    let request = Request::read(&mut stream).await?;
    Ok((control, request, send, stream.into_inner()))
}

impl Asking {
    /// Grants the request, and settles on `protocol`.
    ///
    /// # Errors
    /// When the client is gone.
    pub(crate) async fn grant(self, protocol: Option<String>) -> Result<Session, AnswerError> {
        let Self { mut streams, critical, lobby, .. } = self;
        let answer = match &protocol {
            Some(protocol) => ConnectResponse::OK.with_protocol(protocol),
            None => ConnectResponse::OK,
        };
        streams.answer(&answer).await?;
        Ok(Session { protocol, streams, critical, lobby })
    }

    /// Turns the request down. Waits until the client has closed the connection.
    ///
    /// # Errors
    /// When the client is gone.
    pub(crate) async fn reject(&mut self, status: StatusCode) -> Result<(), AnswerError> {
        self.streams.answer(&status.into()).await?;
        // Fails on a stream that the client stopped, which is as good.
        let _ = self.streams.send.finish();
        self.streams.connection.closed().await;
        Ok(())
    }

    /// The connection, to be closed after a refusal.
    pub(crate) fn connection(&self) -> &quinn::Connection {
        &self.streams.connection
    }
}

impl Streams {
    async fn answer(&mut self, response: &ConnectResponse) -> Result<(), AnswerError> {
        let mut frame = Vec::new();
        response.encode(&mut frame)?;
        Ok(self.send.write_all(&frame).await?)
    }
}
