use base64::Engine;

use super::*;
use crate::{KEY_BYTES_MAX, base64url};

const SECRET: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

fn read(json: &str) -> Result<Key, KeyError> {
    Key::from_text(json)
}

/// `key`'s JSON with one member put in or, for `null`, taken out.
fn with(key: &Key, member: &str, value: serde_json::Value) -> String {
    let mut json: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&key.to_json()).unwrap();
    match value {
        serde_json::Value::Null => json.remove(member),
        value => json.insert(member.to_owned(), value),
    };
    serde_json::to_string(&json).unwrap()
}

fn new(algorithm: Algorithm) -> Key {
    Key::generate(algorithm, Some("k1".parse().unwrap()), None).unwrap()
}

#[test]
fn every_key_reads_back_from_both_spellings() {
    for algorithm in Algorithm::ALL {
        let scope = Scope { root: "room".parse().unwrap(), publish: vec!["a%b".parse().unwrap()], subscribe: vec![] };
        let key = Key::generate(algorithm, Some("k1".parse().unwrap()), Some(scope)).unwrap();
        let public = key.public();
        for key in [Some(&key), public.as_ref()].into_iter().flatten() {
            for text in [key.to_json(), key.to_base64url()] {
                let again = read(&format!("\n {} \n", &*text)).unwrap();
                assert_eq!(again.to_json(), key.to_json(), "{algorithm}");
                assert_eq!((again.scope(), again.can_sign()), (key.scope(), key.can_sign()), "{algorithm}");
                assert!(again.verifies_as(key), "{algorithm}");
            }
        }
        assert_eq!(public.is_none(), key.is_shared_secret());
    }
}

#[test]
fn a_key_is_printed_without_what_is_secret() {
    for algorithm in Algorithm::ALL {
        let key = new(algorithm);
        let printed = format!("{key:?} {:?} {:?}", key.material(), key.material().public());
        let json: serde_json::Value = serde_json::from_str(&key.to_json()).unwrap();
        for member in ["k", "d", "p", "q", "dp", "dq", "qi"] {
            let Some(secret) = json[member].as_str() else { continue };
            let bytes = base64url::ENGINE.decode(secret).unwrap();
            assert!(!printed.contains(secret) && !printed.contains(&format!("{bytes:?}")), "{algorithm} {member}");
            assert!(key.public().is_none_or(|public| !public.to_json().contains(secret)), "{algorithm} {member}");
        }
    }
}

#[test]
fn the_oldest_key_files_have_no_kty() {
    let key = read(&format!(r#"{{"alg":"HS256","key_ops":["verify","sign"],"k":"{SECRET}"}}"#)).unwrap();

    assert_eq!((key.algorithm(), key.can_sign(), key.can_verify(), key.id()), (Algorithm::HS256, true, true, None));
    assert_eq!(read(&with(&new(Algorithm::ES256), "kty", serde_json::Value::Null)).unwrap_err(), KeyError::Missing("kty"));
}

#[test]
fn padding_is_read_and_not_written() {
    let key = read(&format!(r#"{{"kty":"oct","alg":"HS512","k":"{SECRET}=="}}"#)).unwrap();

    assert!(key.to_json().contains(&format!(r#""{SECRET}""#)));
}

#[test]
fn what_a_key_is_for_is_respected() {
    let key = new(Algorithm::EdDSA);
    let allowed = |text: String| read(&text).map(|key| (key.can_sign(), key.can_verify()));

    assert_eq!(allowed(with(&key, "key_ops", serde_json::Value::Null)).unwrap(), (true, true));
    assert_eq!(allowed(with(&key, "key_ops", ["sign"].as_slice().into())).unwrap(), (true, false));
    assert_eq!(allowed(with(&key, "key_ops", ["verify", "encrypt"].as_slice().into())).unwrap(), (false, true));
    assert_eq!(allowed(with(&key, "use", "sig".into())).unwrap(), (true, true));
    assert!(matches!(allowed(with(&key, "use", "enc".into())), Err(KeyError::Unsupported { member: "use", .. })));
    assert!(matches!(
        allowed(with(&key, "key_ops", ["encrypt"].as_slice().into())),
        Err(KeyError::Unsupported { member: "key_ops", .. })
    ));

    let verifying = read(&with(&key, "key_ops", ["verify"].as_slice().into())).unwrap();
    let claims = Claims { publish: vec![Default::default()], ..Claims::default() };
    assert_eq!(verifying.sign(&claims), Err(SignError::Operation));
    assert_eq!(key.public().unwrap().sign(&claims), Err(SignError::Public));
}

#[test]
fn kind_algorithm_and_curve_go_together() {
    let mismatch = |text: String| matches!(read(&text), Err(KeyError::Mismatch { .. }));

    assert!(mismatch(with(&new(Algorithm::HS256), "kty", "RSA".into())));
    assert!(mismatch(with(&new(Algorithm::RS256), "alg", "HS256".into())));
    assert!(mismatch(with(&new(Algorithm::RS256), "alg", "ES256".into())));
    assert!(mismatch(with(&new(Algorithm::ES256), "alg", "ES384".into())));
    assert!(mismatch(with(&new(Algorithm::ES256), "crv", "secp256k1".into())));
    assert!(mismatch(with(&new(Algorithm::EdDSA), "crv", "X25519".into())));
    assert!(read(&with(&new(Algorithm::RS256), "alg", "PS512".into())).is_ok());
    for alg in ["none", "HS1", "RSA-OAEP", "ES512", "ES256K"] {
        let foreign = read(&with(&new(Algorithm::HS256), "alg", alg.into()));
        assert!(matches!(foreign, Err(KeyError::Unsupported { member: "alg", .. })), "{alg}");
    }
}

#[test]
fn numbers_of_another_kind_of_key_make_two_readings_and_are_refused() {
    for (algorithm, member) in [
        (Algorithm::RS256, "k"),
        (Algorithm::ES256, "k"),
        (Algorithm::EdDSA, "y"),
        (Algorithm::HS256, "n"),
        (Algorithm::HS256, "d"),
        (Algorithm::HS256, "crv"),
        (Algorithm::RS256, "oth"),
    ] {
        let text = with(&new(algorithm), member, SECRET.into());
        assert_eq!(read(&text).unwrap_err(), KeyError::Misplaced(member), "{algorithm}");
    }
    assert!(matches!(read(r#"{"alg":"HS256","alg":"HS512","k":""}"#), Err(KeyError::Json(_))));
}

#[test]
fn weak_keys_are_refused() {
    let secret = |bytes: usize| base64url::ENGINE.encode(vec![7; bytes]);
    let oct = |bytes| read(&format!(r#"{{"kty":"oct","alg":"HS256","k":"{}"}}"#, secret(bytes))).map(drop);
    assert_eq!(oct(31), Err(KeyError::ShortSecret { size: 31, min: 32 }));
    assert_eq!(oct(32), Ok(()));

    let rsa = new(Algorithm::RS256).public().unwrap();
    let modulus = |bytes: usize| read(&with(&rsa, "n", base64url::ENGINE.encode(vec![0xff; bytes]).into())).map(drop);
    assert_eq!(modulus(255), Err(KeyError::Modulus { bits: 2040, min: 2048, max: 8192 }));
    assert_eq!(modulus(1025), Err(KeyError::Modulus { bits: 8200, min: 2048, max: 8192 }));
    assert_eq!(modulus(256), Ok(()));
    for exponent in [&[3][..], &[1, 0, 0], &[2, 0, 0, 0, 1], &[], &[0xff; 9]] {
        let text = with(&rsa, "e", base64url::ENGINE.encode(exponent).into());
        assert!(matches!(read(&text), Err(KeyError::Exponent { .. })), "{exponent:?}");
    }
}

#[test]
fn numbers_that_are_no_key_together_are_refused() {
    let other = |algorithm, member: &str| -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(&new(algorithm).to_json()).unwrap()[member].clone()
    };
    for (algorithm, member) in [
        (Algorithm::RS256, "d"),
        (Algorithm::RS256, "qi"),
        (Algorithm::PS256, "n"),
        (Algorithm::ES256, "d"),
        (Algorithm::ES384, "x"),
        (Algorithm::EdDSA, "x"),
    ] {
        let text = with(&new(algorithm), member, other(algorithm, member));
        assert_eq!(read(&text).unwrap_err(), KeyError::Inconsistent, "{algorithm} {member}");
    }
    // A point beside the curve, of the right size and of the wrong one.
    let public = new(Algorithm::ES256).public().unwrap();
    for x in [vec![1; 32], vec![1; 31], vec![]] {
        let text = with(&public, "x", base64url::ENGINE.encode(x).into());
        assert_eq!(read(&text).unwrap_err(), KeyError::Inconsistent);
    }
    for (algorithm, member) in [(Algorithm::RS256, "p"), (Algorithm::ES256, "y"), (Algorithm::HS256, "k")] {
        let text = with(&new(algorithm), member, serde_json::Value::Null);
        assert!(matches!(read(&text), Err(KeyError::Missing(_))), "{algorithm}");
    }
}

#[test]
fn what_is_no_key_file_says_so() {
    assert_eq!(read("-----BEGIN PRIVATE KEY-----\nMC4").unwrap_err(), KeyError::Pem);
    assert_eq!(read("hello, world").unwrap_err(), KeyError::NotBase64);
    assert!(matches!(read("aGVsbG8"), Err(KeyError::Json(_))));
    assert!(matches!(read(""), Err(KeyError::Json(_))));
    assert!(matches!(read(&"A".repeat(KEY_BYTES_MAX + 1)), Err(KeyError::TooLarge { .. })));
    let broken = read(&format!(r#"{{"kty":"oct","alg":"HS256","k":"{SECRET}!"}}"#)).unwrap_err();
    assert!(!broken.to_string().contains(&SECRET[..8]), "{broken}");
}

#[test]
fn a_token_that_allows_nothing_or_too_much_is_not_signed() {
    let scope = Scope { root: "room".parse().unwrap(), publish: vec![], subscribe: vec![Default::default()] };
    let key = Key::generate(Algorithm::HS256, None, Some(scope)).unwrap();

    assert_eq!(key.sign(&Claims::default()), Err(SignError::Useless));
    let everything = Claims { publish: vec![Default::default()], ..Claims::default() };
    assert!(matches!(key.sign(&everything), Err(SignError::Scope(_))));
    let long = "x".repeat(4000).parse().unwrap();
    let long = Claims { root: "room".parse().unwrap(), subscribe: vec![long; 2], ..Claims::default() };
    assert!(matches!(key.sign(&long), Err(SignError::TooLong { .. })));
}
