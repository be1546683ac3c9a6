//! ```text
//! 0 ANNOUNCE_START  { Suffix (s), Hops, Warm Cost (i), Cold Cost (i) }
//! 1 ANNOUNCE_END    { Announce ID (i) }
//! 2 ANNOUNCE_UPDATE { Announce ID (i), Hops, Warm Cost (i), Cold Cost (i) }
//! ```
//! Other types are skipped by their size.

use crate::{
    Cost, DecodeError, HopChain, Reader, VarInt, Writer,
    lite::{Layout, message::Announce, v04},
};

pub(in crate::lite) const ANNOUNCE: Layout<Announce> = Layout::typed(kind, encode, decode).only(says);

const START: u32 = 0;
const END: u32 = 1;
const UPDATE: u32 = 2;

fn says(msg: &Announce) -> bool {
    matches!(msg, Announce::Start { .. } | Announce::Update { .. } | Announce::End { .. })
}

fn kind(msg: &Announce) -> VarInt {
    VarInt::from_u32(match msg {
        Announce::End { .. } => END,
        Announce::Update { .. } => UPDATE,
        _ => START,
    })
}

fn encode(msg: &Announce, w: &mut Writer) {
    match msg {
        Announce::Start { suffix, hops, cost } => write_way(hops, cost, w.path(suffix)),
        Announce::Update { id, hops, cost } => write_way(hops, cost, w.varint(*id)),
        Announce::End { id } => {
            w.varint(*id);
        }
        _ => {}
    }
}

fn decode(kind: VarInt, r: &mut Reader<'_>) -> Result<Announce, DecodeError> {
    match u32::try_from(kind.get()) {
        Ok(START) => {
            let suffix = r.path()?;
            let (hops, cost) = read_way(r)?;
            Ok(Announce::Start { suffix, hops, cost })
        }
        Ok(UPDATE) => {
            let id = r.varint()?;
            let (hops, cost) = read_way(r)?;
            Ok(Announce::Update { id, hops, cost })
        }
        Ok(END) => Ok(Announce::End { id: r.varint()? }),
        _ => {
            r.rest();
            Ok(Announce::Unknown { kind })
        }
    }
}

fn write_way(hops: &HopChain, cost: &Cost, w: &mut Writer) {
    v04::write_hops(hops, w);
    w.varint(cost.warm).varint(cost.cold);
}

fn read_way(r: &mut Reader<'_>) -> Result<(HopChain, Cost), DecodeError> {
    Ok((v04::read_hops(r)?, Cost { warm: r.varint()?, cold: r.varint()? }))
}
