//! `SUBSCRIBE_UPDATE { Priority (8) }`

use crate::{
    DecodeError, Reader, Writer,
    lite::{
        Layout,
        message::{SubscribeOptions, SubscribeUpdate},
    },
};

pub(in crate::lite) const SUBSCRIBE_UPDATE: Layout<SubscribeUpdate> = Layout::sized(encode, decode);

fn encode(msg: &SubscribeUpdate, w: &mut Writer) {
    w.u8(msg.0.priority);
}

fn decode(r: &mut Reader<'_>) -> Result<SubscribeUpdate, DecodeError> {
    Ok(SubscribeUpdate(SubscribeOptions { priority: r.u8()?, ..SubscribeOptions::default() }))
}
