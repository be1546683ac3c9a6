//! `ANNOUNCE { Status (8), Suffix (s), Hops }` as in moq-lite-04, and a status for routes that are replaced.

use crate::{
    DecodeError, Reader, Writer,
    lite::{Layout, message::Announce, v01, v04},
};

pub(in crate::lite) const ANNOUNCE: Layout<Announce> = Layout::sized(encode, decode).only(v01::says_announce);

const RESTART: u8 = 2;

fn encode(msg: &Announce, w: &mut Writer) {
    v01::write_announce(msg, w, v04::write_hops);
}

fn decode(r: &mut Reader<'_>) -> Result<Announce, DecodeError> {
    let fields = v01::AnnounceFields::read(r, v04::read_hops)?;
    match fields.status {
        RESTART => Ok(Announce::Restart { suffix: fields.suffix, hops: fields.hops }),
        _ => fields.into_announce(),
    }
}
