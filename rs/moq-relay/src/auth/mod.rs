//! Auth: who may come in, what they may do here, and for how long.
//!
//! One verdict for every entrance: a request comes in, an admission scoped to its path or a refusal comes out. Where the
//! request was made (CONNECT, upgrade, SETUP, plain HTTP) only decides how a refusal is said. What makes a token good is
//! `moq_token`'s.

mod certificate;
mod keys;
mod lease;
mod principal;
mod public;
mod refused;
mod request;
#[cfg(test)]
pub(crate) mod testing;
mod watch;

use std::time::SystemTime;

use moq_lite::model::origin::Principal;
use moq_token::{Grant, Verifier};
use tracing::info;

use self::{certificate::Certificates, lease::Leases, refused::Tally, request::Asked};
pub(crate) use self::{
    keys::{FileError, Files},
    lease::Lease,
    public::Public,
    refused::Refused,
    request::{Request, Wish},
    watch::run as watch,
};
use crate::config::MtlsConfig;

/// Decides over requests. One for the whole relay.
pub(crate) struct Auth {
    public: Public,
    leases: Leases,
    certificates: Certificates,
    refused: Tally,
    ended: Tally,
}

/// What somebody who was let in may do, and for how long.
pub(crate) struct Admission {
    /// Rooted at the path asked for; never empty.
    pub(crate) grant: Grant,
    /// On whose behalf they publish. `None`: it is a relay of the cluster, trusted with every name.
    pub(crate) principal: Option<Principal>,
    /// To be kept for as long as the grant is used, which is to stop when it ends.
    pub(crate) lease: Lease,
}

impl Auth {
    pub(crate) fn new(public: Public, verifier: Verifier) -> Self {
        Self {
            public,
            leases: Leases::new(verifier),
            certificates: Certificates::default(),
            refused: Tally::default(),
            ended: Tally::default(),
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
            self.refused.count(refused.code());
            info!(peer = %request.peer.ip(), code = %refused.code(), reason = %refused, transport = request.carrier(), "turned away");
        })
    }

    async fn judge(&self, request: &Request<'_>, now: SystemTime) -> Result<Admission, Refused> {
        let Asked { path, token } = request.read()?;
        let suits = |grant: &Grant| request.wish == Wish::Either || !grant.subscribe.is_empty();
        if token.is_none()
            && let Some(admitted) = self.certificates.admit(request.certificate, &path, now)
        {
            return admitted.and_then(|admission| Some(admission).filter(|it| suits(&it.grant)).ok_or(Refused::Elsewhere));
        }
        let (grant, principal, lease, otherwise) = match token {
            // A token is never weighed against public rights: whoever shows one is judged by it.
            Some(token) => {
                let (verified, lease) = self.leases.take(&token, now)?;
                (verified.grant().at(&path), principal::of_token(&verified), lease, Refused::Elsewhere)
            }
            None => (self.public.at(&path), Some(principal::public()), Lease::public(), Refused::NoToken),
        };
        let grant = grant.filter(suits).ok_or(otherwise)?;
        Ok(Admission { grant, principal, lease })
    }

    /// Ends what is over by the time of day.
    fn expire(&self, now: SystemTime) {
        self.leases.expire(now).iter().for_each(|refused| self.ended.count(refused.code()));
        self.certificates.expire(now).iter().for_each(|ended| self.ended.count(ended.code()));
    }

    /// Judges by `verifier` from now on, those inside as well. Returns how many of them have to leave.
    fn replace(&self, verifier: Verifier, now: SystemTime) -> usize {
        let ended = self.leases.replace(verifier, now);
        ended.iter().for_each(|refused| self.ended.count(refused.code()));
        ended.len()
    }

    /// Every counter with its name and the reason it counts.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let named = |name| move |(reason, count)| (name, reason, count);
        let refused = self.refused.read().map(named("moq_relay_refused_total"));
        refused.chain(self.ended.read().map(named("moq_relay_rights_ended_total")))
    }
}

#[cfg(test)]
mod tests;
