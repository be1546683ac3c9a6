//! What the tests of these rooms share: keys, tokens, a day to live in, a folder.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use moq_native::Transport;
use moq_token::{Algorithm, Claims, Key, KeySet, Policy, Revoked, Verifier};

use super::{Request, Wish};

/// The time of day at `seconds` into the tests' day.
pub(super) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

pub(super) fn key(id: &str) -> Key {
    Key::generate(Algorithm::EdDSA, Some(id.parse().unwrap()), None).unwrap()
}

pub(super) fn set(keys: &[&Key]) -> KeySet {
    KeySet::try_from_iter(keys.iter().copied().cloned()).unwrap()
}

pub(super) fn verifier(keys: &[&Key]) -> Verifier {
    Verifier::new(set(keys), Policy::default(), Revoked::default())
}

/// Claims to subscribe to `demo`, without an end.
pub(super) fn claims() -> Claims {
    Claims { root: "demo".parse().unwrap(), subscribe: vec![Default::default()], ..Claims::default() }
}

/// A request from this machine for a session at `target`.
pub(super) fn request(target: &str) -> Request<'_> {
    let peer = ([127, 0, 0, 1], 1).into();
    Request { target, authorization: &[], wish: Wish::Either, peer, transport: Some(Transport::Quic), certificate: None }
}

/// A folder of one test's own, gone when the test is.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("moq-relay-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
