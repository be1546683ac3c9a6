//! The one way from a URL path, a header or a claim to a [`Path`].
//!
//! Whoever decides what a peer may do and whoever acts on it must read the same path, so what two readers could understand
//! differently is refused rather than repaired. Paths inside moq-lite messages are not percent-encoded and need none of this.
//! Spec: RFC 3986, sections 2.1 and 3.3.

use crate::{Path, PathError};

/// Reads `text` segment by segment: decodes `%XX` once, collapses slashes.
///
/// `text` is the path alone, without a query or fragment.
///
/// # Errors
/// Refuses `.` and `..` segments, encoded slashes, backslashes, control characters (NUL among them), what is not UTF-8 once
/// decoded, a `%` without two hexadecimal digits, and what is too long or too deep for a [`Path`].
pub fn canonical(text: &str) -> Result<Path, PathError> {
    let mut decoded = String::new();
    for segment in text.split('/').filter(|segment| !segment.is_empty()) {
        let segment = decode(segment)?;
        check(&segment)?;
        decoded.push('/');
        decoded.push_str(&segment);
    }
    Path::new(&decoded)
}

fn decode(segment: &str) -> Result<String, PathError> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(PathError::BadEscape);
        let value = digit()? * 16 + digit()?;
        decoded.push(value as u8);
    }
    String::from_utf8(decoded).map_err(|_| PathError::Utf8)
}

fn check(segment: &str) -> Result<(), PathError> {
    if matches!(segment, "." | "..") {
        return Err(PathError::Dots);
    }
    if segment.contains(['/', '\\']) {
        return Err(PathError::HiddenSlash);
    }
    match segment.chars().find(|character| character.is_control()) {
        Some(control) => Err(PathError::Control(control)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
