//! `Verifier`: whether a token is good.
//!
//! One road for every token, whoever brings it: its spelling, its header, its key, its signature, and only then what it says.
//! Knows no I/O and no clock; the time of day is handed in. What a good token allows at a path is `grant`'s.
//! Spec: RFC 7515, section 5.2; RFC 7519, sections 4.1 and 7.2; RFC 8725, section 3.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{Claims, Grant, Key, KeyId, KeySet, Refused, Revoked, Utc, token::Unverified};

/// What is asked of tokens beyond a good signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How far the clock of whoever signs may be ahead of ours. Expiry is exact.
    pub leeway: Duration,
    /// Whether tokens must expire at all.
    pub require_expiry: bool,
    /// Longest life of a token, from when it was signed or, if it does not say, from now. `None`: any.
    pub lifetime_max: Option<Duration>,
    /// The name we answer to in `aud`. Tokens for other audiences are refused; `None`: tokens for any audience are.
    pub audience: Option<String>,
    /// Who tokens must be by, as their `iss` says. `None`: anybody whose key is trusted.
    pub issuer: Option<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { leeway: Duration::from_secs(5), require_expiry: false, lifetime_max: None, audience: None, issuer: None }
    }
}

/// Knows which tokens are good: signed by one of its keys, within their time, not revoked.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    keys: KeySet,
    policy: Policy,
    revoked: Revoked,
}

/// A token that was good when it was looked at.
#[derive(Clone, Debug)]
pub struct Verified {
    claims: Claims,
    key: Arc<Key>,
    /// The id in the token's header, which the only key of a set need not have.
    named: Option<KeyId>,
}

impl Verifier {
    /// Private parts of `keys` are dropped.
    pub fn new(keys: KeySet, policy: Policy, revoked: Revoked) -> Self {
        Self { keys: keys.verifying(), policy, revoked }
    }

    pub fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// One that asks the same of tokens, and trusts `keys` instead.
    #[must_use]
    pub fn with_keys(&self, keys: KeySet) -> Self {
        Self::new(keys, self.policy.clone(), self.revoked.clone())
    }

    /// Judges `token`, exactly as it came, at the time of day `now`.
    ///
    /// # Errors
    /// Why it is refused; the first of all reasons.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Verified, Refused> {
        let parts = Unverified::of(token)?;
        let header = parts.header()?;
        let candidates = self.keys.candidates(&header)?;
        let fitting = |key: &&Arc<Key>| key.algorithm() == header.algorithm;
        if let Some(other) = candidates.first().filter(|_| !candidates.iter().any(fitting)) {
            return Err(Refused::WrongAlgorithm { key: other.algorithm(), header: header.algorithm });
        }
        let signer = candidates
            .into_iter()
            .filter(|key| fitting(key) && key.can_verify())
            .find(|key| key.verifies(parts.message.as_bytes(), parts.signature))
            .ok_or(Refused::Signature)?;
        let verified = Verified { claims: parts.claims()?, key: signer.clone(), named: header.key };
        self.judge(&verified, now)?;
        Ok(verified)
    }

    /// Judges a token again that was good before, perhaps to another verifier: its key may be gone, its time over, its name
    /// on the list.
    ///
    /// # Errors
    /// Why it is not good any more.
    pub fn again(&self, verified: &Verified, now: SystemTime) -> Result<(), Refused> {
        let key = self.keys.twin(&verified.key).filter(|key| key.can_verify()).ok_or(Refused::UnknownKey)?;
        self.judge(&Verified { key: key.clone(), ..verified.clone() }, now)
    }

    /// All that does not depend on the token's spelling.
    fn judge(&self, verified: &Verified, now: SystemTime) -> Result<(), Refused> {
        let claims = &verified.claims;
        self.times(claims, now)?;
        if !claims.audience.is_empty() && !self.policy.audience.as_ref().is_some_and(|own| claims.audience.contains(own)) {
            return Err(Refused::Audience);
        }
        if self.policy.issuer.is_some() && claims.issuer != self.policy.issuer {
            return Err(Refused::Issuer);
        }
        if claims.is_useless() {
            return Err(Refused::Useless);
        }
        if let Some(excess) = verified.key.scope().and_then(|scope| scope.exceeded_by(claims)) {
            return Err(Refused::Scope(excess));
        }
        self.revoked.check(claims, verified.key.id().into_iter().chain(&verified.named))
    }

    fn times(&self, claims: &Claims, now: SystemTime) -> Result<(), Refused> {
        if let Some(expires) = claims.expires.filter(|expires| now >= *expires) {
            return Err(Refused::Expired(Utc(expires)));
        }
        let soon = now + self.policy.leeway;
        if let Some(start) = claims.not_before.filter(|start| *start > soon) {
            return Err(Refused::NotYet(Utc(start)));
        }
        if let Some(issued) = claims.issued.filter(|issued| *issued > soon) {
            return Err(Refused::IssuedLater(Utc(issued)));
        }
        let Some(expires) = claims.expires else {
            let must = self.policy.require_expiry || self.policy.lifetime_max.is_some();
            return if must { Err(Refused::NoExpiry) } else { Ok(()) };
        };
        let lifetime = expires.duration_since(claims.issued.unwrap_or(now)).unwrap_or_default();
        match self.policy.lifetime_max {
            Some(max) if lifetime > max => Err(Refused::LongLived { lifetime: lifetime.as_secs(), max: max.as_secs() }),
            _ => Ok(()),
        }
    }
}

impl Verified {
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The key that signed it, without its private part.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What it allows, as a grant from its root.
    pub fn grant(&self) -> Grant {
        self.claims.grant()
    }
}

#[cfg(test)]
mod tests;
