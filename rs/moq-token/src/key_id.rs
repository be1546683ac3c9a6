//! `KeyId`: the name of a key.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use crate::{KeyError, KeyIdError, generate};

/// By what a token says which key signed it. Harmless as a file name and in a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// Longest id, in characters. A thumbprint has 43.
    pub const SIZE_MAX: usize = 128;

    /// A new id that no other key has: 16 hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError::Random`] when the system gives no randomness.
    pub fn random() -> Result<Self, KeyError> {
        let number = u64::from_be_bytes(generate::random()?);
        Ok(Self(Arc::from(format!("{number:016x}"))))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let size = text.chars().count();
        if !(1..=Self::SIZE_MAX).contains(&size) {
            return Err(KeyIdError::Length { size, max: Self::SIZE_MAX });
        }
        let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
        if !text.chars().all(allowed) {
            return Err(KeyIdError::Character);
        }
        Ok(Self(Arc::from(text)))
    }
}

impl Borrow<str> for KeyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_harmless_as_a_file_name() {
        for good in ["a", "K-1_b", &"x".repeat(128)] {
            assert_eq!(good.parse::<KeyId>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "../x", "a/b", "a b", "a\0", "schlüssel", "k\n", &"x".repeat(129)] {
            assert!(bad.parse::<KeyId>().is_err(), "{bad:?}");
        }
        assert_eq!(KeyId::random().unwrap().as_str().len(), 16);
    }
}
