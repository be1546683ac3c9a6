//! `TRACK { Broadcast (s), Track (s) }`

use crate::{
    DecodeError, Reader, Writer,
    lite::{Layout, message::TrackRequest},
};

pub(in crate::lite) const TRACK: Layout<TrackRequest> = Layout::sized(encode, decode);

fn encode(msg: &TrackRequest, w: &mut Writer) {
    w.path(&msg.broadcast).string(&msg.track);
}

fn decode(r: &mut Reader<'_>) -> Result<TrackRequest, DecodeError> {
    Ok(TrackRequest { broadcast: r.path()?, track: r.string()?.to_owned() })
}
