use super::*;

const KEY_EVEN: VarInt = VarInt::from_u32(2);
const KEY_ODD: VarInt = VarInt::from_u32(7);

fn body(wire: &Bytes) -> &[u8] {
    &wire[3..]
}

#[test]
fn a_client_setup_survives_its_wire() {
    let codes = [0xff0d_ad02, 0xff0d_ad01].map(VarInt::from_u32).to_vec();
    for path in [None, Some(String::new()), Some("/room?jwt=abc".into()), Some("p".repeat(PATH_MAX))] {
        let sent = ClientSetup { versions: codes.clone(), path };
        let wire = sent.to_wire();
        assert_eq!(wire[0], 0x20);
        assert_eq!(usize::from(u16::from_be_bytes([wire[1], wire[2]])), body(&wire).len());
        assert_eq!(ClientSetup::decode(body(&wire)), Ok(sent));
    }
}

#[test]
fn more_than_fits_is_not_written() {
    let sent = ClientSetup { versions: vec![VarInt::MAX; 1000], path: Some("p".repeat(PATH_MAX + 1)) };
    let read = ClientSetup::decode(body(&sent.to_wire())).unwrap();
    assert_eq!(read, ClientSetup { versions: vec![VarInt::MAX; VERSIONS_MAX], path: None });
}

#[test]
fn unknown_parameters_are_ignored_and_the_path_is_kept() {
    let mut writer = Writer::new();
    writer.length(0).length(4);
    writer.varint(KEY_EVEN).varint(VarInt::from_u32(42069));
    writer.varint(PATH).string("/room");
    writer.varint(KEY_ODD).string("moq-lite-js").varint(KEY_ODD).string("twice");
    let read = ClientSetup::decode(&writer.into_bytes());
    assert_eq!(read, Ok(ClientSetup { versions: Vec::new(), path: Some("/room".into()) }));
}

#[test]
fn parameters_may_be_written_in_the_older_way() {
    let mut writer = Writer::new();
    writer.length(0).length(3);
    writer.varint(KEY_EVEN).sized(&[63]);
    writer.varint(PATH).string("/room");
    writer.varint(VarInt::from_u32(5)).string("moq-lite-js");
    let read = ClientSetup::decode(&writer.into_bytes());
    assert_eq!(read, Ok(ClientSetup { versions: Vec::new(), path: Some("/room".into()) }));
}

#[test]
fn what_makes_no_sense_in_either_way_is_refused_for_what_it_is_in_the_newer() {
    let mut writer = Writer::new();
    writer.length(0).length(1).varint(KEY_EVEN).varint(VarInt::from_u32(9)).bytes(&[1, 2]);
    assert_eq!(ClientSetup::decode(&writer.into_bytes()), Err(DecodeError::Leftover { count: 2 }));
}

#[test]
fn garbage_is_refused() {
    let mut twice = Writer::new();
    twice.length(0).length(2).varint(PATH).string("a").varint(PATH).string("b");
    let mut long = Writer::new();
    long.length(0).length(1).varint(PATH).sized(&[b'p'; PATH_MAX + 1]);
    let mut text = Writer::new();
    text.length(0).length(1).varint(PATH).sized(&[0xff]);
    let mut versions = Writer::new();
    versions.length(VERSIONS_MAX + 1).bytes(&[0; 100]);
    let mut parameters = Writer::new();
    parameters.length(0).length(PARAMETERS_MAX + 1).bytes(&[0; 200]);
    for (bytes, error) in [
        (twice, DecodeError::Repeated { what: "parameter", id: 1 }),
        (long, DecodeError::TooLong { what: "path", size: 8193, max: 8192 }),
        (text, DecodeError::Utf8),
        (versions, DecodeError::TooMany { what: "versions", count: 65, max: 64 }),
        (parameters, DecodeError::TooMany { what: "parameters", count: 65, max: 64 }),
    ] {
        assert_eq!(ClientSetup::decode(&bytes.into_bytes()), Err(error));
    }
    assert_eq!(ServerSetup::decode(&[0, 0, 0]), Err(DecodeError::Leftover { count: 1 }));
    assert_eq!(ServerSetup::decode(&[0]), Err(DecodeError::Short { missing: 1 }));
}
