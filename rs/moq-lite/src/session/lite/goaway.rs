//! The Goaway conversation: asking a peer to leave, and being asked.
//!
//! Spec: moq-lite-04, "GOAWAY".

use std::rc::Rc;

use moq_proto::{
    Writer,
    lite::{self, message::Goaway},
};
use tokio::sync::watch;
use tracing::info;

use super::super::{
    Error,
    error::Failure,
    leaving::GoAway,
    shared::{Shared, in_time},
    stream::Receiver,
};
use crate::transport::Connection;

/// Asks the peer to leave once `leave` says where to. Versions without GOAWAY are not asked.
pub(in super::super) async fn ask_when_told<C: Connection>(
    shared: Rc<Shared<C>>,
    mut leave: watch::Receiver<Option<GoAway>>,
) -> Result<(), Error> {
    let Some(layout) = &shared.dialect.goaway else { return Ok(()) };
    let uri = match leave.wait_for(Option::is_some).await {
        Ok(goaway) => goaway.as_ref().map(|goaway| goaway.uri().to_owned()).unwrap_or_default(),
        Err(_) => return Ok(()),
    };
    let (mut sender, mut receiver) = shared.open_bi().await?;
    let mut wire = Writer::new();
    wire.varint(lite::stream::GOAWAY).bytes(&layout.to_wire(&Goaway { uri }));
    // The peer closes its half at will, in whatever way.
    let said = sender.send(wire.into_bytes()).await;
    if said.and_then(|()| sender.finish()).is_ok() {
        let _ = receiver.end().await;
    }
    Ok(())
}

/// Hears that the peer wants us gone. A second GOAWAY ends the session; one that cannot be read is ignored.
pub(in super::super) async fn answer<C: Connection>(
    shared: &Shared<C>,
    receiver: &mut Receiver<C::RecvStream>,
) -> Result<(), Failure> {
    let Some(layout) = &shared.dialect.goaway else {
        return Err(Failure::UnknownStream(lite::stream::GOAWAY.get()));
    };
    let message = match in_time(receiver.first(layout)).await {
        Ok(message) => message,
        Err(failure @ Failure::Stream(_)) => return Err(failure),
        Err(_) => return Ok(()),
    };
    // Where to may hold credentials.
    info!(elsewhere = !message.uri.is_empty(), "the peer is going away");
    if shared.asked.send_replace(Some(GoAway::new(message.uri))).is_some() {
        return Err(Failure::violation("a second GOAWAY"));
    }
    Ok(())
}
