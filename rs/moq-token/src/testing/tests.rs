use std::collections::{BTreeMap, HashSet};

use super::*;
use crate::{Policy, Revoked, Verifier};

fn range() -> (Range, Verifier, SystemTime) {
    let now = SystemTime::now();
    let range = Range::new(now);
    let verifier = Verifier::new(range.trusted(), Policy::default(), Revoked::default());
    (range, verifier, now)
}

#[test]
fn no_forgery_is_accepted_and_every_honest_token_is() {
    let (range, verifier, now) = range();

    for later in [0, 60, 3599] {
        let now = now + Duration::from_secs(later);
        for Sample { name, token } in &range.honest {
            assert!(verifier.verify(token, now).is_ok(), "{name}");
        }
        for Sample { name, token } in &range.forged {
            assert!(verifier.verify(token, now).is_err(), "{name}");
        }
    }
}

#[test]
fn the_forgeries_are_many_and_of_every_kind() {
    let (range, verifier, now) = range();

    let mut reasons = BTreeMap::<_, usize>::new();
    for Sample { token, .. } in &range.forged {
        let refused = verifier.verify(token, now).unwrap_err();
        *reasons.entry(refused.code()).or_default() += 1;
    }

    assert!(range.forged.len() >= 1000, "{}", range.forged.len());
    let (mut names, mut tokens) = (HashSet::new(), HashSet::new());
    for Sample { name, token } in range.honest.iter().chain(&range.forged) {
        assert!(names.insert(name) && tokens.insert(token), "{name} is there twice");
    }
    // What depends on the policy of a relay, on its revocations or on the scopes of its keys is tested there.
    let depend = ["no-expiry", "long-lived", "issuer", "scope", "revoked"];
    let missing: Vec<_> =
        crate::Refused::CODES.iter().filter(|code| !reasons.contains_key(*code) && !depend.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?} of {reasons:?}");
}
