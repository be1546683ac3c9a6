//! `DATAGRAM { Subscribe ID (i), Group Sequence (i), Timestamp (i), Payload (..) }`, without an envelope.

use bytes::Bytes;

use crate::{
    DecodeError, Reader, Timestamp, Writer,
    lite::{Layout, message::Datagram},
};

pub(in crate::lite) const DATAGRAM: Layout<Datagram> = Layout::bare(encode, decode);

fn encode(msg: &Datagram, w: &mut Writer) {
    w.varint(msg.subscribe).varint(msg.sequence).varint(msg.timestamp.into()).bytes(&msg.payload);
}

fn decode(r: &mut Reader<'_>) -> Result<Datagram, DecodeError> {
    Ok(Datagram {
        subscribe: r.varint()?,
        sequence: r.varint()?,
        timestamp: Timestamp::try_from(r.varint()?.get())?,
        payload: Bytes::copy_from_slice(r.rest()),
    })
}
