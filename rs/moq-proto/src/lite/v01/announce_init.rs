//! `ANNOUNCE_INIT { Count (i), Suffix (s) ... }`

use crate::{
    DecodeError, Reader, Writer,
    lite::{Layout, MESSAGE_BYTES_MAX, message::AnnounceInit},
};

pub(in crate::lite) const ANNOUNCE_INIT: Layout<AnnounceInit> = Layout::sized(encode, decode);

fn encode(msg: &AnnounceInit, w: &mut Writer) {
    w.length(msg.suffixes.len());
    for suffix in &msg.suffixes {
        w.path(suffix);
    }
}

fn decode(r: &mut Reader<'_>) -> Result<AnnounceInit, DecodeError> {
    let count = r.count("suffixes", MESSAGE_BYTES_MAX)?;
    Ok(AnnounceInit { suffixes: (0..count).map(|_| r.path()).collect::<Result<_, _>>()? })
}
