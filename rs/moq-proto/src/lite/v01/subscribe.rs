//! `SUBSCRIBE { Subscribe ID (i), Broadcast (s), Track (s), Priority (8) }`; later versions put more behind it.

use crate::{
    DecodeError, Reader, Writer,
    lite::{
        Layout,
        message::{Subscribe, SubscribeOptions},
    },
};

pub(in crate::lite) const SUBSCRIBE: Layout<Subscribe> = Layout::sized(encode, decode);

fn encode(msg: &Subscribe, w: &mut Writer) {
    write(msg, w, |options, w| {
        w.u8(options.priority);
    });
}

fn decode(r: &mut Reader<'_>) -> Result<Subscribe, DecodeError> {
    read(r, |r| Ok(SubscribeOptions { priority: r.u8()?, ..SubscribeOptions::default() }))
}

/// Writes a SUBSCRIBE, its options with `options`.
pub(in crate::lite) fn write(msg: &Subscribe, w: &mut Writer, options: fn(&SubscribeOptions, &mut Writer)) {
    w.varint(msg.id).path(&msg.broadcast).string(&msg.track);
    options(&msg.options, w);
}

/// Reads a SUBSCRIBE, its options with `options`.
pub(in crate::lite) fn read(
    r: &mut Reader<'_>,
    options: fn(&mut Reader<'_>) -> Result<SubscribeOptions, DecodeError>,
) -> Result<Subscribe, DecodeError> {
    Ok(Subscribe { id: r.varint()?, broadcast: r.path()?, track: r.string()?.to_owned(), options: options(r)? })
}
