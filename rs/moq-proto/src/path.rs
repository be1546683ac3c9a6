//! `Path`: a broadcast's name, or a part of one.
//!
//! Segments between slashes; compared byte by byte, matched segment by segment: `room` covers `room/alice`, not `roomy`.
//! What comes percent-encoded, or from somebody who may try to escape a prefix, goes through [`canonical`](mod@crate::canonical)
//! first. Spec: moq-lite-06, "Path".

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// A normalised path: no slash at either end, none doubled, at most [`Path::SEGMENTS_MAX`] segments and [`Path::BYTES_MAX`]
/// bytes. The empty path is the root. Clones share the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Arc<str>);

/// Why text is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    #[error("path of {size} bytes, at most {max} allowed")]
    TooLong { size: usize, max: usize },
    #[error("path of {count} segments, at most {max} allowed")]
    TooDeep { count: usize, max: usize },
    /// `.` or `..`, which some readers would resolve and others would not.
    #[error("path has a `.` or `..` segment")]
    Dots,
    /// A slash written as `%2F`, or a backslash: some readers would take it for a separator and others would not.
    #[error("path has an encoded slash or a backslash")]
    HiddenSlash,
    #[error("path has the control character {0:?}")]
    Control(char),
    #[error("path has a `%` without two hexadecimal digits")]
    BadEscape,
    #[error("path is not UTF-8 once decoded")]
    Utf8,
}

impl Path {
    /// Most segments, as moq-lite has it.
    pub const SEGMENTS_MAX: usize = 32;
    /// Longest path in bytes: 32 segments of 127 bytes. A name that long is an attack or a mistake.
    pub const BYTES_MAX: usize = 4096;

    /// The empty path, which covers all others.
    pub fn root() -> Self {
        Self(Arc::from(""))
    }

    /// Normalises `text`: strips slashes at both ends and collapses runs of them. Nothing is decoded.
    ///
    /// # Errors
    /// [`PathError::TooLong`] and [`PathError::TooDeep`], measured after normalising.
    pub fn new(text: &str) -> Result<Self, PathError> {
        let trimmed = text.trim_matches('/');
        if trimmed.contains("//") {
            let segments: Vec<&str> = trimmed.split('/').filter(|segment| !segment.is_empty()).collect();
            return Self::checked(segments.join("/"));
        }
        Self::checked(trimmed)
    }

    fn checked(normal: impl AsRef<str> + Into<Arc<str>>) -> Result<Self, PathError> {
        let text = normal.as_ref();
        if text.len() > Self::BYTES_MAX {
            return Err(PathError::TooLong { size: text.len(), max: Self::BYTES_MAX });
        }
        let count = text.split('/').count();
        if count > Self::SEGMENTS_MAX {
            return Err(PathError::TooDeep { count, max: Self::SEGMENTS_MAX });
        }
        Ok(Self(normal.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The segments, outermost first; none for the root.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// `below` as seen from above `self`.
    ///
    /// # Errors
    /// When both together are too long or too deep.
    pub fn join(&self, below: &Self) -> Result<Self, PathError> {
        match (self.is_root(), below.is_root()) {
            (true, _) => Ok(below.clone()),
            (_, true) => Ok(self.clone()),
            _ => Self::checked(format!("{}/{}", self.0, below.0)),
        }
    }

    /// What remains of `self` below `prefix`; the root when they are equal. `None`: `prefix` does not cover `self`.
    pub fn strip_prefix(&self, prefix: &Self) -> Option<Self> {
        if prefix.is_root() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(&*prefix.0)?;
        match rest.strip_prefix('/') {
            Some(below) => Some(Self(Arc::from(below))),
            None => rest.is_empty().then(Self::root),
        }
    }

    /// Whether `prefix` covers `self`: all its segments are the first of `self`.
    pub fn has_prefix(&self, prefix: &Self) -> bool {
        prefix.is_root() || self.0.strip_prefix(&*prefix.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Default for Path {
    fn default() -> Self {
        Self::root()
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl AsRef<str> for Path {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Path {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests;
