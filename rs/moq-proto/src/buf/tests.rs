use proptest::{collection::vec, prelude::*};

use super::*;
use crate::arbitrary;

fn bytes(write: impl FnOnce(&mut Writer) -> &mut Writer) -> Bytes {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.into_bytes()
}

#[test]
fn integers_are_read_in_every_size() {
    for wire in [&[0x25][..], &[0x40, 0x25], &[0x80, 0, 0, 0x25], &[0xc0, 0, 0, 0, 0, 0, 0, 0x25]] {
        let mut reader = Reader::new(wire);
        assert_eq!(reader.varint(), Ok(VarInt::from_u32(37)));
        assert_eq!(reader.finish(), Ok(()));
        for cut in 0..wire.len() {
            let missing = (wire.len() - cut) as u64;
            let missing = if cut == 0 { 1 } else { missing };
            assert_eq!(Reader::new(&wire[..cut]).varint(), Err(DecodeError::Short { missing }));
        }
    }
}

#[test]
fn a_message_that_ends_inside_a_field_is_refused() {
    assert_eq!(Reader::new(&[]).u8(), Err(DecodeError::Short { missing: 1 }));
    assert_eq!(Reader::new(&[1]).u16(), Err(DecodeError::Short { missing: 1 }));
    assert_eq!(Reader::new(&[5, b'a']).string(), Err(DecodeError::Short { missing: 4 }));
    let endless = bytes(|w| w.varint(VarInt::MAX));
    assert_eq!(Reader::new(&endless).string(), Err(DecodeError::Short { missing: VarInt::MAX.get() }));
}

#[test]
fn a_number_of_items_that_cannot_be_there_is_refused_at_once() {
    assert_eq!(Reader::new(&[2, 0, 0]).count("things", 2), Ok(2));
    assert_eq!(Reader::new(&[3, 0, 0]).count("things", 3), Err(DecodeError::Short { missing: 1 }));
    assert_eq!(Reader::new(&[3, 0, 0]).count("things", 2), Err(DecodeError::TooMany { what: "things", count: 3, max: 2 }));
}

#[test]
fn booleans_text_and_leftovers_are_strict() {
    assert_eq!(Reader::new(&[2]).bool("ordered"), Err(DecodeError::Invalid { field: "ordered", value: 2 }));
    assert_eq!(Reader::new(&[1, 0xff]).string(), Err(DecodeError::Utf8));
    assert_eq!(Reader::new(&[0, 0]).finish(), Err(DecodeError::Leftover { count: 2 }));
    let deep = bytes(|w| w.string(&["a"; 33].join("/")));
    assert_eq!(Reader::new(&deep).path(), Err(PathError::TooDeep { count: 33, max: 32 }.into()));
}

#[test]
fn the_largest_integer_has_no_spelling_as_an_option() {
    let wire = bytes(|w| w.opt(Some(VarInt::MAX)));
    assert_eq!(Reader::new(&wire).opt(), Ok(Some(VarInt::saturating(VarInt::MAX.get() - 1))));
}

#[test]
fn a_prefix_waits_for_bytes_and_never_for_more_than_its_limit() {
    let wire = bytes(|w| w.varint(VarInt::from_u32(0x20)).u16(300));
    for arrived in 0..wire.len() {
        let mut prefix = Prefix::new(&wire[..arrived]);
        assert_eq!(prefix.varint().and_then(|_| prefix.u16()), Err(PrefixError::Short));
    }
    let mut prefix = Prefix::new(&wire);
    assert_eq!((prefix.varint(), prefix.u16()), (Ok(VarInt::from_u32(0x20)), Ok(300)));
    assert_eq!(prefix.consumed(), wire.len());

    let endless = [0xff; 100];
    let mut prefix = Prefix::new(&endless);
    assert!((0..8).all(|_| prefix.varint().is_ok()));
    let too_long = DecodeError::TooLong { what: "stream head", size: 100, max: 64 };
    assert_eq!(prefix.varint(), Err(too_long.into()));
    assert_eq!(prefix.consumed(), Prefix::MAX);
}

proptest! {
    #[test]
    fn integers_survive_in_their_shortest_spelling(value in arbitrary::varint()) {
        let wire = bytes(|w| w.varint(value));
        prop_assert_eq!(wire.len(), value.size());
        prop_assert_eq!(Reader::new(&wire).varint(), Ok(value));
        prop_assert!(wire.len() == 1 || value.get() >= 1 << (8 * wire.len() / 2 - 2), "a shorter spelling exists");
    }

    #[test]
    fn signed_integers_survive(value in -(1i64 << 61)..1 << 61) {
        prop_assert_eq!(VarInt::from_signed(value).to_signed(), value);
    }

    #[test]
    fn options_survive(value in arbitrary::opt()) {
        let wire = bytes(|w| w.opt(value));
        prop_assert_eq!(Reader::new(&wire).opt(), Ok(value));
    }

    #[test]
    fn more_bytes_never_change_what_a_prefix_read(wire in vec(any::<u8>(), 0..100), fields in 1..10usize) {
        let read = |arrived: &[u8]| {
            let mut prefix = Prefix::new(arrived);
            (0..fields).map(|_| prefix.varint()).collect::<Result<Vec<_>, _>>().map(|values| (values, prefix.consumed()))
        };
        let mut known = None;
        for arrived in 0..=wire.len() {
            match (read(&wire[..arrived]), &known) {
                (Err(PrefixError::Short), None) => prop_assert!(arrived < Prefix::MAX),
                (Err(PrefixError::Invalid(_)), None) => prop_assert!(arrived >= Prefix::MAX),
                (Ok(head), None) => known = Some(head),
                (Ok(head), Some(before)) => prop_assert_eq!(&head, before),
                (Err(error), Some(before)) => prop_assert!(false, "{before:?} became {error}"),
            }
        }
    }
}
