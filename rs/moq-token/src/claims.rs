//! What a token says: who may publish and subscribe where, and from when until when.
//!
//! Paths are read the one way all paths are, and written so that they read back the same. Members that are not known are
//! passed over; a member of the wrong type is an error, never a guess. Spec: RFC 7519, section 4; the claims of MoQ tokens.

use std::time::{Duration, SystemTime};

use moq_proto::Path;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    ClaimsError, Grant, json,
    prefixes::{self, Written},
};

/// The last second RFC 3339 can write. A later time is a mistake, most likely milliseconds, and would never come.
const SECONDS_MAX: u64 = 253_402_300_799;

/// The claims of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Where the paths below count from. Claim `root`.
    pub root: Path,
    /// Prefixes of what may be published, below the root; one that is empty is everything. Claim `put`.
    pub publish: Vec<Path>,
    /// Prefixes of what may be subscribed to, below the root; one that is empty is everything. Claim `get`.
    pub subscribe: Vec<Path>,
    /// From then on it is worth nothing. Claim `exp`, as are the next two in whole seconds.
    pub expires: Option<SystemTime>,
    /// When it was signed. Claim `iat`.
    pub issued: Option<SystemTime>,
    /// Before then it is worth nothing yet. Claim `nbf`.
    pub not_before: Option<SystemTime>,
    /// Whether it is for a relay rather than for a client. Claim `cluster`.
    pub cluster: bool,
    /// The token's own name, by which it can be revoked. Claim `jti`.
    pub id: Option<String>,
    /// Whom it is for. Claim `sub`.
    pub subject: Option<String>,
    /// Who made it. Claim `iss`.
    pub issuer: Option<String>,
    /// Which services it is for; none: any. Claim `aud`.
    pub audience: Vec<String>,
}

impl Claims {
    /// Reads the JSON of a token's middle part.
    ///
    /// # Errors
    /// A member of the wrong type or there twice, a path that can be none, a time after the year 9999.
    pub fn from_json(text: &str) -> Result<Self, ClaimsError> {
        json::read::<Json>(text).map_err(|error| ClaimsError::Json(error.to_string()))?.try_into()
    }

    /// The JSON of a token's middle part.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&Json::from(self)).unwrap_or_default()
    }

    /// Whether it allows nothing.
    pub fn is_useless(&self) -> bool {
        self.publish.is_empty() && self.subscribe.is_empty()
    }

    /// What it allows, as a grant from its root.
    pub fn grant(&self) -> Grant {
        Grant { root: self.root.clone(), publish: self.publish.clone(), subscribe: self.subscribe.clone(), expires: self.expires }
    }
}

/// Claims as they stand in a token.
#[derive(Serialize, Deserialize)]
struct Json {
    // Always written: some readers demand it even when it is empty.
    #[serde(default)]
    root: String,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    put: Option<Written>,
    #[serde(default, deserialize_with = "there", skip_serializing)]
    publish: Option<Written>,
    #[serde(default, deserialize_with = "there", skip_serializing, rename = "pub")]
    publ: Option<Written>,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    get: Option<Written>,
    #[serde(default, deserialize_with = "there", skip_serializing)]
    subscribe: Option<Written>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cluster: bool,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    aud: Option<Written>,
}

impl TryFrom<Json> for Claims {
    type Error = ClaimsError;

    fn try_from(json: Json) -> Result<Self, ClaimsError> {
        let publish = prefixes::one_of([("put", json.put), ("publish", json.publish), ("pub", json.publ)])?;
        let subscribe = prefixes::one_of([("get", json.get), ("subscribe", json.subscribe)])?;
        Ok(Self {
            root: prefixes::path(&json.root)?,
            publish,
            subscribe,
            expires: time("exp", json.exp)?,
            issued: time("iat", json.iat)?,
            not_before: time("nbf", json.nbf)?,
            cluster: json.cluster,
            id: json.jti,
            subject: json.sub,
            issuer: json.iss,
            audience: json.aud.map(Vec::from).unwrap_or_default(),
        })
    }
}

impl From<&Claims> for Json {
    fn from(claims: &Claims) -> Self {
        Self {
            root: prefixes::escape(&claims.root),
            put: prefixes::written(&claims.publish),
            publish: None,
            publ: None,
            get: prefixes::written(&claims.subscribe),
            subscribe: None,
            exp: claims.expires.map(seconds),
            iat: claims.issued.map(seconds),
            nbf: claims.not_before.map(seconds),
            cluster: claims.cluster,
            jti: claims.id.clone(),
            sub: claims.subject.clone(),
            iss: claims.issuer.clone(),
            aud: Some(claims.audience.clone()).filter(|audience| !audience.is_empty()).map(Written::Many),
        }
    }
}

/// A member that may be left out, but not `null`. The times may: signers exist that write `null` for never.
fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn time(claim: &'static str, seconds: Option<u64>) -> Result<Option<SystemTime>, ClaimsError> {
    match seconds {
        Some(seconds) if seconds > SECONDS_MAX => Err(ClaimsError::FarFuture { claim, seconds }),
        seconds => Ok(seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))),
    }
}

/// Whole seconds since 1970; what lies before is 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
