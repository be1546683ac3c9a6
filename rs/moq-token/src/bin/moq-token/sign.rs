//! `moq-token sign`: a token.

use std::time::SystemTime;

use anyhow::{Context, bail};
use clap::Args;
use moq_proto::canonical;
use moq_token::Claims;

use crate::{
    Outcome,
    input::Keys,
    output, summary,
    when::{self, When},
};

/// Sign a token, and print it
///
/// What it allows goes to standard error in words. Paths are prefixes, whole segments: `room` allows `room/alice`, not `roomy`.
#[derive(Args)]
pub(crate) struct Options {
    /// Where the other paths count from, and where its holder may connect.
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
    root: String,
    /// Allow to publish below this path. Empty: everything below the root. Repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    publish: Vec<String>,
    /// Allow to subscribe below this path. Empty: everything below the root. Repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    subscribe: Vec<String>,
    /// The token is for a relay of the cluster.
    #[arg(long)]
    cluster: bool,
    /// When it ends: `1h` or `7d` from now, `2027-01-01T00:00:00Z`, or seconds since 1970. Default: never.
    #[arg(long, value_name = "TIME")]
    expires: Option<When>,
    /// When it was issued, in the same spellings. Default: now.
    #[arg(long, value_name = "TIME")]
    issued: Option<When>,
    /// When it begins, in the same spellings. Default: at once.
    #[arg(long, value_name = "TIME")]
    not_before: Option<When>,
    /// The name of this one token, by which it can be revoked.
    #[arg(long, value_name = "ID")]
    jti: Option<String>,
    /// Whom it is for, for the relay's log and for revoking.
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Who made it.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Which relays it is for, if they are told their audience. Repeatable.
    #[arg(long, value_name = "NAME")]
    audience: Vec<String>,
}

impl Options {
    pub(crate) fn run(self, keys: Keys) -> anyhow::Result<Outcome> {
        let now = SystemTime::now();
        let claims = self.claims(now)?;
        let key = keys.read_only()?;
        if claims.is_useless() {
            bail!("the token would allow nothing; add --publish PATH or --subscribe PATH (\"\" is everything below the root)");
        }
        let token = key.sign(&claims).context("signing")?;
        output::line(&token)?;
        eprintln!("signed by {}", summary::key(&key));
        for line in summary::claims(&claims, now) {
            eprintln!("  {line}");
        }
        if claims.expires.is_none() {
            eprintln!("note: a token that leaks stays good for ever; --expires 1h ends it");
        }
        Ok(Outcome::Done)
    }

    fn claims(self, now: SystemTime) -> anyhow::Result<Claims> {
        let path = |text: &String| canonical(text).with_context(|| format!("path `{text}`"));
        let paths = |texts: &[String]| texts.iter().map(path).collect::<anyhow::Result<_>>();
        let time = |name: &str, time: Option<When>| match time.map(|time| time.from(now)) {
            Some(None) => bail!("--{name} lies after the year 9999"),
            time => Ok(time.flatten()),
        };
        let expires = time("expires", self.expires)?;
        if let Some(past) = expires.filter(|expires| *expires <= now) {
            bail!("--expires is past: {}; for an hour from now, say `--expires 1h`", when::describe(past, now));
        }
        let not_before = time("not-before", self.not_before)?;
        if not_before.zip(expires).is_some_and(|(start, end)| start >= end) {
            bail!("--not-before is not before --expires");
        }
        Ok(Claims {
            root: path(&self.root)?,
            publish: paths(&self.publish)?,
            subscribe: paths(&self.subscribe)?,
            expires,
            issued: time("issued", self.issued)?.or(Some(now)),
            not_before,
            cluster: self.cluster,
            id: self.jti,
            subject: self.subject,
            issuer: self.issuer,
            audience: self.audience,
        })
    }
}
