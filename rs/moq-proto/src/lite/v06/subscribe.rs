//! ```text
//! SUBSCRIBE        { Subscribe ID (i), Broadcast (s), Track (s), Options }
//! SUBSCRIBE_UPDATE { Options }
//! Options          { Priority (8), Max Age (i), Group Start (i), Group End (opt), Frame Start (i), Frame End (opt) }
//! ```

use crate::{
    DecodeError, Reader, VarInt, Writer,
    lite::{
        Layout,
        message::{Subscribe, SubscribeOptions, SubscribeUpdate},
        v01, v03,
    },
};

pub(in crate::lite) const SUBSCRIBE: Layout<Subscribe> = Layout::sized(encode, decode);
pub(in crate::lite) const SUBSCRIBE_UPDATE: Layout<SubscribeUpdate> = Layout::sized(encode_update, decode_update);

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
    w.u8(options.priority).varint(options.max_age.unwrap_or(v03::NO_LIMIT));
    w.varint(options.group_start.unwrap_or(VarInt::ZERO)).opt(options.group_end);
    w.varint(options.frame_start).opt(options.frame_end.filter(|_| options.group_end.is_some()));
}

fn read_options(r: &mut Reader<'_>) -> Result<SubscribeOptions, DecodeError> {
    let options = SubscribeOptions {
        priority: r.u8()?,
        ordered: false,
        max_age: Some(r.varint()?),
        group_start: Some(r.varint()?).filter(|floor| *floor != VarInt::ZERO),
        group_end: r.opt()?,
        frame_start: r.varint()?,
        frame_end: r.opt()?,
    };
    if options.frame_end.is_some() && options.group_end.is_none() {
        return Err(DecodeError::Contradiction { field: "frame end", needs: "group end" });
    }
    Ok(options)
}
