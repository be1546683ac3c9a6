use proptest::{collection::vec, prelude::*};
use web_transport_proto::ConnectRequest;

use super::*;

/// Room enough for every vector here.
const ROOM: usize = 16 * 1024;

fn bytes(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn decode(section: &[u8], room: usize) -> Result<Vec<(String, String)>, DecodeError> {
    let text = |bytes: Cow<'_, [u8]>| String::from_utf8_lossy(&bytes).into_owned();
    Section::new(section, room)?.map(|field| field.map(|(name, value)| (text(name), text(value)))).collect()
}

fn coded(hex: &str) -> Result<String, DecodeError> {
    huffman::decode(&bytes(hex), ROOM).map(|text| String::from_utf8(text).unwrap())
}

#[test]
fn texts_of_the_specification_are_read() {
    // RFC 7541, appendices C.4 and C.6.
    for (hex, text) in [
        ("f1e3 c2e5 f23a 6ba0 ab90 f4ff", "www.example.com"),
        ("a8eb 1064 9cbf", "no-cache"),
        ("25a8 49e9 5ba9 7d7f", "custom-key"),
        ("25a8 49e9 5bb8 e8b4 bf", "custom-value"),
        ("6402", "302"),
        ("640e ff", "307"),
        ("aec3 771a 4b", "private"),
        ("d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("9d29 ad17 1863 c78f 0b97 c8e9 ae82 ae43 d3", "https://www.example.com"),
        ("9bd9 ab", "gzip"),
        (
            "94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
            "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
        ),
        ("", ""),
    ] {
        assert_eq!(coded(hex).as_deref(), Ok(text));
    }
}

#[test]
fn texts_end_with_less_than_a_byte_of_ones() {
    assert_eq!(coded("1f").as_deref(), Ok("a"), "three bits of padding");
    assert_eq!(coded("1e"), Err(DecodeError::Huffman), "a zero in them");
    assert_eq!(coded("1fff"), Err(DecodeError::Huffman), "a byte too many");
    assert_eq!(coded("ffff ffff"), Err(DecodeError::Huffman), "EOS");
    assert_eq!(coded("ffff ffff ffff"), Err(DecodeError::Huffman), "past EOS");
    assert_eq!(huffman::decode(&bytes("1fff"), 0), Err(DecodeError::TooLarge));
}

#[test]
fn the_section_of_the_specification_is_read() {
    // RFC 9204, appendix B.1.
    assert_eq!(decode(&bytes("0000 510b 2f69 6e64 6578 2e68 746d 6c"), ROOM).unwrap(), [(":path".into(), "/index.html".into())]);
    // B.2 and B.4 use the dynamic table.
    for hex in ["0381 10 11", "0500 80 c1 81"] {
        assert_eq!(decode(&bytes(hex), ROOM), Err(DecodeError::Dynamic));
    }
}

#[test]
fn every_way_to_refer_to_the_dynamic_table_is_refused() {
    // Indexed, indexed after the base, a name, a name after the base.
    for hex in ["0000 80", "0000 10", "0000 40 00", "0000 00 00", "0000 60 00"] {
        assert_eq!(decode(&bytes(hex), ROOM), Err(DecodeError::Dynamic), "{hex}");
    }
    // The base alone is no reference.
    assert_eq!(decode(&bytes("0003 cf"), ROOM).unwrap(), [(":method".into(), "CONNECT".into())]);
}

#[test]
fn the_static_table_ends_with_its_last_entry() {
    assert_eq!(decode(&bytes("0000 ff23"), ROOM).unwrap(), [("x-frame-options".into(), "sameorigin".into())]);
    assert_eq!(decode(&bytes("0000 ff24"), ROOM), Err(DecodeError::Static));
    assert_eq!(decode(&bytes("0000 5f54 00"), ROOM), Err(DecodeError::Static));
    assert_eq!(decode(&bytes("0000 ffff ffff ffff 7f"), ROOM), Err(DecodeError::Integer));
}

#[test]
fn a_section_counts_as_http_counts_it() {
    // Three bytes of name, two of value, and thirty-two.
    let section = bytes("0000 23 61 62 63 02 64 65");
    assert_eq!(decode(&section, 37).unwrap(), [("abc".into(), "de".into())]);
    assert_eq!(decode(&section, 36), Err(DecodeError::TooLarge));
    let twice = [&section[..], &section[2..]].concat();
    assert_eq!(decode(&twice, 73), Err(DecodeError::TooLarge));
    assert_eq!(decode(&[0, 0], 0), Ok(vec![]), "no field counts nothing");
}

#[test]
fn a_section_cut_anywhere_is_short_or_says_less() {
    let section = bytes("0000 d7 510b 2f69 6e64 6578 2e68 746d 6c 23 61 62 63 02 64 65");
    let whole = decode(&section, ROOM).unwrap();
    for end in 0..section.len() {
        match decode(&section[..end], ROOM) {
            Ok(fields) => assert!(whole.starts_with(&fields) && fields.len() < whole.len()),
            Err(error) => assert_eq!(error, DecodeError::Short, "{end}"),
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_can_panic_the_decoder_or_make_it_say_more_than_it_may(section in vec(any::<u8>(), 0..512), room in 0_usize..512) {
        if let Ok(fields) = decode(&section, room) {
            prop_assert!(fields.len() * FIELD_BYTES <= room);
        }
    }

    #[test]
    fn no_bytes_can_panic_the_code(text in vec(any::<u8>(), 0..64), room in 0_usize..128) {
        if let Ok(text) = huffman::decode(&text, room) {
            prop_assert!(text.len() <= room);
        }
    }

    #[test]
    fn what_another_library_writes_is_read(path in "/[ -~&&[^#?%\\\\]]{0,80}", name in "[a-z]{1,20}", value in "[!-~]{0,80}") {
        let url: url::Url = format!("https://relay{path}").parse().unwrap();
        let header = (http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        let sent = ConnectRequest::new(url.clone()).with_header(header.0, header.1);
        let mut frame = Vec::new();
        sent.encode(&mut frame).unwrap();
        // Past the type and the length of the frame.
        let section = &frame[1 + (1 << (frame[1] >> 6))..];
        let fields = decode(section, ROOM).unwrap();
        prop_assert!(fields.contains(&(":path".into(), url.path().into())), "{fields:?}");
        prop_assert!(fields.contains(&(name, value)), "{fields:?}");
    }
}
