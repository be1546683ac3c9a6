//! `PROBE { Bitrate (i) }`

use crate::{
    DecodeError, Reader, VarInt, Writer,
    lite::{Layout, message::Probe},
};

pub(in crate::lite) const PROBE: Layout<Probe> = Layout::sized(encode, decode);

fn encode(msg: &Probe, w: &mut Writer) {
    w.varint(msg.bitrate);
}

fn decode(r: &mut Reader<'_>) -> Result<Probe, DecodeError> {
    Ok(Probe { bitrate: r.varint()?, rtt: VarInt::ZERO })
}
