//! Leases: the rights of those inside, and their end.
//!
//! Whoever was let in by a token holds a lease for as long as it uses what that allows. The lease ends when the token does:
//! by the time of day, by its key being removed, by being revoked. One sweep looks at all of them, so a lease costs an entry
//! in a table and no timer. What is public ends with the relay, and has no entry. When to sweep is `watch`'s.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use moq_token::{Refused, Verified, Verifier};
use tokio::sync::oneshot;

use super::{certificate, refused::Ended};

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
    verified: Verified,
    ends: oneshot::Sender<Refused>,
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
    ended: oneshot::Receiver<Refused>,
}

impl Leases {
    pub(super) fn new(verifier: Verifier) -> Self {
        let table = Table { verifier: verifier.into(), entries: HashMap::new(), next: 0 };
        Self { table: Arc::new(Mutex::new(table)) }
    }

    /// Judges `token` and, if it is good, returns what it says and a lease that lasts as long as it does.
    ///
    /// # Errors
    /// Why it is no good.
    pub(super) fn take(&self, token: &str, now: SystemTime) -> Result<(Verified, Lease), Refused> {
        let verifier = self.table().verifier.clone();
        // Outside the lock: signatures take a while.
        let verified = verifier.verify(token, now)?;

        let mut table = self.table();
        if !Arc::ptr_eq(&verifier, &table.verifier) {
            // What was replaced meanwhile would not look at this lease again.
            table.verifier.again(&verified, now)?;
        }
        let (id, (ends, ended)) = (table.next, oneshot::channel());
        table.next += 1;
        table.entries.insert(id, Entry { verified: verified.clone(), ends });
        drop(table);
        Ok((verified, Lease { held: Some(Held { leases: self.clone(), id, ended }), certificate: None }))
    }

    /// Ends the leases whose time is over. Returns why each of them ended.
    pub(super) fn expire(&self, now: SystemTime) -> Vec<Refused> {
        let is_over = |entry: &Entry| entry.verified.claims().expires.is_some_and(|expires| now >= expires);
        self.sweep(self.table(), now, is_over)
    }

    /// Judges by `verifier` from now on, and ends the leases that it would not give any more. Returns why each of them ended.
    pub(super) fn replace(&self, verifier: Verifier, now: SystemTime) -> Vec<Refused> {
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
    fn sweep(&self, mut table: MutexGuard<'_, Table>, now: SystemTime, is_due: impl Fn(&Entry) -> bool) -> Vec<Refused> {
        let verifier = table.verifier.clone();
        let is_over = |entry: &Entry| is_due(entry) && verifier.again(&entry.verified, now).is_err();
        let over: Vec<_> = table.entries.extract_if(|_, entry| is_over(entry)).map(|(_, entry)| entry).collect();
        drop(table);
        // Outside the lock, since whoever is woken may give the lease back at once.
        let tell = |entry: Entry| {
            let refused = verifier.again(&entry.verified, now).err()?;
            // Whoever does not listen any more is about to give it back.
            let _ = entry.ends.send(refused.clone());
            Some(refused)
        };
        over.into_iter().filter_map(tell).collect()
    }

    /// A panic elsewhere breaks nothing: each change of the table is one step.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    /// Returns once it has ended, with the reason.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing until it has returned; after that it is not to be called again.
    pub(crate) async fn ended(&mut self) -> Ended {
        if let Some(held) = &mut self.certificate {
            return held.ended().await;
        }
        let Some(held) = &mut self.held else { return pending().await };
        match (&mut held.ended).await {
            Ok(refused) => refused.into(),
            // The table outlives its leases.
            Err(_) => pending().await,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leases.table().entries.remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
