use super::*;

fn paths(texts: &[&str]) -> Vec<Path> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn at(seconds: u64) -> Option<SystemTime> {
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[test]
fn one_prefix_or_a_list_of_them() {
    let one = Claims::from_json(r#"{"root":"demo","put":"alice","get":""}"#).unwrap();
    let list = Claims::from_json(r#"{"root":"/demo/","put":["alice"],"get":["/"]}"#).unwrap();

    assert_eq!(one, list);
    assert_eq!((one.root.as_str(), one.publish, one.subscribe), ("demo", paths(&["alice"]), paths(&[""])));
}

#[test]
fn the_other_names_of_put_and_get() {
    let put = Claims::from_json(r#"{"root":"r","put":["a"],"get":["b"]}"#).unwrap();

    for other in [
        r#"{"root":"r","publish":["a"],"subscribe":"b"}"#,
        r#"{"root":"r","pub":"a","get":["b"]}"#,
        r#"{"root":"r","publish":["a/**"],"subscribe":["b/**"]}"#,
    ] {
        assert_eq!(Claims::from_json(other).as_ref(), Ok(&put), "{other}");
    }
    let all = Claims::from_json(r#"{"publish":"**","subscribe":["**"]}"#).unwrap();
    assert_eq!((all.publish, all.subscribe), (paths(&[""]), paths(&[""])));
}

#[test]
fn two_names_for_the_same_are_one_too_many() {
    let twice = |first, second| Err(ClaimsError::Twice { first, second });

    assert_eq!(Claims::from_json(r#"{"put":["a"],"publish":["a"]}"#), twice("put", "publish"));
    assert_eq!(Claims::from_json(r#"{"pub":["a"],"put":[]}"#), twice("put", "pub"));
    assert_eq!(Claims::from_json(r#"{"get":["a"],"subscribe":["b"]}"#), twice("get", "subscribe"));
}

#[test]
fn a_pattern_that_is_no_prefix_is_refused_rather_than_widened() {
    for pattern in ["a/*/b", "*", "a/**/b", "a**", "a*/**", "***"] {
        let json = format!(r#"{{"publish":["{pattern}"]}}"#);
        assert_eq!(Claims::from_json(&json), Err(ClaimsError::Pattern(pattern.to_owned())));
    }
    // Under their first name, all are plain paths.
    assert_eq!(Claims::from_json(r#"{"put":["a/*/b"]}"#).unwrap().publish, paths(&["a/*/b"]));
}

#[test]
fn a_member_of_the_wrong_type_is_never_guessed_at() {
    for wrong in [
        r#"{"root":1}"#,
        r#"{"root":null}"#,
        r#"{"root":["a"]}"#,
        r#"{"put":null}"#,
        r#"{"put":{}}"#,
        r#"{"put":[1]}"#,
        r#"{"put":["a",null]}"#,
        r#"{"get":true}"#,
        r#"{"get":[["a"]]}"#,
        r#"{"exp":"1700000000"}"#,
        r#"{"exp":1700000000.5}"#,
        r#"{"exp":1.7e9}"#,
        r#"{"exp":-1}"#,
        r#"{"exp":[]}"#,
        r#"{"exp":true}"#,
        r#"{"exp":18446744073709551616}"#,
        r#"{"iat":"now"}"#,
        r#"{"nbf":{}}"#,
        r#"{"cluster":"true"}"#,
        r#"{"cluster":1}"#,
        r#"{"cluster":null}"#,
        r#"{"jti":7}"#,
        r#"{"jti":null}"#,
        r#"{"sub":["alice"]}"#,
        r#"{"iss":1}"#,
        r#"{"aud":1}"#,
        r#"{"aud":null}"#,
        "[]",
        "null",
        "\"x\"",
        "",
        r#"{"put":[""]} "#.repeat(2).as_str(),
        r#"{"put":["a"],"put":["b"]}"#,
        r#"{"put":["a"],"\u0070ut":["b"]}"#,
        r#"{"x":{"y":1,"y":2}}"#,
    ] {
        assert!(matches!(Claims::from_json(wrong), Err(ClaimsError::Json(_))), "{wrong}");
    }
}

#[test]
fn a_path_that_can_be_none_is_refused() {
    for path in ["..", "a/./b", "%2e%2e", "a%2fb", "a\\\\b", "a\\u0000", "%zz", "%ff"] {
        for member in ["root", "put", "get"] {
            let json = format!(r#"{{"{member}":"{path}"}}"#);
            assert!(matches!(Claims::from_json(&json), Err(ClaimsError::Path { .. })), "{json}");
        }
    }
}

#[test]
fn times_are_whole_seconds_up_to_the_year_9999() {
    let claims = Claims::from_json(r#"{"exp":253402300799,"iat":0,"nbf":null}"#).unwrap();
    assert_eq!((claims.expires, claims.issued, claims.not_before), (at(253_402_300_799), at(0), None));

    for claim in ["exp", "iat", "nbf"] {
        let json = format!(r#"{{"{claim}":253402300800}}"#);
        assert_eq!(Claims::from_json(&json), Err(ClaimsError::FarFuture { claim, seconds: 253_402_300_800 }));
    }
}

#[test]
fn what_is_not_known_is_passed_over() {
    let claims = Claims::from_json(r#"{"root":"a","get":"","name":"Alice","ROOT":"b","nested":{"put":"x"}}"#).unwrap();

    assert_eq!((claims.root.as_str(), claims.publish.len()), ("a", 0));
}

#[test]
fn claims_are_written_as_every_reader_takes_them() {
    let claims = Claims {
        publish: paths(&["alice", "50%"]),
        expires: at(1_800_000_000),
        cluster: true,
        id: Some("7f3a".to_owned()),
        ..Claims::default()
    };

    let json = claims.to_json();

    assert_eq!(json, r#"{"root":"","put":["alice","50%25"],"exp":1800000000,"cluster":true,"jti":"7f3a"}"#);
    assert_eq!(Claims::from_json(&json), Ok(claims));
}
