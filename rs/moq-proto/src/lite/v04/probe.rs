//! `PROBE { Bitrate (i), RTT (i) }`

use crate::{
    DecodeError, Reader, Writer,
    lite::{Layout, message::Probe},
};

pub(in crate::lite) const PROBE: Layout<Probe> = Layout::sized(encode, decode);

fn encode(msg: &Probe, w: &mut Writer) {
    w.varint(msg.bitrate).varint(msg.rtt);
}

fn decode(r: &mut Reader<'_>) -> Result<Probe, DecodeError> {
    Ok(Probe { bitrate: r.varint()?, rtt: r.varint()? })
}
