//! Auth: who may come in, what they may do here, and for how long.
//!
//! One verdict for every entrance: a request comes in, an admission scoped to its path or a refusal comes out. Where the
//! request was made (CONNECT, upgrade, SETUP, plain HTTP) only decides how a refusal is said. What makes a token good is
//! `moq_token`'s.

mod certificate;
mod http;
mod jwks;
mod keys;
mod lease;
mod penalty;
mod principal;
mod public;
mod refused;
mod remote;
mod request;
#[cfg(test)]
pub(crate) mod testing;
mod trusted;
mod watch;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Instant, SystemTime},
};

use anyhow::{Context as _, anyhow};
use moq_lite::model::origin::Principal;
use moq_native::tls::Trust;
use moq_proto::Path;
use moq_token::{Grant, Refused as BadToken, Verified, Verifier};
use tracing::{info, warn};

use self::{
    certificate::Certificates,
    jwks::{Fetched, Wanted},
    keys::Files,
    lease::Leases,
    penalty::Penalties,
    refused::{Ended, Tally},
    remote::{Occasion, Remote},
    request::Asked,
    trusted::Trusted,
};
pub(crate) use self::{
    lease::Lease,
    public::Public,
    refused::Refused,
    request::{Request, Wish},
    watch::Keeper,
};
use crate::config::{AuthConfig, MtlsConfig};

/// Decides over requests. One for the whole relay.
pub(crate) struct Auth {
    public: Public,
    leases: Leases,
    certificates: Certificates,
    /// Where keys are fetched from; `None`: nowhere.
    wanted: Option<Arc<Wanted>>,
    /// Who else is asked; `None`: nobody.
    remote: Option<Arc<Remote>>,
    /// `None`: nobody has to wait.
    penalties: Option<Penalties>,
    refused: Tally,
    ended: Tally,
    /// Whether a token without an end has been used.
    endless: AtomicBool,
}

/// What somebody who was let in may do, and for how long.
pub(crate) struct Admission {
    /// Rooted at the path asked for, or where the server of `auth.url` puts it; never empty.
    pub(crate) grant: Grant,
    /// On whose behalf they publish. `None`: it is a relay of the cluster, trusted with every name.
    pub(crate) principal: Option<Principal>,
    /// To be kept for as long as the grant is used, which is to stop when it ends.
    pub(crate) lease: Lease,
}

/// Reads the files that `config` names, and makes ready to ask the servers it names. Nobody is asked yet.
///
/// # Errors
/// All that is wrong with the files; or why a server could not be believed.
pub(crate) fn open(config: AuthConfig) -> anyhow::Result<(Auth, Keeper)> {
    let told = |wrong: Vec<keys::FileError>| wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let files = Files::load(config.keys).map_err(|wrong| anyhow!("reading the files of [auth]: {}", told(wrong)))?;
    let trust = match &config.ca {
        Some(path) => Trust::roots_from_file(path).context("reading `auth.ca`")?,
        None => Trust::System,
    };
    let fetched = Fetched::new(config.fetched, &trust, config.fetch).context("making ready to fetch keys")?;
    let wanted = (!fetched.is_empty()).then(|| Arc::new(Wanted::new(config.fetch)));
    let remote = config.remote.map(|remote| Remote::new(remote, &trust, remote::node())).transpose();
    let (remote, messenger) = remote.context("making ready to ask the server of `auth.url`")?.unzip();
    if config.penalty.failures.is_none() {
        warn!("`auth.fail_per_ip` is none: any number of bad tokens may be tried");
    }

    let trusted = Trusted::new(&files, config.policy);
    let public = Public::new(config.public_publish, config.public_subscribe);
    let auth = Auth {
        wanted,
        remote: remote.map(Arc::new),
        penalties: Some(Penalties::new(config.penalty)),
        ..Auth::new(public, trusted.verifier()).with_mtls(config.mtls)
    };
    Ok((auth, Keeper::new(files, trusted, fetched, messenger)))
}

impl Auth {
    pub(crate) fn new(public: Public, verifier: Verifier) -> Self {
        Self {
            public,
            leases: Leases::new(verifier),
            certificates: Certificates::default(),
            wanted: None,
            remote: None,
            penalties: None,
            refused: Tally::default(),
            ended: Tally::default(),
            endless: AtomicBool::new(false),
        }
    }

    /// The same, and certificates of clients allow what these mappings say.
    #[must_use]
    pub(crate) fn with_mtls(self, mappings: Vec<MtlsConfig>) -> Self {
        Self { certificates: Certificates::new(mappings), ..self }
    }

    /// What whoever sent `request` may do. Refusals are counted and logged here, and nowhere else.
    ///
    /// # Errors
    /// Why not.
    ///
    /// # Cancel safety
    /// Dropping the call withdraws the request.
    pub(crate) async fn authorize(&self, request: &Request<'_>) -> Result<Admission, Refused> {
        self.judge(request, SystemTime::now()).await.inspect_err(|refused| {
            let (peer, code, now) = (request.peer.ip(), refused.code(), Instant::now());
            if let Some(suppressed) = self.refused.count(code, now) {
                info!(%peer, %code, reason = %refused, transport = request.carrier(), suppressed, "turned away");
            }
            let begins = |penalties: &Penalties| refused.is_failed_login() && penalties.count(peer, now);
            if self.penalties.as_ref().is_some_and(begins) {
                info!(%peer, "too many bad tokens; who comes from there has to wait, unless a key here vouches for it");
            }
        })
    }

    async fn judge(&self, request: &Request<'_>, now: SystemTime) -> Result<Admission, Refused> {
        let asked = request.read()?;
        let suits = |grant: &Grant| request.wish == Wish::Either || !grant.subscribe.is_empty();
        // Without a token, a certificate that is mapped counts.
        if asked.token.is_none()
            && let Some(admitted) = self.certificates.admit(request.certificate, &asked.path, now)
        {
            return admitted.and_then(|admission| Some(admission).filter(|it| suits(&it.grant)).ok_or(Refused::Elsewhere));
        }
        // Many people share an address, so who guesses must not lock out the others: what is settled here and now, by a key or by
        // being public, is settled under a penalty as well. It costs less than the handshake before it, and helps no guess.
        let waits = self.penalties.as_ref().is_some_and(|penalties| penalties.is_under(request.peer.ip(), Instant::now()));
        let settled = match &asked.token {
            // A token is never weighed against public rights: whoever shows one is judged by it.
            Some(token) => self.by_token(token.expose(), &asked.path, now, waits).await,
            None => {
                let grant = self.public.at(&asked.path).filter(suits).ok_or(Refused::NoToken);
                grant.map(|grant| Admission { grant, principal: Some(principal::public()), lease: Lease::public() })
            }
        };
        let admission = match (settled, &self.remote) {
            (Err(refused), Some(remote)) if is_open(&refused) && !waits => self.by_remote(remote, request, &asked, now).await?,
            (Err(refused), Some(_)) if is_open(&refused) => return Err(Refused::Penalty),
            (Err(refused), None) if waits && refused.is_failed_login() => return Err(Refused::Penalty),
            (settled, _) => settled?,
        };
        let otherwise = if asked.token.is_some() { Refused::Elsewhere } else { Refused::NoToken };
        Some(admission).filter(|admission| suits(&admission.grant)).ok_or(otherwise)
    }

    /// By the keys at hand; or, unless it `waits`, by those that can be fetched.
    async fn by_token(&self, token: &str, path: &Path, now: SystemTime, waits: bool) -> Result<Admission, Refused> {
        let taken = match (self.leases.take(token, now), &self.wanted) {
            (Err(refused), Some(wanted)) if !refused.is_signed() && !waits => self.by_news(token, refused, wanted).await,
            (taken, _) => taken,
        };
        let (verified, lease) = taken?;
        if verified.claims().expires.is_none() && !self.endless.swap(true, Relaxed) {
            warn!(
                "a token without `exp` is in use; it is good until it is revoked or its key is gone. `require_exp` refuses such"
            );
        }
        let grant = verified.grant().at(path).ok_or(Refused::Elsewhere)?;
        Ok(Admission { grant, principal: principal::of_token(&verified), lease })
    }

    /// A key that nobody knows may be new, and then stands where keys are fetched from.
    async fn by_news(&self, token: &str, refused: BadToken, wanted: &Wanted) -> Result<(Verified, Lease), BadToken> {
        let Some(key) = self.leases.unknown_key(token) else { return Err(refused) };
        if !wanted.wait(&key).await {
            return Err(refused);
        }
        let taken = self.leases.take(token, SystemTime::now());
        if self.leases.unknown_key(token).is_some() {
            wanted.missed(key);
        }
        taken
    }

    async fn by_remote(
        &self,
        remote: &Arc<Remote>,
        request: &Request<'_>,
        asked: &Asked,
        now: SystemTime,
    ) -> Result<Admission, Refused> {
        let inquiry = Arc::new(request.inquiry(asked));
        let verifier = self.leases.verifier();
        let given = remote.ask(&inquiry, Occasion::Connect, &verifier, now).await?;
        let principal = principal::of_given(&given, asked.token.as_ref());
        let grant = given.grant.clone();
        let lease = self.leases.give(given, inquiry, remote.clone(), Instant::now());
        Ok(Admission { grant, principal, lease })
    }

    /// Asks again about one of those inside whom the server of `auth.url` let in.
    async fn ask_again(&self, remote: &Remote, lease: u64, inquiry: &remote::Inquiry) {
        let verifier = self.leases.verifier();
        let given = remote.ask(inquiry, Occasion::Revalidate, &verifier, SystemTime::now()).await;
        let ended = self.leases.answered(lease, given, Instant::now(), remote.grace());
        self.note(ended);
    }

    /// Ends what is over by the time of day.
    fn expire(&self, now: SystemTime) {
        self.note(self.leases.expire(now));
        self.note(self.certificates.expire(now));
    }

    /// Judges by `verifier` from now on, those inside as well. Returns how many of them have to leave.
    fn replace(&self, verifier: Verifier, now: SystemTime) -> usize {
        self.note(self.leases.replace(verifier, now))
    }

    fn note(&self, ended: impl IntoIterator<Item = Ended>) -> usize {
        let mut count = 0;
        for ended in ended {
            // Each is logged where it ends.
            let _ = self.ended.count(ended.code(), Instant::now());
            count += 1;
        }
        count
    }

    /// Every counter with its name and the reason it counts.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let named = |name| move |(reason, count)| (name, reason, count);
        let refused = self.refused.read().map(named("moq_relay_refused_total"));
        let ended = self.ended.read().map(named("moq_relay_rights_ended_total"));
        let fetched = self.wanted.iter().flat_map(|wanted| wanted.counts());
        refused.chain(ended).chain(fetched).chain(self.remote.iter().flat_map(|remote| remote.counts()))
    }
}

/// Whether somebody else may decide after the relay has refused: not over what one of its own keys has signed.
fn is_open(refused: &Refused) -> bool {
    match refused {
        Refused::Token(BadToken::TooLong { .. }) => false,
        Refused::Token(refused) => !refused.is_signed(),
        refused => *refused == Refused::NoToken,
    }
}

#[cfg(test)]
mod tests;
