//! Principals: on whose behalf somebody who was let in publishes.
//!
//! Two sessions of one principal are the same publisher, come back or connected twice; those of different principals do not
//! displace each other. Each kind of principal starts with a word of its own, so that none can pass for another.

use moq_lite::model::origin::Principal;
use moq_token::Verified;

use super::remote::Given;
use crate::{options::Whom, secret::Secret};

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

/// Whoever the server of `auth.url` let in: whom it names, else whoever shows the same token. `None`: it says it is a relay of the
/// cluster.
pub(super) fn of_given(given: &Given, token: Option<&Secret>) -> Option<Principal> {
    if given.is_relay {
        return None;
    }
    match (&given.verified, &given.subject, token) {
        (Some((verified, _)), ..) => of_token(verified),
        (None, Some(subject), _) => Some(Principal::new(&[b"given-subject", subject.as_bytes()].concat())),
        (None, None, Some(token)) => Some(Principal::new(&[b"given-token", token.expose().as_bytes()].concat())),
        (None, None, None) => Some(public()),
    }
}

#[cfg(test)]
mod tests {
    use moq_token::Claims;

    use super::*;
    use crate::auth::testing::{at, claims, key, verifier};

    #[test]
    fn whom_a_server_lets_in_is_whom_it_names_or_who_shows_the_same_token() {
        let grant = moq_token::Grant { root: Default::default(), publish: vec![], subscribe: vec![], expires: None };
        let given = |subject: Option<&str>, is_relay| Given {
            grant: grant.clone(),
            again: None,
            verified: None,
            subject: subject.map(str::to_owned),
            is_relay,
        };
        let of = |given: &Given, token: Option<&str>| of_given(given, token.map(Secret::new).as_ref());

        assert_eq!(of(&given(Some("alice"), false), Some("x")), of(&given(Some("alice"), false), Some("y")));
        assert_ne!(of(&given(Some("alice"), false), Some("x")), of(&given(None, false), Some("alice")));
        assert_ne!(of(&given(None, false), Some("x")), of(&given(None, false), Some("y")));
        assert_eq!((of(&given(None, false), None), of(&given(None, true), Some("x"))), (Some(public()), None));
    }

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
