//! The files that say which tokens are good: keys, folders of keys, revocations.
//!
//! Each file counts for itself: one that cannot be read, or is broken, leaves what it held before as it was; one that is gone
//! takes its keys along. Only the list of revocations stays when its file is gone, since nobody is to be let back in by a slip.
//! When to look is `watch`'s. Blocks while it reads.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use moq_token::{Key, KeyId, KeyIdError, KeySet, REVOKED_BYTES_MAX, Revoked, RevokedError, SET_BYTES_MAX, SetError, file};
use tracing::warn;

use crate::{config::KeyConfig, watch::Look};

/// What the name of a key file in a folder ends with.
const EXTENSION: &str = "jwk";

/// What stands in the files, as far as it is good.
#[derive(Debug)]
pub(crate) struct Files {
    config: KeyConfig,
    /// By file; any of them together are a set.
    keys: BTreeMap<PathBuf, KeySet>,
    revoked: Revoked,
    /// What they looked like just before they were read.
    read: Look,
}

/// Why a file is not taken as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FileError {
    #[error(transparent)]
    Read(#[from] file::FileError),
    #[error("{}: {error}", path.display())]
    Folder { path: PathBuf, error: io::Error },
    #[error("{}: {error}", path.display())]
    Keys { path: PathBuf, error: SetError },
    #[error("{}: in a folder of keys, a file is named after the id of its key, ID.{EXTENSION}: {error}", path.display())]
    Name { path: PathBuf, error: KeyIdError },
    #[error("{}: in a folder of keys, a file is named after the id of its key, and this one holds `{id}`", path.display())]
    Misnamed { path: PathBuf, id: KeyId },
    #[error("{}: in a folder of keys, a file holds one key, and this one {count}", path.display())]
    NotOne { path: PathBuf, count: usize },
    #[error("{}: does not go with the other files: {error}", path.display())]
    Conflict { path: PathBuf, error: SetError },
    #[error("{}: {error}", path.display())]
    Revoked { path: PathBuf, error: RevokedError },
}

impl FileError {
    fn is_missing(&self) -> bool {
        let (Self::Folder { error, .. } | Self::Read(file::FileError::Io { error, .. })) = self else { return false };
        error.kind() == io::ErrorKind::NotFound
    }
}

impl Files {
    /// Reads them for the first time.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn load(config: KeyConfig) -> Result<Self, Vec<FileError>> {
        let mut files = Self { config, keys: BTreeMap::new(), revoked: Revoked::default(), read: Look::default() };
        let wrong = files.update();
        if wrong.is_empty() { Ok(files) } else { Err(wrong) }
    }

    /// Reads them again. Returns what is wrong with some of them; the others are taken.
    pub(super) fn update(&mut self) -> Vec<FileError> {
        self.read = self.look();
        let (places, mut wrong) = self.places();
        self.keys.retain(|path, _| places.contains_key(path));
        let read: Vec<_> = places.into_iter().map(|(path, kind)| (read(&path, kind), path)).collect();
        // What is gone makes way for what comes.
        for (_, path) in read.iter().filter(|(read, _)| read.as_ref().is_err_and(FileError::is_missing)) {
            self.keys.remove(path);
        }
        for (read, path) in read {
            match read.and_then(|set| self.fitting(&path, set)) {
                Ok(set) => drop(self.keys.insert(path, set)),
                Err(error) => wrong.push(error),
            }
        }
        match self.config.revoked.as_deref().map(revoked) {
            Some(Ok(revoked)) => self.revoked = revoked,
            Some(Err(error)) => wrong.push(error),
            None => {}
        }
        wrong
    }

    /// All keys there are.
    pub(crate) fn trusted(&self) -> KeySet {
        // Each file was found to go with the others before it was taken.
        together(self.keys.values()).unwrap_or_default()
    }

    /// What is not good any more.
    pub(crate) fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    /// How many keys there are.
    pub(super) fn keys(&self) -> usize {
        self.keys.values().map(KeySet::len).sum()
    }

    /// What they looked like when they were read.
    pub(super) fn read(&self) -> &Look {
        &self.read
    }

    /// Looks at them without reading them.
    pub(super) fn look(&self) -> Look {
        let listed = self.config.folders.iter().filter_map(|folder| listed(folder).ok()).flatten();
        let named = self.config.files.iter().chain(&self.config.revoked).cloned();
        Look::at(named.chain(listed))
    }

    /// The files that may hold keys. Those of a folder that cannot be listed are the ones it had.
    fn places(&self) -> (BTreeMap<PathBuf, Kind>, Vec<FileError>) {
        let mut places: BTreeMap<_, _> = self.config.files.iter().map(|path| (path.clone(), Kind::Keys)).collect();
        let mut wrong = Vec::new();
        for folder in &self.config.folders {
            let paths = listed(folder).unwrap_or_else(|error| {
                wrong.push(error);
                self.keys.keys().filter(|path| path.parent() == Some(folder)).cloned().collect()
            });
            places.extend(paths.into_iter().map(|path| (path, Kind::OfFolder)));
        }
        (places, wrong)
    }

    /// `set`, if it can stand in the place of what `path` held.
    fn fitting(&self, path: &Path, set: KeySet) -> Result<KeySet, FileError> {
        let others = self.keys.iter().filter(|(other, _)| *other != path).map(|(_, set)| set);
        match together(others.chain([&set])) {
            Ok(_) => Ok(set),
            Err(error) => Err(FileError::Conflict { path: path.to_owned(), error }),
        }
    }
}

/// How a file of keys came to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Named in the configuration.
    Keys,
    /// Found in a folder.
    OfFolder,
}

fn together<'a>(sets: impl Iterator<Item = &'a KeySet>) -> Result<KeySet, SetError> {
    let mut all = KeySet::default();
    for set in sets {
        all.extend(set.clone())?;
    }
    Ok(all)
}

/// The files of a folder that hold keys, by their names.
fn listed(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let failed = |error| FileError::Folder { path: folder.to_owned(), error };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // Drafts and what else is hidden is not meant.
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|extension| extension == EXTENSION) && !is_hidden {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn read(path: &Path, kind: Kind) -> Result<KeySet, FileError> {
    let text = file::read(path, SET_BYTES_MAX)?;
    let set = KeySet::from_text(&text).map_err(|error| FileError::Keys { path: path.to_owned(), error })?;
    let set = match kind {
        Kind::Keys => set,
        Kind::OfFolder => named(path, set)?,
    };
    advise(path, &set);
    Ok(set.verifying())
}

/// The key of a file in a folder, under the name of the file.
fn named(path: &Path, set: KeySet) -> Result<KeySet, FileError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let id: KeyId = stem.parse().map_err(|error| FileError::Name { path: path.to_owned(), error })?;
    let mut keys = set.iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(FileError::NotOne { path: path.to_owned(), count: set.len() });
    };
    if let Some(other) = key.id().filter(|other| **other != id) {
        return Err(FileError::Misnamed { path: path.to_owned(), id: other.clone() });
    }
    let key = Key::clone(key).with_id(id);
    KeySet::try_from_iter([key]).map_err(|error| FileError::Keys { path: path.to_owned(), error })
}

/// Tells the operator what would better not be so.
fn advise(path: &Path, set: &KeySet) {
    let file = path.display();
    if set.iter().any(|key| key.is_private() && !key.is_shared_secret()) {
        warn!("{file} holds a private key; a relay needs only the public half, and `moq-token public` prints it");
    }
    if set.iter().any(|key| key.is_private()) && file::is_exposed(path).unwrap_or(false) {
        warn!("{file} holds a secret that others on this machine can read; `chmod 600` keeps it");
    }
}

fn revoked(path: &Path) -> Result<Revoked, FileError> {
    let text = file::read(path, REVOKED_BYTES_MAX)?;
    Revoked::from_text(&text).map_err(|error| FileError::Revoked { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests;
