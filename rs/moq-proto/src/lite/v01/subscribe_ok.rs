//! `SUBSCRIBE_OK { Priority (8) }`, the only reply.

use crate::{
    DecodeError, Reader, Writer,
    lite::{
        Layout,
        message::{SubscribeOk, SubscribeReply},
    },
};

pub(in crate::lite) const REPLY: Layout<SubscribeReply> = Layout::sized(encode, decode).only(says);

pub(in crate::lite) fn says(msg: &SubscribeReply) -> bool {
    matches!(msg, SubscribeReply::Ok(_))
}

fn encode(msg: &SubscribeReply, w: &mut Writer) {
    if let SubscribeReply::Ok(ok) = msg {
        w.u8(ok.priority);
    }
}

fn decode(r: &mut Reader<'_>) -> Result<SubscribeReply, DecodeError> {
    Ok(SubscribeReply::Ok(SubscribeOk { priority: r.u8()?, ..SubscribeOk::default() }))
}
