//! SETTINGS: what this side says of itself so that every dialect of WebTransport finds what it looks for, and what of a client's
//! matters.
//!
//! A client that can do WebTransport shows that by asking for it; most dialects have it say nothing else. HTTP datagrams are the
//! exception, because they may not be sent to whoever has not asked for them.
//!
//! Spec: RFC 9114, section 7.2.4; RFC 9220, section 5; RFC 9297, section 2.1.1; WebTransport over HTTP/3, drafts 02 to 16,
//! section 3.1.

use tokio::io::AsyncRead;
use web_transport_proto::{Frame, StreamUni, VarInt};

use super::{FIELD_SECTION_BYTES_MAX, Violation, frames::Frames};

/// H3_DATAGRAM, and its number before RFC 9297.
const DATAGRAMS: [u32; 2] = [0x33, 0xff_d277];

/// What this side says.
const OURS: [(u32, u32); 9] = [
    (0x06, FIELD_SECTION_BYTES_MAX),
    (0x08, 1), // ENABLE_CONNECT_PROTOCOL
    (DATAGRAMS[0], 1),
    (DATAGRAMS[1], 1), // older Chrome
    (0x2b60_3742, 1),  // ENABLE_WEBTRANSPORT of draft 02: Chrome, Firefox
    (0x2b60_3743, 1),  // how many sessions, drafts 02 to 06
    (0xc671_706a, 1),  // the same, drafts 07 to 12: Chrome, native clients
    (0x14e9_cd29, 1),  // the same, drafts 13 and 14: Safari. More than 1 would ask for flow control of sessions too.
    (0x2c7c_f000, 1),  // WT_ENABLED, drafts 15 and 16
];

/// Largest SETTINGS accepted, in bytes: two hundred settings at their longest, where clients send ten.
const SETTINGS_BYTES_MAX: u64 = 4 * 1024;

/// Settings of HTTP/2 that may not be sent over HTTP/3.
const RESERVED: [u64; 4] = [0x02, 0x03, 0x04, 0x05];

/// How this side's control stream begins: its type, and SETTINGS.
pub(super) fn ours() -> Vec<u8> {
    let mut settings = Vec::new();
    for number in OURS.iter().flat_map(|(id, value)| [*id, *value]) {
        VarInt::from_u32(number).encode(&mut settings);
    }
    let mut stream = Vec::new();
    StreamUni::CONTROL.encode(&mut stream);
    Frame::SETTINGS.encode(&mut stream);
    // Nine pairs of numbers, sixteen bytes each at most.
    VarInt::from_u32(settings.len() as u32).encode(&mut stream);
    stream.extend(settings);
    stream
}

/// Reads a client's SETTINGS off its control stream, past its type.
///
/// Reserved frames in front are ignored, though they have no business there.
///
/// # Errors
/// When something else comes first, or they speak against WebTransport.
pub(super) async fn read(control: &mut Frames<impl AsyncRead + Unpin>) -> Result<(), Violation> {
    loop {
        match control.next().await? {
            None => return Err(Violation::ControlClosed),
            Some((Frame::SETTINGS, length)) => return judge(&control.payload(length, SETTINGS_BYTES_MAX).await?),
            Some((frame, length)) if frame.is_grease() => control.skip(length).await?,
            Some(_) => return Err(Violation::NoSettings),
        }
    }
}

fn judge(mut settings: &[u8]) -> Result<(), Violation> {
    let mut has_datagrams = false;
    while !settings.is_empty() {
        let mut number = || VarInt::decode(&mut settings).map(VarInt::into_inner).map_err(|_| Violation::Settings);
        let (id, value) = (number()?, number()?);
        if RESERVED.contains(&id) {
            return Err(Violation::Settings);
        }
        has_datagrams |= value == 1 && DATAGRAMS.iter().any(|known| u64::from(*known) == id);
    }
    if has_datagrams { Ok(()) } else { Err(Violation::NoDatagrams) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_suits_every_dialect() {
        // Written out once more: 0x06, 0x08, 0x33, and then numbers of four and eight bytes.
        let expected =
            "00 04 3d 06 80004000 08 01 33 01 80ffd277 01 ab603742 01 ab603743 01 c0000000c671706a 01 94e9cd29 01 ac7cf000 01";
        let hex: String = ours().iter().map(|byte| format!("{byte:02x}")).collect();
        let length = format!("{:02x}", ours().len() - 3);
        assert_eq!(hex, expected.replace(" ", "").replacen("3d", &length, 1));
    }

    #[test]
    fn datagrams_under_either_number_are_enough() {
        for settings in [&[0x33, 1][..], &[0x80, 0xff, 0xd2, 0x77, 1], &[0x21, 7, 0x33, 1], &[0x33, 0, 0x33, 1]] {
            assert_eq!(judge(settings), Ok(()), "{settings:02x?}");
        }
        for (settings, expected) in [
            (&[][..], Violation::NoDatagrams),
            (&[0x33, 0], Violation::NoDatagrams),
            (&[0x33, 1, 0x02, 1], Violation::Settings),
            (&[0x33], Violation::Settings),
            (&[0x33, 1, 0x80], Violation::Settings),
        ] {
            assert_eq!(judge(settings), Err(expected), "{settings:02x?}");
        }
    }
}
