//! `ANNOUNCE { Status (8), Suffix (s), Hop Count (i) }`

use crate::{
    DecodeError, HopChain, HopError, HopId, Reader, Writer,
    lite::{Layout, message::Announce, v01},
};

pub(in crate::lite) const ANNOUNCE: Layout<Announce> = Layout::sized(encode, decode).only(v01::says_announce);

fn encode(msg: &Announce, w: &mut Writer) {
    v01::write_announce(msg, w, |hops, w| {
        w.length(hops.len());
    });
}

fn decode(r: &mut Reader<'_>) -> Result<Announce, DecodeError> {
    v01::AnnounceFields::read(r, read_hops)?.into_announce()
}

/// Hops that are only counted have no names.
fn read_hops(r: &mut Reader<'_>) -> Result<HopChain, DecodeError> {
    let count = usize::try_from(r.varint()?.get()).ok().filter(|count| *count <= HopChain::MAX);
    let count = count.ok_or(HopError::TooMany { max: HopChain::MAX })?;
    Ok(HopChain::try_from_iter(std::iter::repeat_n(HopId::UNKNOWN, count))?)
}
