//! `moq-token explain`: what a token may do at an address, and why not.

use std::time::SystemTime;

use anyhow::{Context, bail};
use clap::Args;
use moq_proto::{Path, canonical};
use moq_token::{Grant, Policy, Refused, Revoked, Verified, Verifier, address};
use serde_json::json;
use url::Url;

use crate::{
    Outcome,
    input::{self, Keys, Place},
    output, summary,
};

/// Tell what a token may do at an address, and why not
///
/// Decides as a relay with the same keys does. Exit status 0: it would be let in. 1: it would not.
#[derive(Args)]
pub(crate) struct Options {
    /// The address a client would dial; its token in `?jwt=`, unless --in brings one.
    #[arg(long)]
    url: Url,
    /// File of the token; `-` for standard input. Keeps it out of the list of processes.
    #[arg(long = "in", value_name = "PATH")]
    input: Option<Place>,
}

impl Options {
    pub(crate) fn run(self, keys: Keys) -> anyhow::Result<Outcome> {
        let path = canonical(self.url.path()).context("the path of --url")?;
        if let Some(place) = &self.input {
            keys.apart_from(place)?;
        }
        let set = keys.read_all()?;
        let Some(token) = self.token()? else {
            return refuse(&path, "no-token", "the address has no token in ?jwt=; without one only what is public is open");
        };
        let verifier = Verifier::new(set, Policy::default(), Revoked::default());
        let verified = match verifier.verify(&token, SystemTime::now()) {
            Ok(verified) => verified,
            Err(refused) => return refuse(&path, refused.code(), &format!("{refused}{}", advice(&refused))),
        };
        match verified.grant().at(&path) {
            Some(grant) => admit(&path, &verified, &grant),
            None => refuse(&path, "elsewhere", &elsewhere(&path, &verified)),
        }
    }

    /// The token to judge. Of several in the address the last counts, and an empty one is none.
    fn token(&self) -> anyhow::Result<Option<String>> {
        let shown = self.url.query().and_then(address::token);
        match &self.input {
            Some(_) if shown.is_some() => bail!("a token in --url and another in --in; which one?"),
            Some(place) => input::token(place).map(Some),
            None => Ok(shown),
        }
    }
}

fn admit(path: &Path, verified: &Verified, grant: &Grant) -> anyhow::Result<Outcome> {
    let texts = |paths: &[Path]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let answer = json!({
        "admitted": true,
        "path": path.as_str(),
        "publish": texts(&grant.publish),
        "subscribe": texts(&grant.subscribe),
        "exp": grant.expires.map(seconds),
        "kid": verified.key().id().map(|id| id.as_str()),
    });
    output::line(&answer.to_string())?;
    eprintln!("let in at /{path}, by {}", summary::key(verified.key()));
    for line in summary::grant(grant) {
        eprintln!("  {line}");
    }
    Ok(Outcome::Done)
}

fn refuse(path: &Path, reason: &str, why: &str) -> anyhow::Result<Outcome> {
    output::line(&json!({ "admitted": false, "path": path.as_str(), "reason": reason }).to_string())?;
    eprintln!("refused at /{path} ({reason}): {why}");
    Ok(Outcome::Refused)
}

/// Why a good token allows nothing at `path`.
fn elsewhere(path: &Path, verified: &Verified) -> String {
    let claims = verified.claims();
    if !path.has_prefix(&claims.root) && !claims.root.has_prefix(path) {
        return format!("the token is for /{}, and this is elsewhere; segments must be equal, to the letter", claims.root);
    }
    let [publish, subscribe] = summary::grant(&claims.grant());
    format!("the token is good and allows nothing here\n  {publish}\n  {subscribe}")
}

fn advice(refused: &Refused) -> &'static str {
    match refused {
        Refused::Expired(_) => "; sign a new one",
        Refused::NotYet(_) | Refused::IssuedLater(_) => "; is a clock wrong?",
        Refused::UnknownKey | Refused::Signature | Refused::WrongAlgorithm { .. } => {
            "; `inspect` shows the key id in its header, `inspect --key` that of a key"
        }
        Refused::Malformed(_) => "; was it copied whole?",
        _ => "",
    }
}
