//! The token that is shown to the relay: from a file or the environment, and never printed.

use std::{
    env, fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// Holds the token where no file is named.
pub(crate) const VARIABLE: &str = "MOQ_JWT";

/// Longest token in bytes. URLs much longer are refused on the way.
const BYTES_MAX: u64 = 16 * 1024;

/// A token, wiped when dropped.
#[derive(Clone)]
pub(crate) struct Token(Zeroizing<String>);

/// Why there is no token where one was named.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("reading the token from {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{0}: not a token, which is one line of letters, digits, dots, dashes and underscores")]
    NotAToken(String),
}

impl Token {
    /// Reads the token from `file`, or else from the environment. `None`: there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold a token.
    pub(crate) fn find(file: Option<&Path>) -> Result<Option<Self>, TokenError> {
        if let Some(path) = file {
            let text = read(path).map_err(|source| TokenError::Read { path: path.to_owned(), source })?;
            return Self::new(&text, || path.display().to_string()).map(Some);
        }
        match env::var(VARIABLE).map(Zeroizing::new) {
            Ok(text) if !text.trim().is_empty() => Self::new(&text, || VARIABLE.into()).map(Some),
            _ => Ok(None),
        }
    }

    pub(crate) fn new(text: &str, place: impl FnOnce() -> String) -> Result<Self, TokenError> {
        let text = text.trim();
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        if text.is_empty() || text.len() as u64 > BYTES_MAX || !is_plain {
            return Err(TokenError::NotAToken(place()));
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The text itself, for the one who shows it to the relay.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    File::open(path)?.take(BYTES_MAX + 2).read_to_string(&mut text)?;
    Ok(text)
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Result<Token, TokenError> {
        Token::new(text, || "here".into())
    }

    #[test]
    fn space_around_a_token_is_passed_over() {
        assert_eq!(token(" eyJh.eyJy.c2ln\n").unwrap().expose(), "eyJh.eyJy.c2ln");
    }

    #[test]
    fn a_token_is_never_printed_even_when_it_is_none() {
        assert_eq!(format!("{:?}", token("hunter2").unwrap()), "Token(…)");
        for text in ["", " ", "hunter2 hunter2", "hunter2&x", &"hunter2".repeat(4000)] {
            let error = token(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
