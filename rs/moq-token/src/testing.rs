//! Tokens nobody may accept, and honest ones beside them.
//!
//! One range of keys that a relay is to trust, one honest token of each, and several hundred forgeries made with all that an
//! attacker could have: the public halves, keys of his own, tokens he was given, and, where the fault is in what the token
//! says, even a trusted signature. Every entrance of a relay is to be walked through with them; an entrance that refuses all
//! and lets the honest ones in is sound. Beside them are odd request targets, and the rules of paths and rights once more.
//! Feature `testing`.

mod claims;
mod header;
mod keys;
pub mod reference;
mod spelling;
mod targets;

use std::time::{Duration, SystemTime};

use base64::Engine;

pub use self::targets::{Target, Targets};
use crate::{Algorithm, Claims, Key, KeySet, base64url};

/// A token and what is the matter with it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Unique; says first which kind of trick it is.
    pub name: String,
    /// As it would stand in a request, before any escaping. Not always text that a header could carry.
    pub token: String,
}

/// What entrances are tested with.
#[derive(Clone, Debug)]
pub struct Range {
    /// One key of each algorithm, which the relay trusts all together. The id of each is the name of its algorithm.
    pub keys: Vec<Key>,
    /// Good at the time the range was made for, below [`Range::ROOT`].
    pub honest: Vec<Sample>,
    /// Never good.
    pub forged: Vec<Sample>,
}

impl Range {
    /// Where the honest tokens allow everything; most forgeries ask for the same.
    pub const ROOT: &str = "demo";

    /// Makes keys and tokens for tests that run within the hour after `now`.
    pub fn new(now: SystemTime) -> Self {
        let keys = keys::one_of_each("");
        let claims = plain(now);
        let honest = keys.iter().map(|key| sample(key.algorithm().name(), signed(key, &claims))).collect();
        let mut forged = Forgeries { claims, samples: Vec::new() };
        keys::forge(&keys, &mut forged);
        header::forge(&keys, &mut forged);
        claims::forge(of(&keys, Algorithm::HS256), now, &mut forged);
        spelling::forge(&keys, &mut forged);
        Self { keys, honest, forged: forged.samples }
    }

    /// What a relay that trusts the keys is to load: public halves, and the shared secrets.
    pub fn trusted(&self) -> KeySet {
        // Their ids differ, so they all fit in one set.
        KeySet::try_from_iter(self.keys.iter().map(|key| key.public().unwrap_or_else(|| key.clone()))).unwrap_or_default()
    }
}

/// The forgeries made so far, and the claims they make.
struct Forgeries {
    claims: Claims,
    samples: Vec<Sample>,
}

impl Forgeries {
    fn add(&mut self, name: impl Into<String>, token: String) {
        self.samples.push(Sample { name: name.into(), token });
    }
}

fn sample(name: impl Into<String>, token: String) -> Sample {
    Sample { name: name.into(), token }
}

/// What an honest token says: everything below the root, for an hour.
fn plain(now: SystemTime) -> Claims {
    Claims {
        root: Range::ROOT.parse().unwrap_or_default(),
        publish: vec![Default::default()],
        subscribe: vec![Default::default()],
        expires: Some(now + Duration::from_secs(3600)),
        ..Claims::default()
    }
}

/// The key of `keys` for `algorithm`.
fn of(keys: &[Key], algorithm: Algorithm) -> &Key {
    keys.iter().find(|key| key.algorithm() == algorithm).unwrap_or(&keys[0])
}

/// A token by `key` that says `claims`, as the program would sign it.
fn signed(key: &Key, claims: &Claims) -> String {
    key.sign(claims).unwrap_or_default()
}

/// A token by `key` of any two texts.
fn forged(key: &Key, header: &str, claims: impl AsRef<[u8]>) -> String {
    let message = message(header, claims);
    let signature = key.signature(message.as_bytes()).unwrap_or_default();
    format!("{message}.{signature}")
}

/// The signed part of a token, of any two texts.
fn message(header: &str, claims: impl AsRef<[u8]>) -> String {
    format!("{}.{}", base64url::STRICT.encode(header), base64url::STRICT.encode(claims))
}

/// The header an honest token by `key` has.
fn header(key: &Key) -> String {
    let (algorithm, id) = (key.algorithm(), key.id().map(ToString::to_string).unwrap_or_default());
    format!(r#"{{"typ":"JWT","alg":"{algorithm}","kid":"{id}"}}"#)
}

/// The same with `member`, such as `"crit":[]`, in addition.
fn header_with(key: &Key, member: &str) -> String {
    format!("{},{member}}}", header(key).trim_end_matches('}'))
}

#[cfg(test)]
mod tests;
