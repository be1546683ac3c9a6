//! `KeySet`: the keys that are trusted together.
//!
//! Spec: RFC 7517, section 5.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    Header, Key, KeyError, KeyId, Refused, SetError,
    json::{self, Object},
    jwk::{self, Jwk},
};

/// Most keys in a set. A rotation has two, a large issuer ten.
pub const KEYS_MAX: usize = 100;
/// Longest key set file, in bytes: as many keys as fit, of a common size.
pub const SET_BYTES_MAX: usize = 512 * 1024;

/// Up to [`KEYS_MAX`] keys, no two with the same id.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Arc<Key>>,
}

/// A set as it stands in a file.
#[derive(Serialize, Deserialize)]
struct Json {
    keys: Vec<Object<Jwk>>,
}

impl KeySet {
    /// Reads a file that holds a key set or a single key, in either spelling.
    ///
    /// Keys for something else than tokens are left out, as RFC 7517 asks: whoever publishes a set does so for several readers.
    ///
    /// # Errors
    /// When a key is broken rather than foreign, when two have the same id, and when no key is left.
    pub fn from_text(text: &str) -> Result<Self, SetError> {
        let size = text.len();
        if size > SET_BYTES_MAX {
            return Err(SetError::TooLarge { size, max: SET_BYTES_MAX });
        }
        let alone = |error| SetError::Key { index: 0, error };
        let json = jwk::unwrap(text).map_err(alone)?;
        if !is_set(&json)? {
            return Self::try_from_iter([Key::from_text(&json).map_err(alone)?]);
        }
        let written: Json = json::read(&json).map_err(|error| SetError::Json(error.to_string()))?;
        let mut set = Self::default();
        for (index, Object(jwk)) in written.keys.into_iter().enumerate() {
            match Key::try_from(jwk) {
                Ok(key) => set.add(key)?,
                Err(KeyError::Unsupported { .. }) => {}
                Err(error) => return Err(SetError::Key { index, error }),
            }
        }
        if set.is_empty() { Err(SetError::Empty) } else { Ok(set) }
    }

    /// # Errors
    /// As [`add`](Self::add).
    pub fn try_from_iter(keys: impl IntoIterator<Item = Key>) -> Result<Self, SetError> {
        let mut set = Self::default();
        for key in keys {
            set.add(key)?;
        }
        Ok(set)
    }

    /// Adds a key. One that is there already, under the same id, stays as it is.
    ///
    /// # Errors
    /// [`SetError::Duplicate`] when another key has its id, [`SetError::Full`] when there is no room.
    pub fn add(&mut self, key: Key) -> Result<(), SetError> {
        let twin = |other: &&Arc<Key>| match key.id() {
            Some(id) => other.id() == Some(id),
            None => other.id().is_none() && other.verifies_as(&key),
        };
        if let Some(other) = self.keys.iter().find(twin) {
            return match key.id() {
                Some(id) if !other.verifies_as(&key) => Err(SetError::Duplicate(id.clone())),
                _ => Ok(()),
            };
        }
        if self.keys.len() == KEYS_MAX {
            return Err(SetError::Full { max: KEYS_MAX });
        }
        self.keys.push(Arc::new(key));
        Ok(())
    }

    /// Adds the keys of another set.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn extend(&mut self, other: Self) -> Result<(), SetError> {
        other.keys.into_iter().try_for_each(|key| self.add(Arc::unwrap_or_clone(key)))
    }

    /// The same set without private parts, for who only verifies. Shared secrets stay: they have no other part.
    #[must_use]
    pub fn verifying(self) -> Self {
        let public = |key: Arc<Key>| key.public().map_or(key, Arc::new);
        Self { keys: self.keys.into_iter().map(public).collect() }
    }

    /// The set as JSON, private parts included where there are some.
    pub fn to_json(&self) -> Zeroizing<String> {
        let written = Json { keys: self.keys.iter().map(|key| Object(Jwk::from(&**key))).collect() };
        // Every member is text, or a list or an object of text; those can always be written.
        Zeroizing::new(serde_json::to_string(&written).unwrap_or_default())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.keys.iter()
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that may have signed a token with this header: the one with its id, and those without an id. The only key of a
    /// set may have signed any.
    pub(crate) fn candidates(&self, header: &Header) -> Result<Vec<&Arc<Key>>, Refused> {
        if let [only] = self.keys.as_slice() {
            return Ok(vec![only]);
        }
        let may = |key: &&Arc<Key>| key.id().is_none() || key.id().map(KeyId::as_str) == header.key.as_ref().map(KeyId::as_str);
        let candidates: Vec<_> = self.keys.iter().filter(may).collect();
        match (&header.key, candidates.is_empty()) {
            (_, false) => Ok(candidates),
            (Some(_), true) => Err(Refused::UnknownKey),
            (None, true) if self.is_empty() => Err(Refused::UnknownKey),
            (None, true) => Err(Refused::NoKeyId),
        }
    }

    /// The key that verifies what `key` verifies, if it is still here.
    pub(crate) fn twin(&self, key: &Key) -> Option<&Arc<Key>> {
        self.keys.iter().find(|other| other.verifies_as(key))
    }
}

/// Whether it is a set rather than a single key.
fn is_set(json: &str) -> Result<bool, SetError> {
    #[derive(Deserialize)]
    struct Shape {
        keys: Option<serde::de::IgnoredAny>,
    }
    let Object::<Shape>(shape) = serde_json::from_str(json).map_err(|error| SetError::Json(error.to_string()))?;
    Ok(shape.keys.is_some())
}

#[cfg(test)]
mod tests;
