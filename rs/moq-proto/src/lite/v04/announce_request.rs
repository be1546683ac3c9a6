//! `ANNOUNCE_REQUEST { Prefix (s), Exclude Hop (i) }`

use crate::{
    DecodeError, Reader, Writer,
    lite::{Layout, message::AnnounceRequest},
};

pub(in crate::lite) const ANNOUNCE_REQUEST: Layout<AnnounceRequest> = Layout::sized(encode, decode);

fn encode(msg: &AnnounceRequest, w: &mut Writer) {
    w.path(&msg.prefix).varint(msg.exclude.into());
}

fn decode(r: &mut Reader<'_>) -> Result<AnnounceRequest, DecodeError> {
    Ok(AnnounceRequest { prefix: r.path()?, exclude: r.varint()?.into(), hidden: false })
}
