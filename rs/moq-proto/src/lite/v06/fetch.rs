//! `FETCH { Broadcast (s), Track (s), Priority (8), Group (i), Frame Start (i), Frame End (opt) }`

use crate::{
    DecodeError, Reader, Writer,
    lite::{Layout, message::Fetch},
};

pub(in crate::lite) const FETCH: Layout<Fetch> = Layout::sized(encode, decode);

fn encode(msg: &Fetch, w: &mut Writer) {
    w.path(&msg.broadcast).string(&msg.track).u8(msg.priority).varint(msg.group);
    w.varint(msg.frame_start).opt(msg.frame_end);
}

fn decode(r: &mut Reader<'_>) -> Result<Fetch, DecodeError> {
    let fetch = Fetch {
        broadcast: r.path()?,
        track: r.string()?.to_owned(),
        priority: r.u8()?,
        group: r.varint()?,
        frame_start: r.varint()?,
        frame_end: r.opt()?,
    };
    if fetch.frame_end.is_some_and(|end| end < fetch.frame_start) {
        return Err(DecodeError::Contradiction { field: "frame end", needs: "a frame start before it" });
    }
    Ok(fetch)
}
