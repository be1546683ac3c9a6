//! Claims in words, for whoever sits at the terminal.

use std::time::SystemTime;

use moq_proto::Path;
use moq_token::{Claims, Grant, Key};

use crate::when;

/// What `claims` say, a line each.
pub(crate) fn claims(claims: &Claims, now: SystemTime) -> Vec<String> {
    let mut lines = grant(&claims.grant()).to_vec();
    lines.push(match claims.expires {
        Some(expires) => format!("expires    {}", when::describe(expires, now)),
        None => "expires    never; only revoking it, or its key, ends it".to_owned(),
    });
    if let Some(start) = claims.not_before {
        lines.push(format!("not before {}", when::describe(start, now)));
    }
    if claims.cluster {
        lines.push("for        a relay of the cluster".to_owned());
    }
    // These are free text: quoted, so that they cannot play with the terminal.
    let texts = [("subject", &claims.subject), ("issuer", &claims.issuer), ("token id", &claims.id)];
    lines.extend(texts.into_iter().filter_map(|(name, text)| Some(format!("{name:<10} {:?}", text.as_ref()?))));
    if !claims.audience.is_empty() {
        lines.push(format!("audience   {:?}", claims.audience));
    }
    lines
}

/// What `grant` allows, a line each for publishing and subscribing.
pub(crate) fn grant(grant: &Grant) -> [String; 2] {
    let below = |prefixes: &[Path]| {
        let below = |prefix: &Path| match grant.root.join(prefix) {
            Ok(path) if path.is_root() => "everything".to_owned(),
            Ok(path) => format!("{path} and below"),
            Err(error) => format!("nothing ({error})"),
        };
        if prefixes.is_empty() { "nothing".to_owned() } else { prefixes.iter().map(below).collect::<Vec<_>>().join(", ") }
    };
    [format!("publish    {}", below(&grant.publish)), format!("subscribe  {}", below(&grant.subscribe))]
}

/// Which key it is.
pub(crate) fn key(key: &Key) -> String {
    match key.id() {
        Some(id) => format!("{} key {id}", key.algorithm()),
        None => format!("{} key without an id", key.algorithm()),
    }
}
