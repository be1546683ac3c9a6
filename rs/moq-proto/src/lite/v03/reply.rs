//! ```text
//! 0 SUBSCRIBE_OK   { Priority (8), Ordered (8), Max Age (i), Group Start (opt), Group End (opt) }
//! 1 SUBSCRIBE_DROP { Start Group (i), End Group (i), Error Code (i) }
//! ```

use super::subscribe_drop;
use crate::{
    DecodeError, Reader, VarInt, Writer,
    lite::{
        Layout,
        message::{SubscribeOk, SubscribeReply},
    },
};

pub(in crate::lite) const REPLY: Layout<SubscribeReply> = Layout::typed(kind, encode, decode).only(says);

const OK: u32 = 0;
const DROP: u32 = 1;

fn says(msg: &SubscribeReply) -> bool {
    matches!(msg, SubscribeReply::Ok(_) | SubscribeReply::Drop(_))
}

fn kind(msg: &SubscribeReply) -> VarInt {
    VarInt::from_u32(if matches!(msg, SubscribeReply::Drop(_)) { DROP } else { OK })
}

fn encode(msg: &SubscribeReply, w: &mut Writer) {
    match msg {
        SubscribeReply::Ok(ok) => {
            w.u8(ok.priority).bool(ok.ordered).varint(ok.max_age).opt(ok.group_start).opt(ok.group_end);
        }
        SubscribeReply::Drop(drop) => subscribe_drop::write(drop, w),
        SubscribeReply::Start { .. } | SubscribeReply::End { .. } => {}
    }
}

fn decode(kind: VarInt, r: &mut Reader<'_>) -> Result<SubscribeReply, DecodeError> {
    match u32::try_from(kind.get()) {
        Ok(OK) => Ok(SubscribeReply::Ok(SubscribeOk {
            priority: r.u8()?,
            ordered: r.bool("ordered")?,
            max_age: r.varint()?,
            group_start: r.opt()?,
            group_end: r.opt()?,
        })),
        Ok(DROP) => subscribe_drop::read(r).map(SubscribeReply::Drop),
        _ => Err(DecodeError::UnknownType(kind)),
    }
}
