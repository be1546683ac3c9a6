//! `TRACK_INFO { Priority (8), Max Age (i), Timescale (i) }`

use crate::{
    DecodeError, Reader, Timescale, Writer,
    lite::{Layout, message::TrackInfo},
};

pub(in crate::lite) const TRACK_INFO: Layout<TrackInfo> = Layout::sized(encode, decode);

fn encode(msg: &TrackInfo, w: &mut Writer) {
    w.u8(msg.priority).varint(msg.max_age).varint(msg.timescale.into());
}

fn decode(r: &mut Reader<'_>) -> Result<TrackInfo, DecodeError> {
    Ok(TrackInfo { priority: r.u8()?, ordered: false, max_age: r.varint()?, timescale: Timescale::try_from(r.varint()?.get())? })
}
