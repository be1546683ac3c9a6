//! `ANNOUNCE { Status (8), Suffix (s) }`, and what later versions put behind it.

use crate::{
    DecodeError, HopChain, Path, Reader, Writer,
    lite::{Layout, message::Announce},
};

pub(in crate::lite) const ANNOUNCE: Layout<Announce> = Layout::sized(encode, decode).only(says);

const ENDED: u8 = 0;
const ACTIVE: u8 = 1;

pub(in crate::lite) fn says(msg: &Announce) -> bool {
    matches!(msg, Announce::Active { .. } | Announce::Ended { .. })
}

fn encode(msg: &Announce, w: &mut Writer) {
    write(msg, w, |_, _| ());
}

fn decode(r: &mut Reader<'_>) -> Result<Announce, DecodeError> {
    Fields::read(r, |_| Ok(HopChain::new()))?.into_announce()
}

/// Writes what [`says`] allows, its hops with `hops`; a route that ended has none.
pub(in crate::lite) fn write(msg: &Announce, w: &mut Writer, hops: fn(&HopChain, &mut Writer)) {
    match msg {
        Announce::Active { suffix, hops: chain } => hops(chain, w.u8(ACTIVE).path(suffix)),
        Announce::Ended { suffix } => hops(&HopChain::new(), w.u8(ENDED).path(suffix)),
        _ => {}
    }
}

/// What an ANNOUNCE of any version up to moq-lite-05 consists of.
pub(in crate::lite) struct Fields {
    pub(in crate::lite) status: u8,
    pub(in crate::lite) suffix: Path,
    pub(in crate::lite) hops: HopChain,
}

impl Fields {
    /// Reads the hops with `hops`.
    pub(in crate::lite) fn read(
        r: &mut Reader<'_>,
        hops: fn(&mut Reader<'_>) -> Result<HopChain, DecodeError>,
    ) -> Result<Self, DecodeError> {
        Ok(Self { status: r.u8()?, suffix: r.path()?, hops: hops(r)? })
    }

    pub(in crate::lite) fn into_announce(self) -> Result<Announce, DecodeError> {
        match self.status {
            ENDED => Ok(Announce::Ended { suffix: self.suffix }),
            ACTIVE => Ok(Announce::Active { suffix: self.suffix, hops: self.hops }),
            status => Err(DecodeError::Invalid { field: "announce status", value: status.into() }),
        }
    }
}
