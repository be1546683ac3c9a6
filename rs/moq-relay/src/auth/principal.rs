//! Principals: on whose behalf somebody who was let in publishes.
//!
//! Two sessions of one principal are the same publisher, come back or connected twice; those of different principals do not
//! displace each other. Each kind of principal starts with a word of its own, so that none can pass for another.

use moq_lite::model::origin::Principal;
use moq_token::Verified;

use crate::options::Whom;

/// All who come without a token, together: nothing tells them apart.
pub(super) fn public() -> Principal {
    Principal::new(b"public")
}

/// Whoever holds tokens of this key for this subject. `None`: it is a relay of the cluster, trusted with every name.
pub(super) fn of_token(verified: &Verified) -> Option<Principal> {
    let claims = verified.claims();
    if claims.cluster {
        return None;
    }
    let key = verified.key().thumbprint();
    let subject = claims.subject.as_deref();
    let kind: &[u8] = if subject.is_some() { b"subject" } else { b"key" };
    Some(Principal::new(&[kind, &key, subject.unwrap_or_default().as_bytes()].concat()))
}

/// Whoever holds certificates that this matches.
pub(super) fn of_certificate(whom: &Whom) -> Principal {
    Principal::new(&[b"certificate", whom.to_string().as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use moq_token::Claims;

    use super::*;
    use crate::auth::testing::{at, claims, key, verifier};

    #[test]
    fn principals_are_told_apart_by_key_and_subject() {
        let (one, other) = (key("a"), key("b"));
        let of = |key: &moq_token::Key, subject: Option<&str>, more: Claims| {
            let claims = Claims { subject: subject.map(str::to_owned), ..more };
            of_token(&verifier(&[key]).verify(&key.sign(&claims).unwrap(), at(0)).unwrap())
        };
        let later = || Claims { id: Some("another".into()), expires: Some(at(60)), ..claims() };

        let all = [
            of(&one, None, claims()),
            of(&one, Some(""), claims()),
            of(&one, Some("x"), claims()),
            of(&other, Some("x"), claims()),
        ];
        for (number, principal) in all.iter().enumerate() {
            assert!(principal.is_some() && *principal != Some(public()));
            assert_eq!(all.iter().filter(|same| *same == principal).count(), 1, "{number}");
        }
        assert_eq!(of(&one, Some("x"), later()), all[2], "another token, the same publisher");
        assert_eq!(of(&one, Some("x"), Claims { cluster: true, ..claims() }), None);
    }
}
