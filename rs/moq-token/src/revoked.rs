//! Revocations: tokens that are worth nothing although all else about them is good.
//!
//! A text with one rule a line, meant to be appended to; `#` begins a comment.
//!
//! ```text
//! jti 7f3a                            # one token, by its name
//! sub alice                           # all tokens for her
//! kid 2026-spring                     # all tokens of a key
//! issued-before 2026-11-21T09:00:00Z  # all older tokens, and those that do not say how old they are
//! ```

use std::{collections::HashSet, time::SystemTime};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{Claims, KeyId, Refused};

/// Longest text, in bytes: some ten thousand rules, read in a millisecond.
pub const REVOKED_BYTES_MAX: usize = 1024 * 1024;

/// What is revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Tokens by their `jti`.
    pub tokens: HashSet<String>,
    /// Subjects by their `sub`.
    pub subjects: HashSet<String>,
    /// Keys by their `kid`.
    pub keys: HashSet<String>,
    /// Everything signed before then.
    pub issued_before: Option<SystemTime>,
}

/// Why a text is no list of revocations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevokedError {
    #[error("{size} bytes are too many for a list of revocations, {max} at most")]
    TooLarge { size: usize, max: usize },
    #[error("line {line}: one of `jti`, `sub`, `kid`, `issued-before`, and what it is about")]
    Rule { line: usize },
    #[error("line {line}: not a time such as 2026-11-21T09:00:00Z")]
    Time { line: usize },
}

impl Revoked {
    /// Reads the text described above.
    ///
    /// # Errors
    /// The first line that is no rule. Nothing of such a text should be believed: what was to be revoked may stand below.
    pub fn from_text(text: &str) -> Result<Self, RevokedError> {
        let size = text.len();
        if size > REVOKED_BYTES_MAX {
            return Err(RevokedError::TooLarge { size, max: REVOKED_BYTES_MAX });
        }
        let mut revoked = Self::default();
        for (index, line) in text.lines().enumerate() {
            let rule = line.split_once('#').map_or(line, |(rule, _)| rule).trim();
            if !rule.is_empty() {
                revoked.rule(rule, index + 1)?;
            }
        }
        Ok(revoked)
    }

    fn rule(&mut self, rule: &str, line: usize) -> Result<(), RevokedError> {
        let (what, which) = rule.split_once(char::is_whitespace).ok_or(RevokedError::Rule { line })?;
        let which = which.trim_start();
        match what {
            "jti" => self.tokens.insert(which.to_owned()),
            "sub" => self.subjects.insert(which.to_owned()),
            "kid" => self.keys.insert(which.to_owned()),
            "issued-before" => {
                let time = OffsetDateTime::parse(which, &Rfc3339).map_err(|_| RevokedError::Time { line })?;
                self.issued_before = self.issued_before.max(Some(time.into()));
                true
            }
            _ => return Err(RevokedError::Rule { line }),
        };
        Ok(())
    }

    /// Refuses a token of any of the `keys` ids, that says `claims`, if a rule is about it.
    pub(crate) fn check<'a>(&self, claims: &Claims, mut keys: impl Iterator<Item = &'a KeyId>) -> Result<(), Refused> {
        let listed = |set: &HashSet<String>, name: &Option<String>| name.as_ref().is_some_and(|name| set.contains(name));
        // A token that does not say when it was signed may be old.
        let old = |before: SystemTime| claims.issued.is_none_or(|issued| issued < before);
        if listed(&self.tokens, &claims.id) {
            return Err(Refused::Revoked("jti"));
        }
        if listed(&self.subjects, &claims.subject) {
            return Err(Refused::Revoked("sub"));
        }
        if keys.any(|id| self.keys.contains(id.as_str())) {
            return Err(Refused::Revoked("kid"));
        }
        if self.issued_before.is_some_and(old) {
            return Err(Refused::Revoked("age"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_rule() {
        let revoked = Revoked::from_text(
            "# spring cleaning\n\njti 7f3a # leaked\n  sub alice smith\nkid old\r\n\
             issued-before 2026-01-01T00:00:00Z\nissued-before 2025-01-01T00:00:00Z\n",
        )
        .unwrap();

        assert_eq!(revoked.tokens, HashSet::from(["7f3a".to_owned()]));
        assert_eq!(revoked.subjects, HashSet::from(["alice smith".to_owned()]));
        assert_eq!(revoked.keys, HashSet::from(["old".to_owned()]));
        assert_eq!(revoked.issued_before, Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_767_225_600)));
    }

    #[test]
    fn a_list_has_an_end() {
        let most = 1_048_576;
        assert_eq!(Revoked::from_text(&"#".repeat(most)), Ok(Revoked::default()));
        assert_eq!(Revoked::from_text(&"#".repeat(most + 1)), Err(RevokedError::TooLarge { size: most + 1, max: most }));
    }

    #[test]
    fn a_line_that_is_no_rule_spoils_the_list() {
        assert_eq!(Revoked::from_text("jti a\njti"), Err(RevokedError::Rule { line: 2 }));
        assert_eq!(Revoked::from_text("jit a"), Err(RevokedError::Rule { line: 1 }));
        assert_eq!(Revoked::from_text("issued-before yesterday"), Err(RevokedError::Time { line: 1 }));
    }
}
