//! Honest tokens that were touched on the way, and what is no token.

use super::{Forgeries, forged, header, of, signed};
use crate::{Algorithm, Key};

pub(super) fn forge(keys: &[Key], forgeries: &mut Forgeries) {
    for algorithm in [Algorithm::HS256, Algorithm::EdDSA] {
        let token = signed(of(keys, algorithm), &forgeries.claims);
        space(algorithm, &token, forgeries);
        base64(algorithm, &token, forgeries);
        parts(algorithm, &token, forgeries);
    }
    let key = of(keys, Algorithm::HS256);
    for (what, token) in [
        ("nothing at all", String::new()),
        ("a dot", ".".to_owned()),
        ("two dots", "..".to_owned()),
        ("a megabyte of letters", "A".repeat(1024 * 1024)),
        ("a megabyte of dots", ".".repeat(1024 * 1024)),
        ("a megabyte in each part", ["A"; 3].map(|part| part.repeat(1024 * 1024)).join(".")),
        ("a megabyte of good characters and two dots", format!("{}..", "e30".repeat(350_000))),
        ("just too long", long(key)),
        ("words", "let me in".to_owned()),
        ("null", "null".to_owned()),
        ("undefined", "undefined".to_owned()),
        ("a path", "/demo".to_owned()),
        ("a password", "admin:admin".to_owned()),
        ("binary", "\u{0}\u{1}\u{2}.\u{3}.\u{4}".to_owned()),
        ("emoji", "🔑.📜.✍".to_owned()),
    ] {
        forgeries.add(format!("no token: {what}"), token);
    }
}

/// A token that is good in all but its length.
fn long(key: &Key) -> String {
    let claims = |size: usize| format!(r#"{{"root":"demo","put":[""],"sub":"{}"}}"#, "x".repeat(size));
    let fixed = forged(key, &header(key), claims(0)).len();
    // Three bytes make four characters.
    forged(key, &header(key), claims((crate::TOKEN_BYTES_MAX - fixed) / 4 * 3 + 6))
}

/// Space and its likes, at every place a sloppy reader might pass over it.
fn space(algorithm: Algorithm, token: &str, forgeries: &mut Forgeries) {
    let middle = token.len() / 2;
    let (first, last) = (token.find('.').unwrap_or(0), token.rfind('.').unwrap_or(0));
    for space in [" ", "\t", "\n", "\r\n", "\0", "\u{a0}", "\u{200b}", "\u{feff}", "+", "%20"] {
        for (place, at) in
            [("before", 0), ("after", token.len()), ("within", middle), ("before a dot", first), ("after a dot", last + 1)]
        {
            let spaced = format!("{}{space}{}", &token[..at], &token[at..]);
            forgeries.add(format!("space: {algorithm}, {} {place}", space.escape_default()), spaced);
        }
    }
}

/// Other ways to write the same bytes.
fn base64(algorithm: Algorithm, token: &str, forgeries: &mut Forgeries) {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { return };
    for padding in ["=", "=="] {
        forgeries.add(format!("base64: {algorithm}, header with {padding}"), format!("{header}{padding}.{claims}.{signature}"));
        forgeries.add(format!("base64: {algorithm}, claims with {padding}"), format!("{header}.{claims}{padding}.{signature}"));
        forgeries.add(format!("base64: {algorithm}, signature with {padding}"), format!("{token}{padding}"));
    }
    // The last character has bits that no byte uses; setting one leaves the bytes as they are.
    let (rest, last) = signature.split_at(signature.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = alphabet.find(last).unwrap_or(0);
    let next = &alphabet[place + 1..place + 2];
    forgeries.add(format!("base64: {algorithm}, unused bits of the signature"), format!("{header}.{claims}.{rest}{next}"));
    let other = |text: &str| text.replace('-', "+").replace('_', "/");
    for (what, token) in [
        ("plus and slash", format!("{header}.{claims}+/.{signature}")),
        ("another alphabet and padding", format!("{}=.{}=.{}=", other(header), other(claims), other(signature))),
        ("a character short", format!("{}.{claims}.{signature}", &header[1..])),
        ("a character long", format!("{token}-")),
        ("lower case", token.to_lowercase()),
        ("upper case", token.to_uppercase()),
        ("encoded once more", base64::Engine::encode(&crate::base64url::STRICT, token)),
        ("an asterisk", format!("{header}.{claims}*.{signature}")),
        ("a quoted dot", format!("{header}%2E{claims}%2E{signature}")),
    ] {
        forgeries.add(format!("base64: {algorithm}, {what}"), token);
    }
}

/// Parts left out, repeated, exchanged; and other spellings of signed things.
fn parts(algorithm: Algorithm, token: &str, forgeries: &mut Forgeries) {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { return };
    for (what, token) in [
        ("header alone", header.to_owned()),
        ("claims and signature", format!("{claims}.{signature}")),
        ("no header", format!(".{claims}.{signature}")),
        ("no claims", format!("{header}..{signature}")),
        ("a dot in front", format!(".{token}")),
        ("a dot at the end", format!("{token}.")),
        ("four parts", format!("{token}.{signature}")),
        ("five parts", format!("{header}.{claims}.{signature}.{claims}.{signature}")),
        ("two headers", format!("{header}.{header}.{claims}.{signature}")),
        ("claims first", format!("{claims}.{header}.{signature}")),
        ("signature first", format!("{signature}.{header}.{claims}")),
        ("header in place of claims", format!("{header}.{header}.{signature}")),
        ("twice", format!("{token}{token}")),
        ("two with a comma", format!("{token},{token}")),
        ("in quotes", format!("\"{token}\"")),
        ("with its scheme", format!("Bearer {token}")),
        ("with its name", format!("jwt={token}")),
        ("JSON, flat", format!(r#"{{"protected":"{header}","payload":"{claims}","signature":"{signature}"}}"#)),
        (
            "JSON, several signatures",
            format!(r#"{{"payload":"{claims}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#),
        ),
        ("commas for dots", token.replace('.', ",")),
        ("full-width dots", token.replace('.', "．")),
        ("backwards", token.chars().rev().collect()),
    ] {
        forgeries.add(format!("parts: {algorithm}, {what}"), token);
    }
}
