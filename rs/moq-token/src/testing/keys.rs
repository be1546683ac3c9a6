//! Forgeries by the wrong key, or by the right key in the wrong way.

use base64::Engine;

use super::{Forgeries, header, message, of, signed};
use crate::{Algorithm, Family, Key, base64url, material::Material, token};

/// A key of each algorithm, its id the algorithm's name and `suffix`. The RSA keys are one, under six names, so that what one
/// signs is a signature under the numbers of the others.
pub(super) fn one_of_each(suffix: &str) -> Vec<Key> {
    let mut rsa: Option<Key> = None;
    Algorithm::ALL
        .into_iter()
        .filter_map(|algorithm| {
            let id = format!("{algorithm}{suffix}").parse().ok();
            match (&rsa, algorithm.family()) {
                (Some(rsa), Family::Rsa) => Key::new(algorithm, rsa.material().clone(), id, rsa.operations(), None).ok(),
                (_, family) => {
                    let key = Key::generate(algorithm, id, None).ok()?;
                    if family == Family::Rsa {
                        rsa = Some(key.clone());
                    }
                    Some(key)
                }
            }
        })
        .collect()
}

pub(super) fn forge(keys: &[Key], forgeries: &mut Forgeries) {
    none(keys, forgeries);
    other_algorithm(keys, forgeries);
    public_half_as_secret(keys, forgeries);
    stranger(keys, forgeries);
    broken_signature(keys, forgeries);
}

/// Tokens that say they are not signed.
fn none(keys: &[Key], forgeries: &mut Forgeries) {
    let claims = forgeries.claims.to_json();
    let key = of(keys, Algorithm::HS256);
    for alg in ["none", "None", "NONE", "nOnE", "", "null", "none ", "\\u006eone"] {
        let message = message(&format!(r#"{{"typ":"JWT","alg":"{alg}","kid":"HS256"}}"#), &claims);
        let signature = key.signature(message.as_bytes()).unwrap_or_default();
        for (what, signature) in [("empty", ""), ("short", "AA"), ("good", &signature)] {
            forgeries.add(format!("none: `{alg}` and {what} signature"), format!("{message}.{signature}"));
        }
        forgeries.add(format!("none: `{alg}` and two parts"), message);
    }
    for key in keys {
        let message = message(&header(key), &claims);
        forgeries.add(format!("none: {} and no signature", key.algorithm()), format!("{message}."));
        forgeries.add(format!("none: {} and two parts", key.algorithm()), message);
    }
}

/// Each key under the name of each other algorithm.
fn other_algorithm(keys: &[Key], forgeries: &mut Forgeries) {
    let claims = forgeries.claims.to_json();
    for key in keys {
        let id = key.id().map(ToString::to_string).unwrap_or_default();
        for other in Algorithm::ALL.into_iter().filter(|other| *other != key.algorithm()) {
            let message = message(&format!(r#"{{"typ":"JWT","alg":"{other}","kid":"{id}"}}"#), &claims);
            let signature = key.signature(message.as_bytes()).unwrap_or_default();
            forgeries.add(format!("confusion: {id} signs as {id}, says {other}"), format!("{message}.{signature}"));
            // The same numbers may well be able to sign the other way.
            if other.family() != key.algorithm().family() || other.family() == Family::Ec {
                continue;
            }
            let Ok(same) = Key::new(other, key.material().clone(), None, key.operations(), None) else { continue };
            let signature = same.signature(message.as_bytes()).unwrap_or_default();
            forgeries.add(format!("confusion: {id} signs as {other}, says {other}"), format!("{message}.{signature}"));
            let message = super::message(&header(key), &claims);
            let signature = same.signature(message.as_bytes()).unwrap_or_default();
            forgeries.add(format!("confusion: {id} signs as {other}, says {id}"), format!("{message}.{signature}"));
        }
    }
}

/// A public half, which everybody has, as a shared secret, in all its spellings.
fn public_half_as_secret(keys: &[Key], forgeries: &mut Forgeries) {
    let claims = forgeries.claims.to_json();
    for key in keys {
        let Some(public) = key.public() else { continue };
        let id = key.id().map(ToString::to_string).unwrap_or_default();
        let numbers = match public.material() {
            Material::Rsa { public, .. } => public.n.clone(),
            Material::Ec { x, y, .. } => [&[4], x.as_slice(), y].concat(),
            Material::Okp { x, .. } => x.clone(),
            Material::Oct(_) => continue,
        };
        let spellings = [
            ("JSON", public.to_json().as_bytes().to_vec()),
            ("base64url", public.to_base64url().as_bytes().to_vec()),
            ("numbers", numbers),
        ];
        for (spelling, bytes) in spellings {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let secret = Material::Oct(crate::secret::Secret::new(bytes.clone()));
                let Ok(forger) = Key::new(algorithm, secret, None, key.operations(), None) else { continue };
                for alg in [algorithm, key.algorithm()] {
                    let message = message(&format!(r#"{{"typ":"JWT","alg":"{alg}","kid":"{id}"}}"#), &claims);
                    let signature = forger.signature(message.as_bytes()).unwrap_or_default();
                    let name = format!("public half: {id} as {spelling} signs as {algorithm}, says {alg}");
                    forgeries.add(name, format!("{message}.{signature}"));
                }
            }
        }
    }
}

/// Keys of the forger's own, under trusted names, other names and none; and brought along in the header.
fn stranger(keys: &[Key], forgeries: &mut Forgeries) {
    let claims = forgeries.claims.clone();
    for (stranger, trusted) in one_of_each("-stranger").iter().zip(keys) {
        let algorithm = stranger.algorithm();
        let other = if algorithm == Algorithm::EdDSA { Algorithm::HS256 } else { Algorithm::EdDSA };
        forgeries.add(format!("stranger: {algorithm} by its own name"), signed(stranger, &claims));
        for (name, header) in [
            ("a trusted name", header(trusted)),
            ("no name", format!(r#"{{"typ":"JWT","alg":"{algorithm}"}}"#)),
            ("another trusted name", format!(r#"{{"typ":"JWT","alg":"{algorithm}","kid":"{other}"}}"#)),
        ] {
            let token = super::forged(stranger, &header, claims.to_json());
            forgeries.add(format!("stranger: {algorithm} by {name}"), token);
        }
        let brought = stranger.public().unwrap_or_else(|| stranger.clone()).to_json();
        for (member, value) in [
            ("jwk", brought.as_str()),
            ("jwk", "null"),
            ("jku", r#""https://example.com/keys.json""#),
            ("x5u", r#""https://example.com/chain.pem""#),
            ("x5c", r#"["MIIB"]"#),
            ("x5t", r#""AAAA""#),
            ("x5t#S256", r#""AAAA""#),
        ] {
            let member = format!(r#""{member}":{value}"#);
            let what = if value == "null" { format!("{member} of null") } else { member.clone() };
            let what: String = what.chars().take(24).collect();
            for (who, key) in [("stranger", stranger), ("trusted key", trusted)] {
                let header = super::header_with(trusted, &member);
                let token = super::forged(key, &header, claims.to_json());
                forgeries.add(format!("embedded: {algorithm} by a {who} with {what}"), token);
            }
        }
    }
}

/// Honest tokens whose signature, or whose message, was changed.
fn broken_signature(keys: &[Key], forgeries: &mut Forgeries) {
    let honest = forgeries.claims.clone();
    let mut more = honest.clone();
    more.root = Default::default();
    for key in keys {
        let algorithm = key.algorithm();
        let token = signed(key, &honest);
        let Some((message, signature)) = token.rsplit_once('.') else { continue };
        let bytes = base64url::STRICT.decode(signature).unwrap_or_default();
        let changed = |change: fn(&mut Vec<u8>)| {
            let mut bytes = bytes.clone();
            change(&mut bytes);
            base64url::STRICT.encode(bytes)
        };
        for (what, signature) in [
            ("first bit changed", changed(|bytes| bytes[0] ^= 0x80)),
            ("last bit changed", changed(|bytes| bytes.iter_mut().last().into_iter().for_each(|byte| *byte ^= 1))),
            ("a byte short", changed(|bytes| bytes.truncate(bytes.len() - 1))),
            ("a byte long", changed(|bytes| bytes.push(0))),
            ("a zero in front", changed(|bytes| bytes.insert(0, 0))),
            ("all zero", changed(|bytes| bytes.fill(0))),
            ("all ones", changed(|bytes| bytes.fill(0xff))),
            ("reversed", changed(|bytes| bytes.reverse())),
            ("of another message", key.signature(b"hello").unwrap_or_default()),
        ] {
            forgeries.add(format!("signature: {algorithm}, {what}"), format!("{message}.{signature}"));
        }
        let header = token::Header { algorithm, key: key.id().cloned() };
        forgeries.add(format!("signature: {algorithm}, other claims"), format!("{}.{signature}", token::message(&header, &more)));
    }
}
