//! `SUBSCRIBE_DROP { Start Group (i), End Group (i), Error Code (i) }`, one of the replies.

use crate::{DecodeError, Reader, Writer, lite::message::SubscribeDrop};

pub(in crate::lite) fn write(msg: &SubscribeDrop, w: &mut Writer) {
    w.varint(msg.start).varint(msg.end).varint(msg.code);
}

pub(in crate::lite) fn read(r: &mut Reader<'_>) -> Result<SubscribeDrop, DecodeError> {
    Ok(SubscribeDrop { start: r.varint()?, end: r.varint()?, code: r.varint()? })
}
