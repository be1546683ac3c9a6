use super::*;
use crate::Algorithm;

fn key(id: Option<&str>) -> Key {
    Key::generate(Algorithm::EdDSA, id.map(|id| id.parse().unwrap()), None).unwrap()
}

fn header(id: Option<&str>) -> Header {
    Header { algorithm: Algorithm::EdDSA, key: id.map(|id| id.parse().unwrap()) }
}

/// The ids of the keys that may have signed a token with this key id.
fn candidates<'a>(set: &'a KeySet, id: Option<&str>) -> Result<Vec<Option<&'a str>>, Refused> {
    let keys = set.candidates(&header(id))?;
    Ok(keys.into_iter().map(|key| key.id().map(KeyId::as_str)).collect())
}

#[test]
fn a_set_reads_back() {
    let set = KeySet::try_from_iter([key(Some("a")), key(Some("b")), key(None)]).unwrap();

    let again = KeySet::from_text(&set.to_json()).unwrap();

    assert_eq!(again.to_json(), set.to_json());
    assert_eq!(again.len(), 3);
}

#[test]
fn a_single_key_is_a_set_of_one() {
    let key = key(Some("a"));

    for text in [key.to_json(), key.to_base64url()] {
        assert_eq!(KeySet::from_text(&text).unwrap().iter().next().unwrap().to_json(), key.to_json());
    }
}

#[test]
fn a_token_names_its_key() {
    let set = KeySet::try_from_iter([key(Some("a")), key(Some("b"))]).unwrap();

    assert_eq!(candidates(&set, Some("b")), Ok(vec![Some("b")]));
    assert_eq!(candidates(&set, Some("c")), Err(Refused::UnknownKey));
    assert_eq!(candidates(&set, None), Err(Refused::NoKeyId));
}

#[test]
fn keys_without_a_name_may_have_signed_anything() {
    let set = KeySet::try_from_iter([key(Some("a")), key(None), key(None)]).unwrap();

    assert_eq!(candidates(&set, Some("a")), Ok(vec![Some("a"), None, None]));
    assert_eq!(candidates(&set, Some("b")), Ok(vec![None, None]));
    assert_eq!(candidates(&set, None), Ok(vec![None, None]));
}

#[test]
fn the_only_key_may_have_signed_anything() {
    let set = KeySet::try_from_iter([key(Some("a"))]).unwrap();

    assert_eq!(candidates(&set, Some("b")), Ok(vec![Some("a")]));
    assert_eq!(candidates(&set, None), Ok(vec![Some("a")]));
    assert_eq!(candidates(&KeySet::default(), None), Err(Refused::UnknownKey));
}

#[test]
fn an_id_belongs_to_one_key() {
    let first = key(Some("a"));
    let mut set = KeySet::try_from_iter([first.clone()]).unwrap();

    set.add(first.public().unwrap()).unwrap();
    assert_eq!(set.len(), 1);
    assert_eq!(set.add(key(Some("a"))), Err(SetError::Duplicate("a".parse().unwrap())));
    let unnamed = key(None);
    set.add(unnamed.clone()).unwrap();
    set.add(unnamed).unwrap();
    assert_eq!(set.len(), 2);
}

#[test]
fn a_set_has_room_for_so_many() {
    let mut set = KeySet::default();
    for index in 0..KEYS_MAX {
        set.add(key(Some(&index.to_string()))).unwrap();
    }

    assert_eq!(set.add(key(Some("more"))), Err(SetError::Full { max: KEYS_MAX }));
}

#[test]
fn foreign_keys_are_left_out_and_broken_ones_are_not() {
    let good = key(Some("a")).public().unwrap().to_json().to_string();
    let set = |others: &str| KeySet::from_text(&format!(r#"{{"keys":[{others},{good}]}}"#));

    for foreign in [
        r#"{"kty":"RSA","alg":"RSA-OAEP","n":"AQAB","e":"AQAB"}"#,
        r#"{"kty":"EC","crv":"P-521","alg":"ES512","x":"AA","y":"AA"}"#,
        r#"{"kty":"oct","alg":"HS256","use":"enc","k":"AA"}"#,
    ] {
        assert_eq!(set(foreign).unwrap().len(), 1, "{foreign}");
        let alone = KeySet::from_text(&format!(r#"{{"keys":[{foreign}]}}"#));
        assert_eq!(alone.unwrap_err(), SetError::Empty);
    }
    for broken in [r#"{"kty":"oct","alg":"HS256","k":"AA"}"#, r#"{"kty":"OKP","alg":"EdDSA","crv":"Ed25519","x":"AA"}"#] {
        assert!(matches!(set(broken), Err(SetError::Key { index: 0, .. })), "{broken}");
    }
    assert!(matches!(KeySet::from_text(r#"{"keys":{}}"#), Err(SetError::Json(_))));
    assert!(matches!(KeySet::from_text(r#"{"keys":[],"keys":[]}"#), Err(SetError::Json(_))));
}

#[test]
fn who_only_verifies_holds_nothing_private() {
    let secret = Key::generate(Algorithm::HS256, None, None).unwrap();
    let set = KeySet::try_from_iter([key(Some("a")), secret.clone()]).unwrap().verifying();

    let private: Vec<_> = set.iter().map(|key| key.is_private()).collect();
    assert_eq!(private, [false, true]);
    assert!(set.twin(&secret).is_some());
}
