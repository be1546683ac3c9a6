use super::*;
use crate::{Algorithm, Scope};

const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn key(algorithm: Algorithm, id: &str) -> Key {
    Key::generate(algorithm, Some(id.parse().unwrap()), None).unwrap()
}

fn verifier(keys: impl IntoIterator<Item = Key>) -> Verifier {
    Verifier::new(KeySet::try_from_iter(keys).unwrap(), Policy::default(), Revoked::default())
}

fn claims() -> Claims {
    Claims { root: "demo".parse().unwrap(), subscribe: vec![Default::default()], ..Claims::default() }
}

/// The code of the refusal, or `good`.
fn verdict(verifier: &Verifier, token: &str, now: u64) -> &'static str {
    verifier.verify(token, at(now)).map_or_else(|refused| refused.code(), |_| "good")
}

#[test]
fn a_token_of_every_algorithm_verifies_with_its_public_part() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm, "k1");
        let claims = Claims { expires: Some(at(NOW + 60)), id: Some("t".to_owned()), ..claims() };
        let token = key.sign(&claims).unwrap();

        let verified = verifier([key.public().unwrap_or(key)]).verify(&token, at(NOW)).unwrap();

        assert_eq!((verified.claims(), verified.key().algorithm()), (&claims, algorithm));
        assert_eq!(verified.key().is_private(), verified.key().is_shared_secret());
    }
}

#[test]
fn a_token_is_good_in_its_time() {
    let key = key(Algorithm::HS256, "k1");
    let verifier = verifier([key.clone()]);
    let sign = |claims| key.sign(&claims).unwrap();

    // Expiry is exact; the beginning allows for a clock that is five seconds ahead.
    let expiring = sign(Claims { expires: Some(at(NOW)), ..claims() });
    let starting = sign(Claims { not_before: Some(at(NOW)), ..claims() });
    let issued = sign(Claims { issued: Some(at(NOW)), ..claims() });
    for (token, now, expected) in [
        (&expiring, NOW - 1, "good"),
        (&expiring, NOW, "expired"),
        (&expiring, NOW + 1, "expired"),
        (&starting, NOW - 6, "not-yet"),
        (&starting, NOW - 5, "good"),
        (&issued, NOW - 6, "issued-later"),
        (&issued, NOW - 5, "good"),
        (&issued, u64::from(u32::MAX), "good"),
    ] {
        assert_eq!(verdict(&verifier, token, now), expected, "{token} at {now}");
    }
    let last_moment = at(NOW) - Duration::from_nanos(1);
    assert!(verifier.verify(&expiring, last_moment).is_ok());
}

#[test]
fn a_policy_asks_for_an_end() {
    let key = key(Algorithm::HS256, "k1");
    let keys = || KeySet::try_from_iter([key.clone()]).unwrap();
    let sign = |issued: Option<u64>, expires: Option<u64>| {
        key.sign(&Claims { issued: issued.map(at), expires: expires.map(at), ..claims() }).unwrap()
    };

    let ending = Verifier::new(keys(), Policy { require_expiry: true, ..Policy::default() }, Revoked::default());
    assert_eq!(verdict(&ending, &sign(None, None), NOW), "no-expiry");
    assert_eq!(verdict(&ending, &sign(None, Some(NOW + 1_000_000)), NOW), "good");

    let hour = Some(Duration::from_secs(3600));
    let short = Verifier::new(keys(), Policy { lifetime_max: hour, ..Policy::default() }, Revoked::default());
    for (issued, expires, expected) in [
        (None, None, "no-expiry"),
        (None, Some(NOW + 3600), "good"),
        (None, Some(NOW + 3601), "long-lived"),
        (Some(NOW - 600), Some(NOW + 3000), "good"),
        (Some(NOW - 600), Some(NOW + 3001), "long-lived"),
    ] {
        assert_eq!(verdict(&short, &sign(issued, expires), NOW), expected, "{issued:?} {expires:?}");
    }
}

#[test]
fn a_token_for_an_audience_is_for_no_other() {
    let key = key(Algorithm::HS256, "k1");
    let sign = |audience: &[&str]| {
        key.sign(&Claims { audience: audience.iter().map(ToString::to_string).collect(), ..claims() }).unwrap()
    };
    let named = |audience: Option<&str>| {
        let policy = Policy { audience: audience.map(str::to_owned), ..Policy::default() };
        Verifier::new(KeySet::try_from_iter([key.clone()]).unwrap(), policy, Revoked::default())
    };

    assert_eq!(verdict(&named(None), &sign(&[]), NOW), "good");
    assert_eq!(verdict(&named(None), &sign(&["relay"]), NOW), "audience");
    assert_eq!(verdict(&named(Some("relay")), &sign(&["mail", "relay"]), NOW), "good");
    assert_eq!(verdict(&named(Some("relay")), &sign(&["mail"]), NOW), "audience");
    assert_eq!(verdict(&named(Some("relay")), &sign(&[]), NOW), "good");
}

#[test]
fn a_policy_names_who_tokens_are_by() {
    let key = key(Algorithm::HS256, "k1");
    let by = |issuer: Option<&str>| key.sign(&Claims { issuer: issuer.map(str::to_owned), ..claims() }).unwrap();
    let policy = Policy { issuer: Some("us".into()), ..Policy::default() };
    let strict = Verifier::new(KeySet::try_from_iter([key.clone()]).unwrap(), policy, Revoked::default());

    assert_eq!(verdict(&strict, &by(Some("us")), NOW), "good");
    assert_eq!(verdict(&strict, &by(Some("them")), NOW), "issuer");
    assert_eq!(verdict(&strict, &by(None), NOW), "issuer");

    let other = self::key(Algorithm::HS256, "k2");
    let elsewhere = strict.with_keys(KeySet::try_from_iter([other.clone()]).unwrap());
    let by_other = |issuer: &str| other.sign(&Claims { issuer: Some(issuer.into()), ..claims() }).unwrap();
    assert_eq!(verdict(&elsewhere, &by(Some("us")), NOW), "signature");
    assert_eq!(verdict(&elsewhere, &by_other("us"), NOW), "good");
    assert_eq!(verdict(&elsewhere, &by_other("them"), NOW), "issuer");
}

#[test]
fn a_token_names_one_of_several_keys() {
    let [first, second] = [key(Algorithm::ES256, "a"), key(Algorithm::HS256, "b")];
    let both = verifier([first.clone(), second.clone()]);

    assert_eq!(verdict(&both, &first.sign(&claims()).unwrap(), NOW), "good");
    assert_eq!(verdict(&both, &second.sign(&claims()).unwrap(), NOW), "good");
    assert_eq!(verdict(&both, &key(Algorithm::HS256, "c").sign(&claims()).unwrap(), NOW), "unknown-key");
    assert_eq!(verdict(&both, &key(Algorithm::HS256, "b").sign(&claims()).unwrap(), NOW), "signature");
    assert_eq!(verdict(&both, &key(Algorithm::HS256, "a").sign(&claims()).unwrap(), NOW), "wrong-algorithm");
    let unnamed = Key::generate(Algorithm::HS256, None, None).unwrap();
    assert_eq!(verdict(&both, &unnamed.sign(&claims()).unwrap(), NOW), "no-key-id");
    assert_eq!(verdict(&Verifier::default(), &unnamed.sign(&claims()).unwrap(), NOW), "unknown-key");
}

#[test]
fn keys_without_a_name_are_tried_in_turn() {
    let keys: Vec<_> = (0..3).map(|_| Key::generate(Algorithm::HS256, None, None).unwrap()).collect();
    let verifier = verifier(keys.clone());

    for key in &keys {
        assert_eq!(verdict(&verifier, &key.sign(&claims()).unwrap(), NOW), "good");
    }
}

#[test]
fn a_key_that_may_only_sign_verifies_nothing() {
    let key = key(Algorithm::HS256, "k1");
    let only = Key::from_text(&key.to_json().replace(r#","verify""#, "")).unwrap();

    assert!(only.can_sign() && !only.can_verify());
    assert_eq!(verdict(&verifier([only.clone()]), &only.sign(&claims()).unwrap(), NOW), "signature");
}

/// The same key, as a file that lets it allow no more than to subscribe below `room`.
fn scoped_to_room(key: &Key) -> Key {
    let json: serde_json::Value = serde_json::from_str(&key.to_json()).unwrap();
    let mut json = json.as_object().unwrap().clone();
    json.insert("scope".to_owned(), serde_json::json!({ "root": "room", "get": [""] }));
    Key::from_text(&serde_json::to_string(&json).unwrap()).unwrap()
}

#[test]
fn the_scope_of_a_key_binds_those_who_got_around_it() {
    let free = key(Algorithm::HS256, "k1");
    let scope = Scope { root: "room".parse().unwrap(), publish: vec![], subscribe: vec![Default::default()] };
    let scoped = scoped_to_room(&free);

    assert_eq!(scoped.scope(), Some(&scope));
    assert_eq!(verdict(&verifier([scoped.clone()]), &free.sign(&claims()).unwrap(), NOW), "scope");
    let within = Claims { root: "room/alice".parse().unwrap(), ..claims() };
    assert_eq!(verdict(&verifier([scoped]), &free.sign(&within).unwrap(), NOW), "good");
}

#[test]
fn a_token_that_allows_nothing_is_useless() {
    let key = key(Algorithm::HS256, "k1");
    let header = crate::Header { algorithm: Algorithm::HS256, key: None };
    let message = crate::token::message(&header, &Claims::default());
    let token = format!("{message}.{}", key.signature(message.as_bytes()).unwrap());

    assert_eq!(verdict(&verifier([key]), &token, NOW), "useless");
}

#[test]
fn what_is_revoked_is_refused() {
    let key = key(Algorithm::HS256, "k1");
    let with = |rules: &str| {
        let keys = KeySet::try_from_iter([key.clone()]).unwrap();
        Verifier::new(keys, Policy::default(), Revoked::from_text(rules).unwrap())
    };
    let (id, subject) = (Some("t1".to_owned()), Some("alice".to_owned()));
    let token = key.sign(&Claims { id, subject, issued: Some(at(NOW - 60)), ..claims() }).unwrap();
    let undated = key.sign(&claims()).unwrap();

    for (rules, dated, other) in [
        ("", "good", "good"),
        ("jti t1", "revoked", "good"),
        ("jti t2", "good", "good"),
        ("sub alice", "revoked", "good"),
        ("kid k1", "revoked", "revoked"),
        ("kid k2", "good", "good"),
        // `NOW` is 2027-01-15T08:00:00Z.
        ("issued-before 2027-01-15T07:59:00Z", "good", "revoked"),
        ("issued-before 2027-01-15T07:59:01Z", "revoked", "revoked"),
    ] {
        assert_eq!(verdict(&with(rules), &token, NOW), dated, "{rules}");
        assert_eq!(verdict(&with(rules), &undated, NOW), other, "{rules}");
    }
}

#[test]
fn a_revoked_key_does_not_hide_behind_another_name() {
    let named = key(Algorithm::HS256, "old");
    let unnamed = Key::from_text(&named.to_json().replace(r#""kid":"old","#, "")).unwrap();
    let revoked = Revoked::from_text("kid old").unwrap();
    let verifier = Verifier::new(KeySet::try_from_iter([unnamed]).unwrap(), Policy::default(), revoked);

    assert_eq!(verdict(&verifier, &named.sign(&claims()).unwrap(), NOW), "revoked");
}

#[test]
fn a_right_ends_when_its_ground_is_gone() {
    let key = key(Algorithm::ES256, "k1");
    let token = key.sign(&Claims { expires: Some(at(NOW + 60)), id: Some("t1".to_owned()), ..claims() }).unwrap();
    let before = verifier([key.clone()]);
    let verified = before.verify(&token, at(NOW)).unwrap();
    let with = |keys: Vec<Key>, rules: &str| {
        let keys = KeySet::try_from_iter(keys).unwrap();
        let verifier = Verifier::new(keys, Policy::default(), Revoked::from_text(rules).unwrap());
        verifier.again(&verified, at(NOW)).map_err(|refused| refused.code())
    };
    let same_name = Key::generate(Algorithm::ES256, Some("k1".parse().unwrap()), None).unwrap();

    assert_eq!(with(vec![key.clone()], ""), Ok(()));
    assert_eq!(with(vec![same_name.clone()], ""), Err("unknown-key"));
    assert_eq!(with(vec![], ""), Err("unknown-key"));
    assert_eq!(with(vec![key], "jti t1"), Err("revoked"));
    assert!(before.again(&verified, at(NOW + 59)).is_ok());
    assert_eq!(before.again(&verified, at(NOW + 60)), Err(Refused::Expired(Utc(at(NOW + 60)))));
}

#[test]
fn a_key_that_comes_back_with_a_narrower_scope_takes_back_what_it_allowed() {
    let key = key(Algorithm::HS256, "k1");
    let before = verifier([key.clone()]);
    let room = Claims { root: "room/alice".parse().unwrap(), ..claims() };
    let [outside, within] = [claims(), room].map(|claims| before.verify(&key.sign(&claims).unwrap(), at(NOW)).unwrap());

    let after = verifier([scoped_to_room(&key)]);

    assert_eq!(after.again(&outside, at(NOW)).map_err(|refused| refused.code()), Err("scope"));
    assert_eq!(after.again(&within, at(NOW)), Ok(()));
}

#[test]
fn a_verifier_shows_its_keys_without_their_private_parts() {
    let [one, other] = ["k1", "k2"].map(|id| key(Algorithm::ES256, id));
    let verifier = verifier([one, other]);

    let shown: Vec<_> = verifier.keys().iter().map(|key| (key.id().unwrap().to_string(), key.is_private())).collect();
    assert_eq!(shown, [("k1".to_owned(), false), ("k2".to_owned(), false)]);
}

#[test]
fn a_refusal_has_a_code_of_the_list() {
    let refusals = [
        Refused::TooLong { size: 1 },
        Refused::Malformed(""),
        Refused::Algorithm,
        Refused::EmbeddedKey(""),
        Refused::Extension(""),
        Refused::NoKeyId,
        Refused::UnknownKey,
        Refused::WrongAlgorithm { key: Algorithm::HS256, header: Algorithm::RS256 },
        Refused::Signature,
        Refused::Claims(crate::ClaimsError::Json(String::new())),
        Refused::Expired(Utc(at(0))),
        Refused::NotYet(Utc(at(0))),
        Refused::IssuedLater(Utc(at(0))),
        Refused::NoExpiry,
        Refused::LongLived { lifetime: 2, max: 1 },
        Refused::Audience,
        Refused::Issuer,
        Refused::Useless,
        Refused::Scope(String::new()),
        Refused::Revoked(""),
    ];

    // What stands in a token is looked at once its signature is known.
    let signed: Vec<_> = refusals.iter().map(Refused::is_signed).collect();
    assert!(signed.is_sorted() && signed.iter().filter(|is_signed| !**is_signed).count() == 9, "{signed:?}");
    assert_eq!(refusals.map(|refused| refused.code()), Refused::CODES);
}

#[test]
fn a_token_may_be_as_long_as_a_request_line_allows() {
    let key = key(Algorithm::HS256, "k1");
    let header = crate::Header { algorithm: Algorithm::HS256, key: None };
    // Three bytes more make four characters more.
    let token = |size: usize| {
        let claims = Claims { subject: Some("x".repeat(size)), ..claims() };
        let message = crate::token::message(&header, &claims);
        format!("{message}.{}", key.signature(message.as_bytes()).unwrap())
    };
    let size = (5900..6100).find(|size| token(*size).len() >= crate::TOKEN_BYTES_MAX).unwrap();
    let longest = token(size);

    assert_eq!(longest.len(), crate::TOKEN_BYTES_MAX);
    assert_eq!(verdict(&verifier([key.clone()]), &longest, NOW), "good");
    assert_eq!(verdict(&verifier([key.clone()]), &token(size + 3), NOW), "too-long");
}
