//! `ANNOUNCE { Status (8), Suffix (s), Hops }`

use super::hops;
use crate::{
    DecodeError, Reader, Writer,
    lite::{Layout, message::Announce, v01},
};

pub(in crate::lite) const ANNOUNCE: Layout<Announce> = Layout::sized(encode, decode).only(v01::says_announce);

fn encode(msg: &Announce, w: &mut Writer) {
    v01::write_announce(msg, w, hops::write);
}

fn decode(r: &mut Reader<'_>) -> Result<Announce, DecodeError> {
    v01::AnnounceFields::read(r, hops::read)?.into_announce()
}
