//! Trusted signatures under headers that ask for something else, or can be read in two ways.

use super::{Forgeries, forged, header, header_with, of};
use crate::{Algorithm, Key};

pub(super) fn forge(keys: &[Key], forgeries: &mut Forgeries) {
    for algorithm in [Algorithm::HS256, Algorithm::ES256, Algorithm::RS256] {
        let key = of(keys, algorithm);
        let claims = forgeries.claims.to_json();
        for member in EXTENSIONS.iter().chain(TYPES).chain(TWICE) {
            let member = member.replace("ALG", algorithm.name());
            forgeries.add(format!("header: {algorithm} with {member}"), forged(key, &header_with(key, &member), claims.as_str()));
        }
        for header in OTHER {
            let header = header.replace("ALG", algorithm.name());
            forgeries.add(format!("header: {algorithm} as {header:?}"), forged(key, &header, claims.as_str()));
        }
        for kid in KIDS {
            let header = format!(r#"{{"typ":"JWT","alg":"{algorithm}","kid":{kid}}}"#);
            forgeries.add(format!("key id: {algorithm} with {kid}"), forged(key, &header, claims.as_str()));
        }
        let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for (what, header) in [
            ("nested deep", header_with(key, &format!(r#""x":{nested}"#))),
            ("a megabyte", header_with(key, &format!(r#""x":"{}""#, "x".repeat(1024 * 1024)))),
            ("two kilobytes", header_with(key, &format!(r#""x":"{}""#, "x".repeat(2048)))),
            ("a long key id", header(key).replace(r#""kid":""#, &format!(r#""kid":"{}"#, "k".repeat(1000)))),
        ] {
            forgeries.add(format!("header: {algorithm}, {what}"), forged(key, &header, claims.as_str()));
        }
    }
}

const EXTENSIONS: &[&str] = &[
    r#""crit":["exp"]"#,
    r#""crit":["b64"],"b64":false"#,
    r#""crit":["b64"],"b64":true"#,
    r#""crit":["http://example.com/ext"],"http://example.com/ext":1"#,
    r#""crit":["alg"]"#,
    r#""crit":[]"#,
    r#""crit":[""]"#,
    r#""crit":"b64""#,
    r#""crit":null"#,
    r#""crit":{}"#,
    r#""b64":false"#,
    r#""b64":null"#,
    r#""enc":"A128GCM""#,
    r#""zip":"DEF""#,
    r#""cty":"JWT""#,
    r#""cty":null"#,
];

/// The type stands in the header already; one that counts is told from one that is repeated by the names below.
const TYPES: &[&str] = &[r#""typ":"JWT""#, r#""\u0074yp":"JWT""#, r#""typ":null"#];

const TWICE: &[&str] = &[
    r#""alg":"none""#,
    r#""alg":"ALG""#,
    r#""\u0061lg":"ALG""#,
    r#""kid":"HS256""#,
    r#""kid":"EdDSA""#,
    r#""x":1,"x":2"#,
    r#""x":{"y":1,"y":1}"#,
];

const OTHER: &[&str] = &[
    "",
    "{}",
    "[]",
    "null",
    "\"ALG\"",
    r#"["ALG"]"#,
    r#"["ALG","JWT","ALG"]"#,
    r#"[{"alg":"ALG","kid":"ALG"}]"#,
    r#"{"alg":"ALG","kid":"ALG""#,
    r#"{"alg":"ALG","kid":"ALG"}}"#,
    r#"{"alg":"ALG","kid":"ALG"}{"alg":"ALG","kid":"ALG"}"#,
    r#"{"alg":"ALG","kid":"ALG",}"#,
    r#"{'alg':'ALG','kid':'ALG'}"#,
    r#"{"alg":["ALG"],"kid":"ALG"}"#,
    r#"{"alg":{"ALG":1},"kid":"ALG"}"#,
    r#"{"alg":256,"kid":"ALG"}"#,
    r#"{"alg":null,"kid":"ALG"}"#,
    r#"{"alg":true,"kid":"ALG"}"#,
    r#"{"alg":"ALG ","kid":"ALG"}"#,
    r#"{"alg":" ALG","kid":"ALG"}"#,
    r#"{"alg":"ALG\u0000","kid":"ALG"}"#,
    r#"{"ALG":"alg","kid":"ALG"}"#,
    r#"{"Alg":"ALG","kid":"ALG"}"#,
    r#"{"typ":"JWT","kid":"ALG"}"#,
    r#"{"alg":"HS1","kid":"ALG"}"#,
    r#"{"alg":"HS257","kid":"ALG"}"#,
    r#"{"alg":"hs256","kid":"ALG"}"#,
    r#"{"alg":"rs256","kid":"ALG"}"#,
    r#"{"alg":"es256","kid":"ALG"}"#,
    r#"{"alg":"ES256K","kid":"ALG"}"#,
    r#"{"alg":"ES512","kid":"ALG"}"#,
    r#"{"alg":"Ed25519","kid":"ALG"}"#,
    r#"{"alg":"RSA-OAEP","kid":"ALG"}"#,
    r#"{"alg":"dir","enc":"A128GCM","kid":"ALG"}"#,
    r#"{"typ":"JWE","alg":"ALG","kid":"ALG"}"#,
    r#"{"typ":"at+jwt","alg":"ALG","kid":"ALG"}"#,
    r#"{"typ":"","alg":"ALG","kid":"ALG"}"#,
    r#"{"typ":1,"alg":"ALG","kid":"ALG"}"#,
    r#"{"typ":null,"alg":"ALG","kid":"ALG"}"#,
    r#"{"typ":["JWT"],"alg":"ALG","kid":"ALG"}"#,
    // A Greek letter, full width, Cyrillic, a zero-width joiner, a mark that turns the writing around.
    "{\"alg\":\"ΗS256\",\"kid\":\"ALG\"}",
    "{\"alg\":\"ＨＳ２５６\",\"kid\":\"ALG\"}",
    "{\"alg\":\"ЕS256\",\"kid\":\"ALG\"}",
    "{\"alg\":\"ALG\u{200d}\",\"kid\":\"ALG\"}",
    "{\"alg\":\"\u{202e}ALG\",\"kid\":\"ALG\"}",
    "\u{feff}{\"alg\":\"ALG\",\"kid\":\"ALG\"}",
    "{\"alg\":\"ALG\",\"kid\":\"ALG\"}\0",
];

/// Texts and other things in place of a key's id.
const KIDS: &[&str] = &[
    r#""""#,
    r#""unknown""#,
    r#""../../../../etc/passwd""#,
    r#""/dev/null""#,
    r#""keys/HS256""#,
    r#""HS256.jwk""#,
    r#""HS256 ""#,
    r#"" HS256""#,
    r#""hs256""#,
    r#""HS256\u0000""#,
    r#""HS256\n""#,
    r#""' OR '1'='1""#,
    r#""$(id)""#,
    r#""*""#,
    r#""ＨＳ２５６""#,
    r#""https://example.com/key.jwk""#,
    "null",
    "0",
    "true",
    "[]",
    r#"["HS256"]"#,
    "{}",
];
