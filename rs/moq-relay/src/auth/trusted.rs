//! All that is trusted together: the keys of files, the keys that were fetched, and what is revoked of it.

use moq_token::{Key, KeySet, Policy, Revoked, Verifier};
use tracing::warn;

use super::{jwks::Fetched, keys::Files};

/// What tokens are judged by, put together anew whenever a part of it changes.
#[derive(Debug)]
pub(super) struct Trusted {
    policy: Policy,
    revoked: Revoked,
    files: KeySet,
    fetched: Vec<KeySet>,
}

impl Trusted {
    pub(super) fn new(files: &Files, policy: Policy) -> Self {
        Self { policy, revoked: files.revoked().clone(), files: files.trusted(), fetched: Vec::new() }
    }

    /// Takes what stands in the files now.
    pub(super) fn read(&mut self, files: &Files) {
        self.files = files.trusted();
        self.revoked = files.revoked().clone();
    }

    /// Takes what was fetched last.
    pub(super) fn fetch(&mut self, fetched: &Fetched) {
        self.fetched = fetched.keys().cloned().collect();
    }

    /// What judges tokens by all of it. A fetched key that does not go with the others is left out: files come first.
    pub(super) fn verifier(&self) -> Verifier {
        let mut all = self.files.clone();
        for key in self.fetched.iter().flat_map(KeySet::iter) {
            if let Err(error) = all.add(Key::clone(key)) {
                warn!(%error, "a fetched key is not taken");
            }
        }
        Verifier::new(all, self.policy.clone(), self.revoked.clone())
    }
}
