//! Leases: the rights of those inside, and their end.
//!
//! Whoever was let in by a token, or by the server of `auth.url`, holds a lease for as long as it uses what that allows. The
//! lease ends when the right does: by the time of day, by its key being removed, by being revoked, by the server taking it
//! back. One sweep looks at all of them, so a lease costs an entry in a table and no timer. What is public ends with the relay,
//! and has no entry. When to sweep, and whom to ask again, is `watch`'s.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use moq_proto::Path;
use moq_token::{Grant, KeyId, KeySet, Refused, Unverified, Utc, Verified, Verifier};
use tokio::sync::oneshot;

use super::{
    certificate,
    refused::Ended,
    remote::{Bytes, Given, Inquiry, NotGiven, Remote},
};

/// Pause before a server that did not answer for a session is asked again.
const RETRY: Duration = Duration::from_secs(2);

/// All leases that are held, and the verifier that judges them. Clones are the same.
#[derive(Clone)]
pub(super) struct Leases {
    table: Arc<Mutex<Table>>,
}

struct Table {
    /// As the newest good files have it.
    verifier: Arc<Verifier>,
    entries: HashMap<u64, Entry>,
    next: u64,
}

struct Entry {
    right: Right,
    ends: oneshot::Sender<Ended>,
}

/// What a lease rests on.
enum Right {
    /// A token signed by a key of the relay's own.
    Token(Box<Verified>),
    /// The word of the server of `auth.url`.
    Given(Box<Standing>),
}

/// What a server has given, and when it is asked again.
struct Standing {
    inquiry: Arc<Inquiry>,
    grant: Grant,
    /// The token that counts too, and the key that the server named for it.
    verified: Option<(Verified, KeySet)>,
    again: Option<Duration>,
    /// `None`: never, or it is being asked.
    due: Option<Instant>,
    /// Since when it does not answer.
    unanswered: Option<Instant>,
}

/// The right to go on, given back by dropping it.
pub(crate) struct Lease {
    /// `None`: it is public, or by a certificate.
    held: Option<Held>,
    certificate: Option<certificate::Held>,
}

struct Held {
    leases: Leases,
    id: u64,
    ended: oneshot::Receiver<Ended>,
    /// Who wants to know of the end.
    told: Option<Told>,
}

struct Told {
    remote: Arc<Remote>,
    inquiry: Arc<Inquiry>,
    since: Instant,
    reason: &'static str,
    bytes: Bytes,
}

impl Leases {
    pub(super) fn new(verifier: Verifier) -> Self {
        let table = Table { verifier: verifier.into(), entries: HashMap::new(), next: 0 };
        Self { table: Arc::new(Mutex::new(table)) }
    }

    /// What tokens are judged by now.
    pub(super) fn verifier(&self) -> Arc<Verifier> {
        self.table().verifier.clone()
    }

    /// The key that `token` says it is signed with, if no such key is known.
    pub(super) fn unknown_key(&self, token: &str) -> Option<KeyId> {
        let id = Unverified::of(token).ok()?.header().ok()?.key?;
        let is_known = self.verifier().keys().iter().any(|key| key.id() == Some(&id));
        (!is_known).then_some(id)
    }

    /// Judges `token` and, if it is good, returns what it says and a lease that lasts as long as it does.
    ///
    /// # Errors
    /// Why it is no good.
    pub(super) fn take(&self, token: &str, now: SystemTime) -> Result<(Verified, Lease), Refused> {
        let verifier = self.verifier();
        // Outside the lock: signatures take a while.
        let verified = verifier.verify(token, now)?;

        let mut table = self.table();
        if !Arc::ptr_eq(&verifier, &table.verifier) {
            // What was replaced meanwhile would not look at this lease again.
            table.verifier.again(&verified, now)?;
        }
        let (id, ended) = table.insert(Right::Token(Box::new(verified.clone())));
        drop(table);
        Ok((verified, Lease { held: Some(Held { leases: self.clone(), id, ended, told: None }), certificate: None }))
    }

    /// A lease that lasts as long as what the server has given.
    pub(super) fn give(&self, given: Given, inquiry: Arc<Inquiry>, remote: Arc<Remote>, now: Instant) -> Lease {
        let Given { grant, again, verified, .. } = given;
        let due = again.map(|again| now + early(again));
        let standing = Standing { inquiry: inquiry.clone(), grant, verified, again, due, unanswered: None };
        let (id, ended) = self.table().insert(Right::Given(standing.into()));
        let told = Some(Told { remote, inquiry, since: now, reason: "closed", bytes: Bytes::default() });
        Lease { held: Some(Held { leases: self.clone(), id, ended, told }), certificate: None }
    }

    /// Some of those about whom the server is to be asked again, at most `max`. Each is named once, until it is `answered`.
    pub(super) fn due(&self, now: Instant, max: usize) -> Vec<(u64, Arc<Inquiry>)> {
        let mut table = self.table();
        let due = table.entries.iter_mut().filter_map(|(id, entry)| match &mut entry.right {
            Right::Given(standing) if standing.due.is_some_and(|due| due <= now) => {
                standing.due = None;
                Some((*id, standing.inquiry.clone()))
            }
            _ => None,
        });
        due.take(max).collect()
    }

    /// Takes what the server says about a lease now. Whoever loses anything by it loses all: it comes back and is scoped anew.
    /// While the server does not answer, leases last for another `grace`. Returns why it ended, if it did.
    pub(super) fn answered(&self, id: u64, given: Result<Given, NotGiven>, now: Instant, grace: Duration) -> Option<Ended> {
        let mut table = self.table();
        let Right::Given(standing) = &mut table.entries.get_mut(&id)?.right else { return None };
        let ended = match given {
            Ok(Given { grant, again, verified, .. }) if covers(&grant, &standing.grant) => {
                standing.grant.expires = grant.expires;
                (standing.verified, standing.again, standing.unanswered) = (verified, again, None);
                standing.due = again.map(|again| now + early(again));
                return None;
            }
            Err(outage) if outage.is_outage() => {
                let since = *standing.unanswered.get_or_insert(now);
                if now.duration_since(since) < grace {
                    standing.due = Some(now + RETRY);
                    return None;
                }
                Ended::Unanswered
            }
            Ok(_) | Err(_) => Ended::Withdrawn,
        };
        let entry = table.entries.remove(&id)?;
        drop(table);
        // Whoever does not listen any more is about to give it back.
        let _ = entry.ends.send(ended.clone());
        Some(ended)
    }

    /// Ends the leases whose time is over. Returns why each of them ended.
    pub(super) fn expire(&self, now: SystemTime) -> Vec<Ended> {
        self.sweep(self.table(), now, |entry| entry.right.expires().is_some_and(|expires| now >= expires))
    }

    /// Judges by `verifier` from now on, and ends the leases that it would not give any more. Returns why each of them ended.
    pub(super) fn replace(&self, verifier: Verifier, now: SystemTime) -> Vec<Ended> {
        let mut table = self.table();
        table.verifier = verifier.into();
        self.sweep(table, now, |_| true)
    }

    /// How many are held.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.table().entries.len()
    }

    /// Judges those again that are due, and ends those that are not good any more.
    fn sweep(&self, mut table: MutexGuard<'_, Table>, now: SystemTime, is_due: impl Fn(&Entry) -> bool) -> Vec<Ended> {
        let verifier = table.verifier.clone();
        let is_over = |entry: &Entry| is_due(entry) && entry.right.again(&verifier, now).is_err();
        let over: Vec<_> = table.entries.extract_if(|_, entry| is_over(entry)).map(|(_, entry)| entry).collect();
        drop(table);
        // Outside the lock, since whoever is woken may give the lease back at once.
        let tell = |entry: Entry| {
            let ended = Ended::Token(entry.right.again(&verifier, now).err()?);
            // Whoever does not listen any more is about to give it back.
            let _ = entry.ends.send(ended.clone());
            Some(ended)
        };
        over.into_iter().filter_map(tell).collect()
    }

    /// A panic elsewhere breaks nothing: each change of the table is one step.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn insert(&mut self, right: Right) -> (u64, oneshot::Receiver<Ended>) {
        let (id, (ends, ended)) = (self.next, oneshot::channel());
        self.next += 1;
        self.entries.insert(id, Entry { right, ends });
        (id, ended)
    }
}

impl Right {
    fn expires(&self) -> Option<SystemTime> {
        match self {
            Self::Token(verified) => verified.claims().expires,
            Self::Given(standing) => standing.grant.expires,
        }
    }

    /// # Errors
    /// Why it is none any more, as far as the relay can tell by itself.
    fn again(&self, verifier: &Verifier, now: SystemTime) -> Result<(), Refused> {
        match self {
            Self::Token(verified) => verifier.again(verified, now),
            Self::Given(standing) => {
                if let Some(expires) = standing.grant.expires.filter(|expires| now >= *expires) {
                    return Err(Refused::Expired(Utc(expires)));
                }
                let Some((verified, keys)) = &standing.verified else { return Ok(()) };
                verifier.with_keys(keys.clone()).again(verified, now)
            }
        }
    }
}

/// A little less than `again`, by chance, so that those who came together do not stay together.
fn early(again: Duration) -> Duration {
    again.mul_f64(rand::random_range(0.9..=1.0))
}

/// Whether `new` allows all that `old` does, in the same place.
fn covers(new: &Grant, old: &Grant) -> bool {
    let all = |new: &[Path], old: &[Path]| old.iter().all(|path| new.iter().any(|prefix| path.has_prefix(prefix)));
    new.root == old.root && all(&new.publish, &old.publish) && all(&new.subscribe, &old.subscribe)
}

impl Lease {
    /// The lease of who uses what is public.
    pub(super) fn public() -> Self {
        Self { held: None, certificate: None }
    }

    /// The lease of who was let in by a certificate.
    pub(super) fn of_certificate(held: certificate::Held) -> Self {
        Self { held: None, certificate: Some(held) }
    }

    /// Counts what was carried under it, in bytes: sent to the peer, and received. Whoever decides over sessions may want to know.
    pub(crate) fn carried(&mut self, sent: u64, received: u64) {
        if let Some(told) = self.held.as_mut().and_then(|held| held.told.as_mut()) {
            told.bytes.sent += sent;
            told.bytes.received += received;
        }
    }

    /// Returns once it has ended, with the reason. Whatever goes on for long, be it a session or the body of an answer, races this
    /// against its work, and keeps the lease until it is done.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing until it has returned; after that it is not to be called again.
    pub(crate) async fn ended(&mut self) -> Ended {
        if let Some(held) = &mut self.certificate {
            return held.ended().await;
        }
        let Some(held) = &mut self.held else { return pending().await };
        match (&mut held.ended).await {
            Ok(ended) => {
                if let Some(told) = &mut held.told {
                    told.reason = if ended.code() == "expired" { "expired" } else { "refused" };
                }
                ended
            }
            // The table outlives its leases.
            Err(_) => pending().await,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leases.table().entries.remove(&self.id);
        if let Some(Told { remote, inquiry, since, reason, bytes }) = &self.told {
            remote.end(inquiry, reason, since.elapsed(), *bytes);
        }
    }
}

#[cfg(test)]
mod tests;
