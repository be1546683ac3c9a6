//! `GOAWAY { New Session URI (s) }`

use crate::{
    DecodeError, Reader, Writer,
    lite::{Layout, message::Goaway},
};

pub(in crate::lite) const GOAWAY: Layout<Goaway> = Layout::sized(encode, decode);

fn encode(msg: &Goaway, w: &mut Writer) {
    w.string(&msg.uri);
}

fn decode(r: &mut Reader<'_>) -> Result<Goaway, DecodeError> {
    let uri = r.string()?;
    if uri.len() > Goaway::URI_MAX {
        return Err(DecodeError::TooLong { what: "URI", size: uri.len() as u64, max: Goaway::URI_MAX });
    }
    Ok(Goaway { uri: uri.to_owned() })
}
