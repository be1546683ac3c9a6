//! Where keys and tokens come from.

use std::{
    ffi::OsString,
    fmt,
    io::{Read, stdin},
    path::PathBuf,
};

use anyhow::{Context, bail};
use moq_token::{KEY_BYTES_MAX, Key, KeySet, SET_BYTES_MAX, TOKEN_BYTES_MAX, file};
use zeroize::Zeroizing;

use crate::Usage;

/// A file, or `-`: standard input where something is read, standard output where something is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Standard,
    File(PathBuf),
}

impl From<OsString> for Place {
    fn from(text: OsString) -> Self {
        if text == "-" { Self::Standard } else { Self::File(text.into()) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard => f.write_str("standard input"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Place {
    /// Reads a text of at most `max` bytes.
    fn read(&self, max: usize) -> anyhow::Result<Zeroizing<String>> {
        match self {
            Self::File(path) => Ok(file::read(path, max)?),
            Self::Standard => {
                let mut text = Zeroizing::new(String::new());
                stdin().lock().take(max as u64 + 1).read_to_string(&mut text).context("reading standard input")?;
                if text.len() > max {
                    bail!("standard input: larger than {max} bytes");
                }
                Ok(text)
            }
        }
    }
}

/// The `--key` options, as many as were given.
pub(crate) struct Keys(pub(crate) Vec<Place>);

impl Keys {
    /// The place of the only key.
    pub(crate) fn only(self) -> Result<Option<Place>, Usage> {
        match self.0.as_slice() {
            [] | [_] => Ok(self.0.into_iter().next()),
            _ => Err(Usage::new("this command takes one --key")),
        }
    }

    /// Reads the only key.
    pub(crate) fn read_only(self) -> anyhow::Result<Key> {
        let place = self.only()?.ok_or_else(no_key)?;
        let key = Key::from_text(&place.read(KEY_BYTES_MAX)?).with_context(|| format!("reading the key from {place}"))?;
        warn_if_exposed(&place, key.is_private());
        Ok(key)
    }

    /// Reads all keys and key sets.
    pub(crate) fn read_all(&self) -> anyhow::Result<KeySet> {
        if self.0.is_empty() {
            return Err(no_key().into());
        }
        let mut all = KeySet::default();
        for place in &self.0 {
            let reading = || format!("reading keys from {place}");
            let set = KeySet::from_text(&place.read(SET_BYTES_MAX)?).with_context(reading)?;
            warn_if_exposed(place, set.iter().any(|key| key.is_private()));
            all.extend(set).with_context(reading)?;
        }
        Ok(all)
    }

    /// Makes sure that a token from `place` is not looked for where the keys come from.
    pub(crate) fn apart_from(&self, place: &Place) -> Result<(), Usage> {
        if *place == Place::Standard && self.0.contains(place) {
            return Err(Usage::new("key and token cannot both come from standard input; use --in PATH for the token"));
        }
        Ok(())
    }
}

/// Reads a token from `place`; space around it is passed over.
pub(crate) fn token(place: &Place) -> anyhow::Result<String> {
    // Room for the space around it; how long a token may be is judged with the token.
    let text = place.read(2 * TOKEN_BYTES_MAX).context("reading the token")?;
    Ok(text.trim().to_owned())
}

fn no_key() -> Usage {
    Usage::new("a key is needed: --key PATH, before or after the command")
}

fn warn_if_exposed(place: &Place, private: bool) {
    let Place::File(path) = place else { return };
    if private && file::is_exposed(path).unwrap_or(false) {
        eprintln!("warning: others can read the private key {place}; chmod 600 it, and consider a new one");
    }
}
