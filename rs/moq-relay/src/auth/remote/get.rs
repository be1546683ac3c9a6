//! The contract by GET: the server says which key the token is to be verified with, what is public, and what a path is really
//! called; the relay judges by that.
//!
//! The token itself never leaves the relay. Names on the wire are those of the unified interface of upstream's relays 0.12 to
//! 0.14.

use std::time::{Duration, SystemTime};

use moq_proto::canonical;
use moq_token::{Grant, KeySet, Unverified, Verifier};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::{Given, Inquiry, NotGiven, prefixes};
use crate::{auth::http::Answer, secret::Secret};

/// Least time between two questions about one session, whatever the server says.
const AGAIN_MIN: Duration = Duration::from_secs(5);

/// What a server says; all of it may be missing.
#[derive(Deserialize)]
struct Reply {
    alias: Option<String>,
    public: Option<Public>,
    key: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Deserialize)]
struct Public {
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    subscribe: Vec<String>,
}

/// Where to ask about `inquiry`.
pub(super) fn question(inquiry: &Inquiry, base: &Url) -> Url {
    let mut url = base.clone();
    let mut query = url.query_pairs_mut();
    query.append_pair("root", inquiry.path.as_str());
    // A token that is none has no id, and is refused once the answer is there.
    let header = inquiry.token.as_ref().and_then(|token| Unverified::of(token.expose()).ok()?.header().ok());
    if let Some(id) = header.and_then(|header| header.key) {
        query.append_pair("kid", id.as_str());
    }
    query.append_pair("transport", inquiry.carrier);
    drop(query);
    url
}

/// Reads a reply that was 2xx. Asked again after `max-age`, or `refresh` at the latest.
///
/// # Errors
/// When the reply, or the token judged by it, gives nothing.
pub(super) fn read(
    answer: &Answer,
    inquiry: &Inquiry,
    verifier: &Verifier,
    now: SystemTime,
    refresh: Duration,
) -> Result<Given, NotGiven> {
    let unusable = |what: String| NotGiven::Unusable(what);
    let reply: Reply = serde_json::from_slice(&answer.body).map_err(|error| unusable(error.to_string()))?;
    let (grant, verified) = match inquiry.token.as_ref().map(Secret::expose) {
        Some(token) => {
            let key = reply.key.ok_or(moq_token::Refused::UnknownKey)?;
            let key = Zeroizing::new(serde_json::to_string(&key).unwrap_or_default());
            let keys = KeySet::from_text(&key).map_err(|error| unusable(format!("`key`: {error}")))?.verifying();
            let verified = verifier.with_keys(keys.clone()).verify(token, now)?;
            (verified.grant().at(&inquiry.path).ok_or(NotGiven::Elsewhere)?, Some((verified, keys)))
        }
        None => {
            let public = reply.public.ok_or(NotGiven::NoToken)?;
            let (publish, subscribe) = (prefixes(&public.publish)?, prefixes(&public.subscribe)?);
            let grant = Grant { root: inquiry.path.clone(), publish, subscribe, expires: None };
            (Some(grant).filter(|grant| !grant.is_empty()).ok_or(NotGiven::NoToken)?, None)
        }
    };
    let root = match reply.alias {
        Some(alias) => canonical(&alias).map_err(|error| unusable(format!("`alias`: {error}")))?,
        None => grant.root.clone(),
    };
    // As deep as the path, so that what a token says of places above and below stays true.
    if root.segments().count() != grant.root.segments().count() {
        return Err(unusable("`alias` is not as deep as the path".into()));
    }
    let again = answer.max_age().unwrap_or(refresh).clamp(AGAIN_MIN.min(refresh), refresh);
    Ok(Given { grant: Grant { root, ..grant }, again: Some(again), verified, subject: None, is_relay: false })
}
