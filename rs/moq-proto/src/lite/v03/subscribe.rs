//! ```text
//! SUBSCRIBE        { Subscribe ID (i), Broadcast (s), Track (s), Options }
//! SUBSCRIBE_UPDATE { Options }
//! Options          { Priority (8), Ordered (8), Max Age (i), Group Start (opt), Group End (opt) }
//! ```

use crate::{
    DecodeError, Reader, VarInt, Writer,
    lite::{
        Layout,
        message::{Subscribe, SubscribeOptions, SubscribeUpdate},
        v01,
    },
};

pub(in crate::lite) const SUBSCRIBE: Layout<Subscribe> = Layout::sized(encode, decode);
pub(in crate::lite) const SUBSCRIBE_UPDATE: Layout<SubscribeUpdate> = Layout::sized(encode_update, decode_update);

/// How a subscriber that takes groups of any age says so, in milliseconds: the largest number that all peers read.
pub(in crate::lite) const NO_LIMIT: VarInt = VarInt::JS_MAX;

fn encode(msg: &Subscribe, w: &mut Writer) {
    v01::write_subscribe(msg, w, write_options);
}

fn decode(r: &mut Reader<'_>) -> Result<Subscribe, DecodeError> {
    v01::read_subscribe(r, read_options)
}

fn encode_update(msg: &SubscribeUpdate, w: &mut Writer) {
    write_options(&msg.0, w);
}

fn decode_update(r: &mut Reader<'_>) -> Result<SubscribeUpdate, DecodeError> {
    read_options(r).map(SubscribeUpdate)
}

fn write_options(options: &SubscribeOptions, w: &mut Writer) {
    w.u8(options.priority).bool(options.ordered).varint(options.max_age.unwrap_or(NO_LIMIT));
    w.opt(options.group_start).opt(options.group_end);
}

fn read_options(r: &mut Reader<'_>) -> Result<SubscribeOptions, DecodeError> {
    Ok(SubscribeOptions {
        priority: r.u8()?,
        ordered: r.bool("ordered")?,
        max_age: Some(r.varint()?),
        group_start: r.opt()?,
        group_end: r.opt()?,
        ..SubscribeOptions::default()
    })
}
