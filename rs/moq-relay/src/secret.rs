//! Texts that must not be seen: no way to print them, wiped when dropped.

use std::{convert::Infallible, fmt, str::FromStr};

use zeroize::Zeroizing;

/// A text that is a secret, or may hold one: a token, a password, an address with a password in it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for those it is meant for.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let secret: Secret = "hunter2".parse().unwrap();

        assert_eq!((format!("{secret:?}"), secret.expose()), ("Secret(…)".into(), "hunter2"));
    }
}
