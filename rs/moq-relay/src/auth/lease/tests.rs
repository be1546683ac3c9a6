use futures::FutureExt as _;
use moq_token::{Claims, Key, Policy, Revoked};

use super::*;
use crate::auth::testing::{at, claims, key, set, verifier};

/// Why it has ended, if it has.
fn end(lease: &mut Lease) -> Option<&'static str> {
    lease.ended().now_or_never().map(|ended| ended.code())
}

fn take(leases: &Leases, key: &Key, claims: &Claims) -> Lease {
    leases.take(&key.sign(claims).unwrap(), at(0)).unwrap().1
}

#[test]
fn a_lease_ends_with_its_token() {
    let key = key("k");
    let leases = Leases::new(verifier(&[&key]));
    let mut short = take(&leases, &key, &Claims { expires: Some(at(60)), ..claims() });
    let mut long = take(&leases, &key, &Claims { expires: Some(at(61)), ..claims() });
    let mut endless = take(&leases, &key, &claims());

    assert_eq!(leases.expire(at(59)), []);
    assert_eq!(leases.expire(at(60)).len(), 1);

    assert_eq!((end(&mut short), end(&mut long), end(&mut endless)), (Some("expired"), None, None));
    assert_eq!(leases.count(), 2);
}

#[test]
fn a_clock_that_is_set_forward_ends_what_is_over_by_then() {
    let key = key("k");
    let leases = Leases::new(verifier(&[&key]));
    let mut lease = take(&leases, &key, &Claims { expires: Some(at(3600)), ..claims() });

    leases.expire(at(1));
    assert_eq!(end(&mut lease), None);
    leases.expire(at(1_000_000));
    assert_eq!(end(&mut lease), Some("expired"));
}

#[test]
fn a_removed_key_takes_its_leases_along() {
    let (old, new) = (key("old"), key("new"));
    let leases = Leases::new(verifier(&[&old, &new]));
    let (mut by_old, mut by_new) = (take(&leases, &old, &claims()), take(&leases, &new, &claims()));

    assert_eq!(leases.replace(verifier(&[&new]), at(1)).len(), 1);

    assert_eq!((end(&mut by_old), end(&mut by_new)), (Some("unknown-key"), None));
    assert!(leases.take(&old.sign(&claims()).unwrap(), at(1)).is_err());
}

#[test]
fn a_revoked_token_ends_and_others_of_its_key_go_on() {
    let key = key("k");
    let leases = Leases::new(verifier(&[&key]));
    let named = |id: &str| Claims { id: Some(id.into()), ..claims() };
    let (mut leaked, mut other) = (take(&leases, &key, &named("leaked")), take(&leases, &key, &named("other")));

    let revoked = Revoked::from_text("jti leaked").unwrap();
    leases.replace(Verifier::new(set(&[&key]), Policy::default(), revoked), at(1));

    assert_eq!((end(&mut leaked), end(&mut other)), (Some("revoked"), None));
}

#[test]
fn what_is_public_has_no_end() {
    assert_eq!(end(&mut Lease::public()), None);
}

#[test]
fn a_lease_given_back_leaves_nothing_behind() {
    let key = key("k");
    let leases = Leases::new(verifier(&[&key]));

    for _ in 0..100 {
        drop(take(&leases, &key, &Claims { expires: Some(at(60)), ..claims() }));
    }

    assert_eq!((leases.count(), leases.expire(at(60))), (0, vec![]));
}

#[test]
fn a_key_removed_while_its_token_was_judged_lets_nobody_stay() {
    let key = key("k");
    let leases = Leases::new(verifier(&[&key]));
    let token = key.sign(&claims()).unwrap();

    std::thread::scope(|threads| {
        let comers = threads.spawn(|| {
            let mut held = Vec::new();
            while let Ok((_, lease)) = leases.take(&token, at(0)) {
                held.push(lease);
            }
            held
        });
        leases.replace(Verifier::default(), at(0));
        let held = comers.join().unwrap();
        assert!(held.into_iter().all(|mut lease| end(&mut lease) == Some("unknown-key")));
    });
    assert_eq!(leases.count(), 0);
}
