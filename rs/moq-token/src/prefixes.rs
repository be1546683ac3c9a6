//! The path lists of claims and scopes: text from JSON to [`Path`]s and back.

use moq_proto::{Path, canonical};
use serde::{Deserialize, Serialize};

use crate::ClaimsError;

/// One text or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected text or a list of texts")]
pub(crate) enum Written {
    One(String),
    Many(Vec<String>),
}

impl From<Written> for Vec<String> {
    fn from(written: Written) -> Self {
        match written {
            Written::One(text) => vec![text],
            Written::Many(texts) => texts,
        }
    }
}

/// The prefixes of the one member that is there; none when none is.
///
/// Under its first name a member holds prefixes. The other names are also used for patterns, of which those that end in `**`
/// say the same as a prefix.
pub(crate) fn one_of<const N: usize>(members: [(&'static str, Option<Written>); N]) -> Result<Vec<Path>, ClaimsError> {
    let first = members[0].0;
    let mut there = members.into_iter().filter_map(|(name, written)| written.map(|written| (name, written)));
    let Some((name, written)) = there.next() else { return Ok(Vec::new()) };
    if let Some((second, _)) = there.next() {
        return Err(ClaimsError::Twice { first: name, second });
    }
    let read = if name == first { path } else { pattern };
    Vec::from(written).iter().map(|text| read(text)).collect()
}

/// Reads a path the one way all paths are read.
pub(crate) fn path(text: &str) -> Result<Path, ClaimsError> {
    canonical(text).map_err(|error| ClaimsError::Path { path: text.to_owned(), error })
}

/// Reads a pattern that is a prefix: `demo/**`, and `demo` for the same.
fn pattern(text: &str) -> Result<Path, ClaimsError> {
    let prefix = match text.strip_suffix("**") {
        Some(prefix) if prefix.is_empty() || prefix.ends_with('/') => prefix,
        _ => text,
    };
    if prefix.contains('*') {
        return Err(ClaimsError::Pattern(text.to_owned()));
    }
    path(prefix)
}

/// What [`one_of`] reads as `paths` under its first name.
pub(crate) fn written(paths: &[Path]) -> Option<Written> {
    (!paths.is_empty()).then(|| Written::Many(paths.iter().map(escape).collect()))
}

/// What [`path()`] reads as `path`: a percent sign of its own is escaped.
pub(crate) fn escape(path: &Path) -> String {
    path.as_str().replace('%', "%25")
}
