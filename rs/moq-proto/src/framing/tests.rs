use proptest::prelude::*;

use super::*;
use crate::arbitrary;

const ALL: [Framing; 2] = [Framing::Sized, Framing::Timed];

fn written(framing: Framing, head: FrameHead) -> bytes::Bytes {
    let mut writer = Writer::new();
    framing.write_head(head, &mut writer);
    writer.into_bytes()
}

#[test]
fn a_head_is_read_once_all_of_it_is_there() {
    let head = FrameHead { delta: Some(-33), size: 500 };
    let bytes = written(Framing::Timed, head);
    assert_eq!(bytes[..], [0x40, 0x41, 0x41, 0xf4]);
    for arrived in 0..bytes.len() {
        assert_eq!(Framing::Timed.read_head(&bytes[..arrived]), Ok(None));
    }
    assert_eq!(Framing::Timed.read_head(&[&bytes[..], b"payload"].concat()), Ok(Some((head, bytes.len()))));
}

#[test]
fn deltas_are_left_out_where_there_is_no_place_and_zero_where_there_is_none() {
    assert_eq!(written(Framing::Sized, FrameHead { delta: Some(7), size: 2 })[..], [2]);
    assert_eq!(written(Framing::Timed, FrameHead { delta: None, size: 2 })[..], [0, 2]);
}

#[test]
fn numbers_beyond_the_wire_are_written_as_the_nearest() {
    for (delta, nearest) in [(i64::MAX, (1 << 61) - 1), (i64::MIN, -(1 << 61))] {
        let bytes = written(Framing::Timed, FrameHead { delta: Some(delta), size: u64::MAX });
        let expected = FrameHead { delta: Some(nearest), size: VarInt::MAX.get() };
        assert_eq!(Framing::Timed.read_head(&bytes), Ok(Some((expected, Framing::HEAD_MAX))));
    }
}

proptest! {
    #[test]
    fn a_head_survives_its_wire(
        (framing, head) in prop::sample::select(&ALL[..]).prop_flat_map(|f| (Just(f), arbitrary::frame_head(f))),
    ) {
        let bytes = written(framing, head);
        prop_assert!(bytes.len() <= Framing::HEAD_MAX);
        prop_assert_eq!(framing.read_head(&bytes), Ok(Some((head, bytes.len()))));
    }
}
