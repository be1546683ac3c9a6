use proptest::prelude::*;

use super::*;
use crate::arbitrary;

fn hop(id: u32) -> HopId {
    VarInt::from_u32(id).into()
}

#[test]
fn a_known_hop_stands_once_in_a_chain_and_the_unknown_as_often_as_it_likes() {
    let mut chain = HopChain::try_from(vec![hop(1), HopId::UNKNOWN, hop(2), HopId::UNKNOWN]).unwrap();
    assert_eq!(chain.push(hop(1)), Err(HopError::Repeated(hop(1))));
    assert_eq!(chain.iter().map(HopId::get).collect::<Vec<_>>(), [1, 0, 2, 0], "a refused hop changes nothing");
    assert_eq!((chain.first(), chain.last()), (Some(hop(1)), Some(HopId::UNKNOWN)));
    assert!(chain.contains(hop(2)));
    assert!(!chain.contains(hop(3)));
    assert!(!chain.contains(HopId::UNKNOWN), "the unknown is equal to nobody");
}

#[test]
fn a_chain_ends_at_its_limit() {
    let mut chain = HopChain::try_from_iter((1..=32).map(hop)).unwrap();
    assert_eq!(chain.push(hop(33)), Err(HopError::TooMany { max: 32 }));
    assert_eq!(chain.len(), HopChain::MAX);
}

#[test]
fn a_chain_is_anonymous_without_hops_or_with_an_unknown_one() {
    assert!(HopChain::new().is_anonymous());
    assert!(HopChain::try_from(vec![hop(1), HopId::UNKNOWN]).unwrap().is_anonymous());
    assert!(!HopChain::try_from(vec![hop(1), hop(2)]).unwrap().is_anonymous());
}

#[test]
fn costs_compare_warm_first_and_saturate() {
    assert!(Cost::new(1, 100) < Cost::new(2, 0));
    assert!(Cost::new(1, 1) < Cost::new(1, 2));
    assert!(Cost::LIVE < Cost::UNPRICED && Cost::UNPRICED < Cost::MAX);
    assert_eq!(Cost::new(1, 2).add(3), Cost::new(4, 5));
    assert_eq!(Cost::MAX.add(u64::MAX), Cost::MAX);
    assert_eq!(Cost::LIVE.add(u64::MAX), Cost::MAX);
}

proptest! {
    #[test]
    fn a_chain_is_what_it_was_made_of(chain in arbitrary::hop_chain()) {
        prop_assert_eq!(HopChain::try_from_iter(chain.iter()), Ok(chain.clone()));
        prop_assert!(chain.len() <= HopChain::MAX);
    }
}
