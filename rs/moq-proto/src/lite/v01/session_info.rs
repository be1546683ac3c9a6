//! `SESSION_INFO { Bitrate (i) }`

use crate::{
    DecodeError, Reader, Writer,
    lite::{Layout, message::SessionInfo},
};

pub(in crate::lite) const SESSION_INFO: Layout<SessionInfo> = Layout::sized(encode, decode);

fn encode(msg: &SessionInfo, w: &mut Writer) {
    w.varint(msg.bitrate);
}

fn decode(r: &mut Reader<'_>) -> Result<SessionInfo, DecodeError> {
    Ok(SessionInfo { bitrate: r.varint()? })
}
