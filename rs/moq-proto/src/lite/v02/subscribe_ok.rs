//! `SUBSCRIBE_OK { }`, the only reply.

use crate::{
    DecodeError, Reader, Writer,
    lite::{
        Layout,
        message::{SubscribeOk, SubscribeReply},
        v01,
    },
};

pub(in crate::lite) const REPLY: Layout<SubscribeReply> = Layout::sized(encode, decode).only(v01::says_reply);

fn encode(_: &SubscribeReply, _: &mut Writer) {}

fn decode(_: &mut Reader<'_>) -> Result<SubscribeReply, DecodeError> {
    Ok(SubscribeReply::Ok(SubscribeOk::default()))
}
