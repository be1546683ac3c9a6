//! `GROUP { Subscribe ID (i), Group Sequence (i) }`

use crate::{
    DecodeError, Reader, VarInt, Writer,
    lite::{Layout, message::GroupHeader},
};

pub(in crate::lite) const GROUP: Layout<GroupHeader> = Layout::sized(encode, decode);

fn encode(msg: &GroupHeader, w: &mut Writer) {
    w.varint(msg.subscribe).varint(msg.sequence);
}

fn decode(r: &mut Reader<'_>) -> Result<GroupHeader, DecodeError> {
    Ok(GroupHeader { subscribe: r.varint()?, sequence: r.varint()?, frame_start: VarInt::ZERO })
}
