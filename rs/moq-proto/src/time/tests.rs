use proptest::prelude::*;

use super::*;
use crate::arbitrary;

fn at(units: u64) -> Timestamp {
    Timestamp::try_from(units).unwrap()
}

fn scale(units: u64) -> Timescale {
    Timescale::try_from(units).unwrap()
}

#[test]
fn timestamps_convert_through_their_timescale() {
    for (units, per_second, duration) in [
        (0, 1000, Duration::ZERO),
        (1000, 1000, Duration::from_secs(1)),
        (1, 1000, Duration::from_millis(1)),
        (90_000 * 3600, 90_000, Duration::from_secs(3600)),
        (1, 90_000, Duration::from_nanos(11_111)),
        (5, 1, Duration::from_secs(5)),
    ] {
        assert_eq!(at(units).to_duration(scale(per_second)), duration, "{units} of {per_second}");
    }
    assert_eq!(Timestamp::from_duration(Duration::from_millis(1500), scale(90_000)), at(135_000));
    assert_eq!(Timestamp::from_duration(Duration::MAX, scale(VarInt::MAX.get())), Timestamp::MAX);
    assert_eq!(Timestamp::from_duration(Duration::MAX, Timescale::MILLIS), Timestamp::MAX);
}

#[test]
fn a_timescale_of_zero_is_refused() {
    assert_eq!(Timescale::try_from(0), Err(TimescaleError::Zero));
    assert!(Timescale::try_from(u64::MAX).is_err());
    assert_eq!(scale(1000), Timescale::MILLIS);
}

#[test]
fn timestamps_stay_within_their_range() {
    assert_eq!(at(5).checked_add(-5), Some(Timestamp::ZERO));
    assert_eq!(at(5).checked_add(-6), None);
    assert_eq!(Timestamp::MAX.checked_add(1), None);
    assert_eq!(Timestamp::MAX.checked_add(i64::MAX), None);
    assert_eq!(Timestamp::ZERO.checked_add(i64::MIN), None);
    assert!(Timestamp::try_from(1 << 61).is_err());
}

proptest! {
    #[test]
    fn adding_the_difference_leads_to_the_other(one in arbitrary::timestamp(), other in arbitrary::timestamp()) {
        prop_assert_eq!(one.checked_add(other.since(one)), Some(other));
    }

    #[test]
    fn whole_milliseconds_survive_a_conversion(millis in 0..u64::from(u32::MAX)) {
        let moment = at(millis);
        prop_assert_eq!(Timestamp::from_duration(moment.to_duration(Timescale::MILLIS), Timescale::MILLIS), moment);
    }

    #[test]
    fn no_conversion_can_panic(moment in arbitrary::timestamp(), scale in arbitrary::timescale()) {
        let _ = Timestamp::from_duration(moment.to_duration(scale), scale);
    }
}
