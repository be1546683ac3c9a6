//! `ANNOUNCE_OK { Hop ID (i), Active Count (i) }`

use crate::{
    DecodeError, Reader, Writer,
    lite::{Layout, message::AnnounceOk},
};

pub(in crate::lite) const ANNOUNCE_OK: Layout<AnnounceOk> = Layout::sized(encode, decode);

fn encode(msg: &AnnounceOk, w: &mut Writer) {
    w.varint(msg.hop.into()).varint(msg.active);
}

fn decode(r: &mut Reader<'_>) -> Result<AnnounceOk, DecodeError> {
    Ok(AnnounceOk { hop: r.varint()?.into(), active: r.varint()? })
}
