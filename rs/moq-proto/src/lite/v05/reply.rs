//! ```text
//! 0 SUBSCRIBE_START { Group (i) }
//! 1 SUBSCRIBE_END   { Group (i) }
//! 2 SUBSCRIBE_DROP  { Start Group (i), End Group (i), Error Code (i) }
//! ```

use crate::{
    DecodeError, Reader, VarInt, Writer,
    lite::{Layout, message::SubscribeReply, v03},
};

pub(in crate::lite) const REPLY: Layout<SubscribeReply> = Layout::typed(kind, encode, decode).only(says);

const START: u32 = 0;
const END: u32 = 1;
const DROP: u32 = 2;

fn says(msg: &SubscribeReply) -> bool {
    !matches!(msg, SubscribeReply::Ok(_))
}

fn kind(msg: &SubscribeReply) -> VarInt {
    VarInt::from_u32(match msg {
        SubscribeReply::Ok(_) | SubscribeReply::Start { .. } => START,
        SubscribeReply::End { .. } => END,
        SubscribeReply::Drop(_) => DROP,
    })
}

fn encode(msg: &SubscribeReply, w: &mut Writer) {
    match msg {
        SubscribeReply::Ok(_) => {}
        SubscribeReply::Start { group } | SubscribeReply::End { group } => {
            w.varint(*group);
        }
        SubscribeReply::Drop(drop) => v03::write_drop(drop, w),
    }
}

fn decode(kind: VarInt, r: &mut Reader<'_>) -> Result<SubscribeReply, DecodeError> {
    match u32::try_from(kind.get()) {
        Ok(START) => Ok(SubscribeReply::Start { group: r.varint()? }),
        Ok(END) => Ok(SubscribeReply::End { group: r.varint()? }),
        Ok(DROP) => v03::read_drop(r).map(SubscribeReply::Drop),
        _ => Err(DecodeError::UnknownType(kind)),
    }
}
