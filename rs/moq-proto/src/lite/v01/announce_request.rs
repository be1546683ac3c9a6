//! `ANNOUNCE_REQUEST { Prefix (s) }`

use crate::{
    DecodeError, HopId, Reader, Writer,
    lite::{Layout, message::AnnounceRequest},
};

pub(in crate::lite) const ANNOUNCE_REQUEST: Layout<AnnounceRequest> = Layout::sized(encode, decode);

fn encode(msg: &AnnounceRequest, w: &mut Writer) {
    w.path(&msg.prefix);
}

fn decode(r: &mut Reader<'_>) -> Result<AnnounceRequest, DecodeError> {
    Ok(AnnounceRequest { prefix: r.path()?, exclude: HopId::UNKNOWN, hidden: false })
}
