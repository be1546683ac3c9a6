//! Prefixes: paths that stand for what lies below them, as operators and servers of theirs write them.

use std::str::FromStr;

use moq_proto::{Path, PathError, canonical};

/// A path that stands for itself and all below it; `demo/**` says the same as `demo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(pub Path);

/// Why a text is no prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PrefixError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("a path covers what lies below it; of wildcards only a `**` at its end is known")]
    Wildcard,
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let prefix = match text.strip_suffix("**") {
            Some(prefix) if prefix.is_empty() || prefix.ends_with('/') => prefix,
            _ => text,
        };
        if prefix.contains('*') { Err(PrefixError::Wildcard) } else { Ok(Self(canonical(prefix)?)) }
    }
}
