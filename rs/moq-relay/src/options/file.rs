//! Reading relay.toml, with errors that name file, line and key.
//!
//! The text becomes a table that remembers where everything stood; other spellings of keys are replaced by ours, unknown
//! ones are refused, and the rest becomes [`Options`].

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::{
    Options,
    keys::{self, ALIASES},
};

/// Largest configuration file read, in bytes: a thousand times a long one, so that a wrong path does not fill memory.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Why a configuration file gave no options.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FileError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} has more than {FILE_BYTES_MAX} bytes, too many for a configuration", path.display())]
    TooLarge { path: PathBuf },
    #[error(transparent)]
    Fault(#[from] Box<Fault>),
}

/// One thing that is wrong in the text of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub path: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// The key it is about, with its tables. `None`: the text is no TOML.
    pub key: Option<String>,
    pub what: String,
    pub advice: Option<String>,
    /// The line itself, and how many characters of it are meant.
    excerpt: (String, usize),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.path.display(), self.line, self.column)?;
        if let Some(key) = &self.key {
            write!(f, "`{key}`: ")?;
        }
        let (text, width) = &self.excerpt;
        let gutter = self.line.to_string().len();
        writeln!(f, "{}", self.what)?;
        writeln!(f, " {} | {text}", self.line)?;
        write!(f, " {:gutter$} | {:indent$}{}", "", "", "^".repeat(*width), indent = self.column - 1)?;
        match &self.advice {
            Some(advice) => write!(f, "\n {:gutter$} = {advice}", ""),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

/// Reads a configuration file.
///
/// # Errors
/// When it cannot be read, is no TOML, or has keys or values that mean nothing.
pub(super) fn read(path: &Path) -> Result<Options, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(FileError::TooLarge { path: path.to_owned() });
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(parse(path, &text)?)
}

fn parse(path: &Path, text: &str) -> Result<Options, Box<Fault>> {
    let place = Place { path, text };
    let mut table = DeTable::parse(text).map_err(|error| {
        let what = format!("this is no TOML: {}", error.message());
        let advice = "text stands in quotes, as in level = \"info\"; a table in brackets, as in [server]; each key once";
        place.fault(error.span().unwrap_or_default(), None, what, Some(advice.into()))
    })?;
    let mut found = Vec::new();
    settle_names(table.get_mut(), "", &place, &mut found)?;

    Options::deserialize(toml::Deserializer::from(table)).map_err(|error| {
        let span = error.span().unwrap_or_default();
        let key = found.iter().rev().find(|entry: &&Entry| entry.span.start <= span.start && span.end <= entry.span.end);
        let key = key.map(|entry| entry.key.clone());
        let advice = key.as_deref().and_then(keys::help);
        place.fault(span, key, error.message().to_owned(), advice)
    })
}

/// A key, and where it stands together with its value.
struct Entry {
    key: String,
    span: Range<usize>,
}

/// Gives every key the name the options know and refuses those that have none; lists all with their places, outer ones first.
fn settle_names(table: &mut DeTable<'_>, prefix: &str, place: &Place<'_>, found: &mut Vec<Entry>) -> Result<(), Box<Fault>> {
    let join = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
    let names: Vec<_> = table.keys().cloned().collect();
    for name in names {
        let (written, span) = (join(name.get_ref()), name.span());
        let key = match ALIASES.iter().find(|(alias, _)| *alias == written) {
            Some((_, key)) => {
                let ours = key.rsplit('.').next().unwrap_or(key);
                if table.contains_key(ours) {
                    let what = format!("means the same as `{key}`, which is set as well");
                    return Err(place.fault(span, Some(written), what, Some("keep one of the two".into())));
                }
                let value = table.remove(name.get_ref().as_ref()).unwrap_or_else(|| unreachable!("the key was listed"));
                table.insert(toml::Spanned::new(span.clone(), ours.into()), value);
                (*key).to_owned()
            }
            None if keys::is_known(&written) => written,
            None => return Err(unknown(place, span, prefix, written)),
        };
        let Some(value) = table.get_mut(key.rsplit('.').next().unwrap_or(&key)) else { continue };
        let value_span = value.span();
        found.push(Entry { key: key.clone(), span: span.start.min(value_span.start)..span.end.max(value_span.end) });
        let is_table = !keys::entries(&key).is_empty();
        match value.get_mut() {
            DeValue::Table(inner) if is_table => settle_names(inner, &key, place, found)?,
            other if is_table && !keys::is_leaf(&key) => {
                let what = format!("is a table, and this is {} {}", article(other.type_str()), other.type_str());
                let advice = format!("write [{key}] on a line of its own and below it {}", listed(&keys::entries(&key)));
                return Err(place.fault(value_span, Some(key), what, Some(advice)));
            }
            _ => {}
        }
    }
    Ok(())
}

fn unknown(place: &Place<'_>, span: Range<usize>, table: &str, written: String) -> Box<Fault> {
    let advice = match keys::nearest(&written) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if table.is_empty() => {
            let mut tables = keys::entries("");
            tables.retain(|entry| !keys::is_leaf(entry));
            format!("the tables are {}", listed(&tables))
        }
        None => format!("[{table}] knows {}", listed(&keys::entries(table))),
    };
    place.fault(span, Some(written), "there is no such key".into(), Some(advice))
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn listed(entries: &[&str]) -> String {
    entries.iter().map(|entry| format!("`{entry}`")).collect::<Vec<_>>().join(", ")
}

/// The text that spans point into.
struct Place<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn fault(&self, span: Range<usize>, key: Option<String>, what: String, advice: Option<String>) -> Box<Fault> {
        let start = self.text.floor_char_boundary(span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |length| start + length);
        let end = self.text.floor_char_boundary(span.end.min(line_end)).max(start);
        let line = self.text[line_start..line_end].trim_end_matches('\r').replace('\t', " ");
        Box::new(Fault {
            path: self.path.to_owned(),
            line: self.text[..start].matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            key,
            what,
            advice,
            excerpt: (masked(&line), self.text[start..end].chars().count().max(1)),
        })
    }
}

/// The line with stars in place of what may be the password of an address.
fn masked(line: &str) -> String {
    let Some((head, rest)) = line.split_once("://") else { return line.to_owned() };
    let Some((secret, tail)) = rest.rsplit_once('@') else { return line.to_owned() };
    format!("{head}://{}@{tail}", "*".repeat(secret.chars().count()))
}

#[cfg(test)]
mod tests;
