//! `SETUP { Parameter Count (i), Parameter { ID (i), Length (i), Value (..) } ... }`, in any order, none twice.

use crate::{
    DecodeError, HopId, Reader, VarInt, Writer,
    lite::{
        Layout,
        message::{ProbeLevel, Role, Setup},
    },
};

pub(in crate::lite) const SETUP: Layout<Setup> = Layout::sized(encode, decode);

/// Most parameters read, as moq-lite has it.
const PARAMETERS_MAX: usize = 64;

const PROBE: u32 = 0x1;
const PATH: u32 = 0x2;
const ROLE: u32 = 0x3;
const COST: u32 = 0x4;
const HOP: u32 = 0x5;

fn encode(msg: &Setup, w: &mut Writer) {
    let mut params = Params::default();
    match msg.probe {
        ProbeLevel::None => {}
        ProbeLevel::Report => params.varint(PROBE, VarInt::from_u32(1)),
        ProbeLevel::Increase => params.varint(PROBE, VarInt::from_u32(2)),
    }
    if let Some(path) = &msg.path {
        params.value(PATH, path.as_bytes());
    }
    match msg.role {
        None => {}
        Some(Role::Publisher) => params.varint(ROLE, VarInt::from_u32(1)),
        Some(Role::Subscriber) => params.varint(ROLE, VarInt::from_u32(2)),
    }
    if let Some(cost) = msg.cost {
        params.varint(COST, cost);
    }
    if !msg.hop.is_unknown() {
        params.varint(HOP, msg.hop.into());
    }
    w.length(params.count).bytes(&params.written.into_bytes());
}

#[derive(Default)]
struct Params {
    count: usize,
    written: Writer,
}

impl Params {
    fn value(&mut self, id: u32, value: &[u8]) {
        self.count += 1;
        self.written.varint(id.into()).sized(value);
    }

    fn varint(&mut self, id: u32, value: VarInt) {
        let mut bytes = Writer::new();
        bytes.varint(value);
        self.value(id, &bytes.into_bytes());
    }
}

fn decode(r: &mut Reader<'_>) -> Result<Setup, DecodeError> {
    let mut setup = Setup::default();
    let mut seen = Vec::new();
    for _ in 0..r.count("parameters", PARAMETERS_MAX)? {
        let id = r.varint()?;
        if seen.contains(&id) {
            return Err(DecodeError::Repeated { what: "parameter", id: id.get() });
        }
        seen.push(id);
        let size = r.varint()?.get();
        read_parameter(&mut setup, id, r.bytes(size)?)?;
    }
    Ok(setup)
}

fn read_parameter(setup: &mut Setup, id: VarInt, value: &[u8]) -> Result<(), DecodeError> {
    match u32::try_from(id.get()) {
        Ok(PROBE) => {
            setup.probe = match whole(value)?.get() {
                0 => ProbeLevel::None,
                1 => ProbeLevel::Report,
                _ => ProbeLevel::Increase,
            }
        }
        Ok(PATH) => setup.path = Some(std::str::from_utf8(value).map_err(|_| DecodeError::Utf8)?.to_owned()),
        Ok(ROLE) => {
            setup.role = match whole(value)?.get() {
                1 => Some(Role::Publisher),
                2 => Some(Role::Subscriber),
                _ => None,
            }
        }
        Ok(COST) => setup.cost = Some(whole(value)?),
        Ok(HOP) => setup.hop = HopId::from(whole(value)?),
        _ => {}
    }
    Ok(())
}

/// A value that is one integer.
fn whole(value: &[u8]) -> Result<VarInt, DecodeError> {
    let mut reader = Reader::new(value);
    let value = reader.varint()?;
    reader.finish()?;
    Ok(value)
}
