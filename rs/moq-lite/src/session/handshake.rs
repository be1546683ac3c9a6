//! Which version a session speaks, and with what SETUP.
//!
//! The transport's token settles the version from moq-lite-03 on. The token `moql`, or none at all, means the legacy SETUP
//! exchange of moq-lite 01 and 02 on the client's first bidirectional stream, which then lives as long as the session.
//! Spec: moq-lite-02, "SETUP"; moq-lite-05, "SETUP".

use std::future::poll_fn;

use moq_proto::{
    VarInt, Version,
    lite::{
        self, Layout,
        legacy::{ClientSetup, ServerSetup},
        message::Setup,
    },
};

use super::{
    Error,
    error::Failure,
    stream::{Receiver, Sender},
};
use crate::transport::{Connection, Rank, RecvStream};

/// The session stream of moq-lite 01 and 02: its end is the session's.
pub(super) struct Legacy<C: Connection> {
    pub(super) sender: Sender<C::SendStream>,
    pub(super) receiver: Receiver<C::RecvStream>,
}

type Settled<C> = Result<(Version, Option<Legacy<C>>), Error>;

/// The version that the transport's token names. `None`: the legacy SETUP decides.
fn by_token<C: Connection>(connection: &C, versions: &[Version]) -> Result<Option<Version>, Error> {
    match connection.protocol() {
        None => Ok(None),
        Some(token) if token == Version::Lite02.alpn() => Ok(None),
        Some(token) => match Version::from_alpn(token) {
            Some(version) if versions.contains(&version) => Ok(Some(version)),
            _ => Err(Error::Version { offered: token.into() }),
        },
    }
}

/// A stream that fails this early takes the session with it.
pub(super) fn early(failure: Failure) -> Error {
    match failure {
        Failure::Stream(crate::transport::StreamError::Connection(error)) => error.into(),
        Failure::Timeout => Error::Timeout("SETUP"),
        other => Error::Violation(format!("SETUP: {other}")),
    }
}

/// A legacy SETUP that cannot be read offers no version that we speak.
fn unreadable(failure: Failure) -> Error {
    match early(failure) {
        Error::Violation(what) => Error::Version { offered: format!("nothing that can be read ({what})") },
        error => error,
    }
}

pub(super) async fn accept<C: Connection>(mut connection: C, versions: &[Version]) -> Settled<C> {
    if let Some(version) = by_token(&connection, versions)? {
        return Ok((version, None));
    }
    let (sender, receiver) = poll_fn(|cx| connection.poll_accept_bi(cx)).await?;
    let (mut sender, mut receiver) = (Sender::new(sender), Receiver::new(receiver));

    let client = ClientSetup::decode(&body(&mut receiver, lite::stream::LEGACY_SETUP).await.map_err(unreadable)?);
    let client = client.map_err(|error| unreadable(error.into()))?;
    let chosen = client.versions.iter().copied().find_map(|code| {
        let version = Version::from_setup_code(code.get())?;
        versions.contains(&version).then_some((version, code))
    });
    let Some((version, code)) = chosen else {
        let offered: Vec<_> = client.versions.iter().map(|code| format!("{:#x}", code.get())).collect();
        return Err(Error::Version { offered: offered.join(", ") });
    };
    sender.send(ServerSetup { version: code }.to_wire()).await.map_err(|error| early(error.into()))?;
    Ok((version, Some(Legacy { sender, receiver })))
}

pub(super) async fn connect<C: Connection>(mut connection: C, versions: &[Version]) -> Settled<C> {
    if let Some(version) = by_token(&connection, versions)? {
        return Ok((version, None));
    }
    let offered: Vec<_> = versions.iter().filter(|version| version.alpn() == Version::Lite02.alpn()).copied().collect();
    let codes = offered.iter().map(|version| VarInt::from_u32(version.setup_code())).collect();
    let (sender, receiver) = poll_fn(|cx| connection.poll_open_bi(cx, Rank::CONTROL)).await?;
    let (mut sender, mut receiver) = (Sender::new(sender), Receiver::new(receiver));

    let setup = ClientSetup { versions: codes, path: None };
    sender.send(setup.to_wire()).await.map_err(|error| early(error.into()))?;
    let server = ServerSetup::decode(&body(&mut receiver, lite::stream::LEGACY_SETUP_REPLY).await.map_err(unreadable)?);
    let code = server.map_err(|error| unreadable(error.into()))?.version;
    match Version::from_setup_code(code.get()) {
        Some(version) if offered.contains(&version) => Ok((version, Some(Legacy { sender, receiver }))),
        _ => Err(Error::Version { offered: format!("{:#x}", code.get()) }),
    }
}

/// The body of a legacy SETUP message: its type, a length of two bytes, the body.
async fn body<S: RecvStream>(receiver: &mut Receiver<S>, kind: VarInt) -> Result<bytes::Bytes, Failure> {
    let head = receiver.head(|prefix| Ok((prefix.varint()?, prefix.u16()?))).await?;
    let (found, length) = head.ok_or(Failure::Truncated)?;
    if found != kind {
        return Err(Failure::UnknownStream(found.get()));
    }
    receiver.exact(length.into()).await
}

/// Waits for the client's Setup stream, which it opens before any other; what it opens earlier all the same is refused.
pub(super) async fn first_setup<C: Connection>(connection: &mut C, layout: &Layout<Setup>) -> Result<Setup, Error> {
    loop {
        let stream = poll_fn(|cx| connection.poll_accept_uni(cx)).await?;
        let mut receiver = Receiver::new(stream);
        if receiver.kind().await.map_err(early)? == Some(lite::stream::SETUP) {
            return receiver.first(layout).await.map_err(early);
        }
    }
}
