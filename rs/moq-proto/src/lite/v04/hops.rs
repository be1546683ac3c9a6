//! `Hops { Hop Count (i), Hop ID (i) ... }`, a part of announcements.

use crate::{DecodeError, HopChain, HopError, Reader, Writer};

pub(in crate::lite) fn write(hops: &HopChain, w: &mut Writer) {
    w.length(hops.len());
    for hop in hops.iter() {
        w.varint(hop.into());
    }
}

pub(in crate::lite) fn read(r: &mut Reader<'_>) -> Result<HopChain, DecodeError> {
    let count = r.varint()?.get();
    if count > HopChain::MAX as u64 {
        return Err(HopError::TooMany { max: HopChain::MAX }.into());
    }
    let mut hops = HopChain::new();
    for _ in 0..count {
        hops.push(r.varint()?.into())?;
    }
    Ok(hops)
}
