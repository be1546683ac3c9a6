//! Trusted signatures under claims that are none, or that no longer or not yet count.

use std::time::{Duration, SystemTime};

use super::{Forgeries, forged, header};
use crate::{Claims, Key};

pub(super) fn forge(key: &Key, now: SystemTime, forgeries: &mut Forgeries) {
    for claims in TEXTS {
        forgeries.add(format!("claims: {claims:?}"), forged(key, &header(key), claims));
    }
    for member in MEMBERS {
        let claims = forgeries.claims.to_json();
        let claims = format!("{},{member}}}", claims.trim_end_matches('}'));
        forgeries.add(format!("claims: with {member}"), forged(key, &header(key), claims));
    }
    for path in PATHS {
        for (root, put) in [(*path, "x"), ("demo", *path)] {
            let claims = format!(r#"{{"root":"{root}","put":["{put}"],"get":[""]}}"#);
            forgeries.add(format!("path: {claims}"), forged(key, &header(key), claims));
        }
    }
    times(key, now, forgeries);
    sizes(key, forgeries);
    for (what, claims) in [
        ("not UTF-8", &b"{\"root\":\"\xff\",\"put\":[\"\"]}"[..]),
        ("overlong UTF-8", b"{\"root\":\"\xc0\xae\",\"put\":[\"\"]}"),
        ("UTF-16", b"{\0\"\0p\0u\0t\0\"\0:\0\"\0\"\0}\0"),
    ] {
        forgeries.add(format!("unicode: claims that are {what}"), forged(key, &header(key), claims));
    }
}

fn times(key: &Key, now: SystemTime, forgeries: &mut Forgeries) {
    let plain = forgeries.claims.clone();
    let (day, hours) = (Duration::from_secs(24 * 3600), Duration::from_secs(3 * 3600));
    for (what, claims) in [
        ("expired at once", Claims { expires: Some(now), ..plain.clone() }),
        ("expired yesterday", Claims { expires: Some(now - day), ..plain.clone() }),
        ("expired in 1970", Claims { expires: Some(SystemTime::UNIX_EPOCH), ..plain.clone() }),
        ("begins in three hours", Claims { not_before: Some(now + hours), ..plain.clone() }),
        ("issued in three hours", Claims { issued: Some(now + hours), ..plain.clone() }),
        ("allows nothing", Claims { publish: vec![], subscribe: vec![], ..plain.clone() }),
        ("for a relay, and allows nothing", Claims { publish: vec![], subscribe: vec![], cluster: true, ..plain.clone() }),
        ("for somebody else", Claims { audience: vec!["https://example.com".to_owned()], ..plain }),
    ] {
        forgeries.add(format!("claims: {what}"), forged(key, &header(key), claims.to_json()));
    }
}

fn sizes(key: &Key, forgeries: &mut Forgeries) {
    let nested = format!(r#"{{"put":[""],"x":{}{}}}"#, "[".repeat(1000), "]".repeat(1000));
    let lists = |count: usize| format!(r#"{{"put":[{}]}}"#, vec!["\"\""; count].join(","));
    let name = |size: usize| format!(r#"{{"put":[""],"sub":"{}"}}"#, "x".repeat(size));
    for (what, claims) in [
        ("nested deep", nested),
        ("a hundred thousand prefixes", lists(100_000)),
        ("ten kilobytes", name(10_000)),
        ("a megabyte", name(1024 * 1024)),
    ] {
        forgeries.add(format!("size: claims of {what}"), forged(key, &header(key), claims));
    }
}

/// What is no set of claims at all, or allows nothing.
const TEXTS: &[&str] = &[
    "",
    " ",
    "{}",
    "[]",
    "null",
    "true",
    "0",
    "\"put\"",
    r#"["demo",[""],[""]]"#,
    r#"["",[""]]"#,
    r#"[{"root":"","put":[""]}]"#,
    r#"{"root":"demo"}"#,
    r#"{"root":"demo","put":[],"get":[]}"#,
    r#"{"root":"demo","Put":[""]}"#,
    r#"{"root":"demo","PUT":[""]}"#,
    r#"{"root":"demo","put":null}"#,
    r#"{"root":"demo","put":0,"get":[""]}"#,
    r#"{"root":"demo","put":true,"get":[""]}"#,
    r#"{"root":"demo","put":{},"get":[""]}"#,
    r#"{"root":"demo","put":{"0":""},"get":[""]}"#,
    r#"{"root":"demo","put":[0],"get":[""]}"#,
    r#"{"root":"demo","put":[null],"get":[""]}"#,
    r#"{"root":"demo","put":[[""]],"get":[""]}"#,
    r#"{"root":"demo","put":[{}],"get":[""]}"#,
    r#"{"root":"demo","get":1}"#,
    r#"{"root":"demo","put":[""],"get":null}"#,
    r#"{"root":null,"put":[""]}"#,
    r#"{"root":0,"put":[""]}"#,
    r#"{"root":false,"put":[""]}"#,
    r#"{"root":[],"put":[""]}"#,
    r#"{"root":["demo"],"put":[""]}"#,
    r#"{"root":{},"put":[""]}"#,
    r#"{"put":[""]"#,
    r#"{"put":[""]}}"#,
    r#"{"put":[""]}{"put":[""]}"#,
    r#"{"put":[""],}"#,
    r#"{'put':['']}"#,
    r#"{put:[""]}"#,
    r#"{"put":[""]/**/}"#,
    r#"{"put":["\ud800"]}"#,
    "{\"put\":[\"\"]}\0",
    "\u{feff}{\"put\":[\"\"]}",
    r#"{"publish":["demo/*/x"]}"#,
    r#"{"publish":["*"]}"#,
    r#"{"subscribe":["**/x"]}"#,
];

/// What must not stand beside honest claims.
const MEMBERS: &[&str] = &[
    r#""root":"""#,
    r#""root":"demo""#,
    r#""\u0072oot":"""#,
    r#""put":[""]"#,
    r#""get":"demo""#,
    r#""exp":99999999999"#,
    r#""publish":[""]"#,
    r#""pub":[""]"#,
    r#""subscribe":[""]"#,
    r#""iat":"0""#,
    r#""iat":0.5"#,
    r#""iat":-1"#,
    r#""iat":1e3"#,
    r#""iat":[]"#,
    r#""iat":true"#,
    r#""iat":99999999999999999999999"#,
    r#""iat":253402300800"#,
    r#""nbf":"0""#,
    r#""nbf":0.5"#,
    r#""nbf":-1"#,
    r#""nbf":{}"#,
    r#""nbf":false"#,
    r#""nbf":253402300800"#,
    r#""cluster":"true""#,
    r#""cluster":1"#,
    r#""cluster":null"#,
    r#""cluster":true,"cluster":false"#,
    r#""jti":1"#,
    r#""jti":["a"]"#,
    r#""sub":["demo"]"#,
    r#""sub":null"#,
    r#""iss":{}"#,
    r#""aud":"other""#,
    r#""aud":["other","more"]"#,
    r#""aud":1"#,
    r#""aud":null"#,
    r#""x":{"a":1,"a":2}"#,
    r#""x":[[[[[[[[[[]]]]]]]]]]"#,
];

/// Paths that climb, hide a slash, or are read differently by different readers.
const PATHS: &[&str] = &[
    "..",
    ".",
    "../demo",
    "demo/..",
    "demo/../..",
    "./demo",
    "demo/.",
    "%2e%2e",
    "%2E%2E/demo",
    "demo/%2e%2e",
    ".%2e",
    "demo%2fx",
    "demo%2Fx",
    "demo%5cx",
    "demo\\\\x",
    "\\\\demo",
    "demo\\u0000",
    "demo%00",
    "demo\\u0007",
    "demo%0a",
    "demo%7f",
    "demo\\u0085x",
    "%",
    "%2",
    "%zz",
    "%ff",
    "%c0%ae",
    "%ed%a0%80",
];
