//! `FETCH { Broadcast (s), Track (s), Priority (8), Group (i) }`

use crate::{
    DecodeError, Reader, VarInt, Writer,
    lite::{Layout, message::Fetch},
};

pub(in crate::lite) const FETCH: Layout<Fetch> = Layout::sized(encode, decode);

fn encode(msg: &Fetch, w: &mut Writer) {
    w.path(&msg.broadcast).string(&msg.track).u8(msg.priority).varint(msg.group);
}

fn decode(r: &mut Reader<'_>) -> Result<Fetch, DecodeError> {
    Ok(Fetch {
        broadcast: r.path()?,
        track: r.string()?.to_owned(),
        priority: r.u8()?,
        group: r.varint()?,
        frame_start: VarInt::ZERO,
        frame_end: None,
    })
}
