//! The contract by POST: the relay tells the server all it knows of a peer, and the server answers with a grant.
//!
//! A session is told of when it connects, again as often as the server wishes, and when it ends. Names on the wire are those of
//! the contract that the newest upstream relay speaks with its own server.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use moq_proto::canonical;
use moq_token::Grant;
use serde::{Deserialize, Serialize};

use super::{Bytes, Given, Inquiry, NotGiven, Occasion, prefixes};
use crate::{
    auth::{Wish, http::Answer},
    secret::Secret,
};

/// Longest time between two questions about one session: a server that says more has mistaken the unit.
const AGAIN_MAX: Duration = Duration::from_secs(24 * 3600);

#[derive(Serialize)]
struct Question<'a> {
    id: &'a str,
    event: &'static str,
    #[serde(flatten)]
    end: Option<End>,
    node: &'a str,
    transport: &'static str,
    remote: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
}

#[derive(Serialize)]
struct End {
    reason: &'static str,
    /// In seconds.
    duration: f64,
    bytes: Bytes,
}

#[derive(Serialize)]
struct Token {
    /// 0: agreed on out of band.
    kind: u8,
    value: String,
}

/// What a server says. What is not known here narrows nothing.
#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    subscribe: Vec<String>,
    root: Option<String>,
    #[serde(default)]
    mounts: serde_json::Map<String, serde_json::Value>,
    /// Seconds since 1970.
    expires: Option<u64>,
    /// Seconds from now.
    revalidate: Option<u64>,
    /// Whether the peer is a relay of the cluster.
    #[serde(default)]
    peer: bool,
    /// Whom the peer is known as, however often it comes and with which token. Ours alone.
    subject: Option<String>,
}

/// The body of a question about `inquiry`.
pub(super) fn question(inquiry: &Inquiry, occasion: &Occasion, node: &str) -> Vec<u8> {
    let (event, end) = match occasion {
        Occasion::Connect => ("connect", None),
        Occasion::Revalidate => ("revalidate", None),
        Occasion::End { reason, lasted, bytes } => ("end", Some(End { reason, duration: lasted.as_secs_f64(), bytes: *bytes })),
    };
    let token = inquiry.header.as_ref().map(|token| Token { kind: 0, value: URL_SAFE_NO_PAD.encode(token.expose()) });
    let question = Question {
        id: &inquiry.id,
        event,
        end,
        node,
        transport: inquiry.carrier,
        remote: inquiry.peer.to_string(),
        // As the relay has read it: both sides speak of the same place.
        path: format!("/{}", inquiry.path),
        query: inquiry.query.as_ref().map(Secret::expose),
        token,
        role: (inquiry.wish == Wish::Subscribe).then_some("subscriber"),
    };
    // Texts and numbers can always be written.
    serde_json::to_vec(&question).unwrap_or_default()
}

/// Reads a reply that was 2xx.
///
/// # Errors
/// When it gives nothing, or what cannot be honoured.
pub(super) fn read(answer: &Answer, inquiry: &Inquiry, now: SystemTime) -> Result<Given, NotGiven> {
    let unusable = |what: String| NotGiven::Unusable(what);
    let reply: Reply = serde_json::from_slice(&answer.body).map_err(|error| unusable(error.to_string()))?;
    if !reply.mounts.is_empty() {
        return Err(unusable("`mounts` are not known here".into()));
    }
    let root = match reply.root {
        Some(root) => canonical(&root).map_err(|error| unusable(format!("`root`: {error}")))?,
        None => inquiry.path.clone(),
    };
    let expires = reply.expires.map(|seconds| {
        let expires = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        expires.ok_or_else(|| unusable("`expires` is beyond all time".into()))
    });
    let expires = expires.transpose()?;
    if expires.is_some_and(|expires| expires <= now) {
        return Err(unusable("`expires` is past".into()));
    }
    let again = reply.revalidate.map(Duration::from_secs);
    if again.is_some_and(|again| again.is_zero()) {
        return Err(unusable("`revalidate` is zero".into()));
    }
    if again.is_some() && expires.is_none() {
        return Err(unusable("`revalidate` without `expires`: a session would outlive a server that is gone".into()));
    }
    let grant = Grant { root, publish: prefixes(&reply.publish)?, subscribe: prefixes(&reply.subscribe)?, expires };
    if grant.is_empty() {
        return Err(unusable("neither `publish` nor `subscribe`".into()));
    }
    Ok(Given {
        grant,
        again: again.map(|again| again.min(AGAIN_MAX)),
        verified: None,
        subject: reply.subject,
        is_relay: reply.peer,
    })
}
