//! `moq-token inspect`: what stands in a token or a key, believed or not.

use std::time::SystemTime;

use anyhow::Context;
use clap::Args;
use moq_token::{Key, Unverified};
use serde_json::{Value, json};

use crate::{
    Outcome,
    input::{self, Keys, Place},
    output, summary,
};

/// Show what stands in a token, or with --key in a key, as JSON
///
/// Nothing is verified: anybody can write a token that says anything. Secrets of keys are not shown.
#[derive(Args)]
pub(crate) struct Options {
    /// File of the token; `-` for standard input.
    #[arg(long = "in", value_name = "PATH", default_value = "-")]
    input: Place,
}

impl Options {
    pub(crate) fn run(self, keys: Keys) -> anyhow::Result<Outcome> {
        if !keys.0.is_empty() {
            return keys.read_all()?.iter().try_for_each(|key| output::line(&describe(key).to_string())).map(|()| Outcome::Done);
        }
        let token = input::token(&self.input)?;
        let parts = Unverified::of(&token)?;
        let header: Value = serde_json::from_str(&parts.header_text()?).context("reading the header")?;
        let claims: Value = serde_json::from_str(&parts.claims_text()?).context("reading the claims")?;
        output::line(&json!({ "header": header, "claims": claims, "verified": false }).to_string())?;
        eprintln!("not verified; anybody could have written this:");
        match parts.header().and_then(|_| parts.claims()) {
            Ok(claims) => summary::claims(&claims, SystemTime::now()).iter().for_each(|line| eprintln!("  {line}")),
            Err(refused) => eprintln!("  every relay refuses it ({}): {refused}", refused.code()),
        }
        Ok(Outcome::Done)
    }
}

fn describe(key: &Key) -> Value {
    let scope = key.scope().map(|scope| {
        let texts = |paths: &[moq_proto::Path]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        json!({ "root": scope.root.as_str(), "put": texts(&scope.publish), "get": texts(&scope.subscribe) })
    });
    json!({
        "kid": key.id().map(|id| id.as_str()),
        "kty": key.algorithm().family().name(),
        "alg": key.algorithm().name(),
        "private": key.is_private(),
        "signs": key.can_sign(),
        "verifies": key.can_verify(),
        "scope": scope,
    })
}
