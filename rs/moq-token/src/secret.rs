//! Bytes that must not be seen: no way to print them, wiped when dropped.
//!
//! In a key file they stand as base64url. What writes a key file asks for them by name.

use std::fmt;

use base64::Engine;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use crate::base64url;

/// The private part of a key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves, for those who compute with them.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = Zeroizing::new(base64url::ENGINE.encode(&*self.0));
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64url text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                // What is wrong with it is not said: the answer would quote a part of it.
                base64url::ENGINE.decode(text).map(Secret::new).map_err(|_| E::custom("a private member is not base64url"))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed_even_when_it_cannot_be_read() {
        let secret = Secret::new(b"hunter2".to_vec());

        assert_eq!(format!("{secret:?}"), "Secret(…)");
        for broken in ["\"hunter2 hunter2\"", "\"hunter2=!\"", "\"\u{e9}hunter2\""] {
            let error = serde_json::from_str::<Secret>(broken).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
