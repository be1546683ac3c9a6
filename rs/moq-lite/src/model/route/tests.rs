use super::*;

fn chain(hops: &[u64]) -> HopChain {
    HopChain::try_from_iter(hops.iter().map(|&hop| HopId::try_from(hop).unwrap())).unwrap()
}

fn route(hops: &[u64], cost: Cost) -> Route {
    Route { hops: chain(hops), cost, local: false }
}

#[test]
fn better_routes_rank_before_worse_ones() {
    let path = Path::new("room/alice").unwrap();
    let local_at_a_price = Route { cost: Cost::new(1, 1), ..Route::local() };
    // Each is better than the next, for the reason beside it.
    let order = [
        (Route::local(), "produced here, for nothing"),
        (route(&[7], Cost::LIVE), "for nothing"),
        (route(&[7, 8, 9], Cost::LIVE), "more hops, but cheaper while it flows"),
        (local_at_a_price, "produced here"),
        (route(&[7], Cost::new(1, 1)), "cheaper to start"),
        (route(&[7], Cost::new(1, 2)), "fewer hops"),
        (route(&[7, 8], Cost::new(1, 2)), "cheaper while it flows"),
        (route(&[7, 8], Cost::MAX), "every hop has a name"),
        (route(&[7, 0], Cost::LIVE), "the publisher comes directly"),
        (route(&[7, 0, 8], Cost::LIVE), "the last resort"),
    ];
    for (better, worse) in order.iter().zip(&order[1..]) {
        // Even when it is the older one.
        let ranks = (Rank::new(&path, &better.0, 1), Rank::new(&path, &worse.0, 2));
        assert!(ranks.0 < ranks.1, "{better:?} before {worse:?}");
    }
}

#[test]
fn of_equal_publishers_the_newest_wins() {
    let path = Path::new("room/alice").unwrap();
    for hops in [&[][..], &[7], &[7, 0], &[7, 8]] {
        let route = route(hops, Cost::LIVE);
        assert!(Rank::new(&path, &route, 2) < Rank::new(&path, &route, 1), "{hops:?}");
    }
    let (old, new) = (route(&[7], Cost::LIVE), route(&[6], Cost::LIVE));
    assert!(Rank::new(&path, &new, 2) < Rank::new(&path, &old, 1), "another publisher under the same path");
}

#[test]
fn all_relays_break_ties_alike() {
    let path = Path::new("room/alice").unwrap();
    // FNV-1a by hand, with its own start value.
    assert_eq!(tie_break(&Path::root(), &chain(&[])), 0x420C_0DEC_B00B);
    let one = (0x420C_0DEC_B00B_u64 ^ u64::from(b'a')).wrapping_mul(0x0100_0000_01b3);
    assert_eq!(tie_break(&Path::new("a").unwrap(), &chain(&[])), one);
    let hop = [2, 1, 0, 0, 0, 0, 0, 0].iter().fold(one, |hash, byte| (hash ^ byte).wrapping_mul(0x0100_0000_01b3));
    assert_eq!(tie_break(&Path::new("a").unwrap(), &chain(&[0x102])), hop);

    let (left, right) = (route(&[7, 8], Cost::LIVE), route(&[7, 9], Cost::LIVE));
    let expected = tie_break(&path, &left.hops).cmp(&tie_break(&path, &right.hops));
    for (first, second) in [(1, 2), (2, 1)] {
        let ranks = (Rank::new(&path, &left, first), Rank::new(&path, &right, second));
        assert_eq!(ranks.0.cmp(&ranks.1), expected, "whichever was announced first");
    }
}

#[test]
fn a_stamp_names_publishers_without_a_name_only() {
    let stamp = HopId::try_from(99).unwrap();
    let table: &[(&[u64], &[u64])] =
        &[(&[], &[99, 0]), (&[0], &[99, 0]), (&[0, 0, 5], &[99, 0, 0, 5]), (&[5], &[5]), (&[5, 0], &[5, 0])];
    for (received, stamped) in table {
        assert_eq!(Route::stamped(chain(received), stamp), Some(chain(stamped)), "{received:?}");
    }
    let full: Vec<u64> = (0..HopChain::MAX as u64).collect();
    assert_eq!(Route::stamped(chain(&full), stamp), None, "no room for a stamp");
    let full: Vec<u64> = (1..=HopChain::MAX as u64).collect();
    assert_eq!(Route::stamped(chain(&full), stamp), Some(chain(&full)), "no stamp needed");
}

#[test]
fn the_first_hop_that_has_a_name_is_the_publisher() {
    assert_eq!(route(&[5, 6], Cost::LIVE).publisher(), Some(HopId::try_from(5).unwrap()));
    assert_eq!(route(&[0, 6], Cost::LIVE).publisher(), None);
    assert_eq!(Route::local().publisher(), None);
}
