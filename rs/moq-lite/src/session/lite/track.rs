//! The Track conversation: a track's properties, before anything of it is sent.
//!
//! Spec: moq-lite-05, "TRACK". Versions before it have none; there the defaults hold.

use std::rc::Rc;

use moq_proto::{
    Path, VarInt, Writer, close,
    lite::{
        self,
        message::{TrackInfo, TrackRequest},
    },
};

use super::{
    super::{
        error::Failure,
        shared::{Shared, in_time},
        stream::{Receiver, Sender},
    },
    subscribe::resolve,
};
use crate::{model::track, transport::Connection};

/// Asks the peer for a track's properties.
pub(in super::super) async fn ask<C: Connection>(
    shared: &Shared<C>,
    broadcast: &Path,
    name: &str,
) -> Result<track::Info, Failure> {
    let (Some(request), Some(info)) = (&shared.dialect.track, &shared.dialect.track_info) else {
        return Ok(track::Info::default());
    };
    let (mut sender, mut receiver) = shared.open_bi().await?;
    let message = TrackRequest { broadcast: broadcast.clone(), track: name.into() };
    let mut wire = Writer::new();
    wire.varint(lite::stream::TRACK).bytes(&request.to_wire(&message));
    sender.send(wire.into_bytes()).await?;
    // Our side stays open until the answer is whole: an early end would withdraw the request.
    let info = receiver.first(info).await?;
    // The answer is here; whether the peer still listens does not matter.
    let _ = sender.finish();
    Ok(track::Info {
        priority: info.priority,
        max_age: std::time::Duration::from_millis(info.max_age.get()),
        timescale: info.timescale,
    })
}

/// Answers the peer's request for a track's properties.
pub(in super::super) async fn answer<C: Connection>(
    shared: &Rc<Shared<C>>,
    sender: &mut Sender<C::SendStream>,
    receiver: &mut Receiver<C::RecvStream>,
) -> Result<(), Failure> {
    let (Some(request), Some(layout)) = (&shared.dialect.track, &shared.dialect.track_info) else {
        return Err(Failure::UnknownStream(lite::stream::TRACK.get()));
    };
    let request = in_time(receiver.first(request)).await?;
    let track = tokio::select! {
        biased;
        // An end before the answer withdraws the request.
        ended = receiver.end() => return ended.and(Err(Failure::Ended(close::stream::CANCELLED))),
        track = resolve(shared, &request.broadcast, &request.track) => track?,
    };
    let info = track.info();
    let message = TrackInfo {
        priority: info.priority,
        ordered: false,
        // "For ever" is as long as JavaScript peers can read.
        max_age: info.max_age.as_millis().try_into().map_or(VarInt::JS_MAX, VarInt::saturating).min(VarInt::JS_MAX),
        timescale: info.timescale,
    };
    sender.send(layout.to_wire(&message)).await?;
    Ok(())
}
