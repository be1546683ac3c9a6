//! The keys of relay.toml: which there are, how else they may be spelled, and which one was probably meant.

use std::sync::LazyLock;

use clap::{Arg, Args as _, Command};

use super::Options;

/// Older and other spellings of a key, each meaning the same as the one beside it.
pub(super) const ALIASES: [(&str, &str); 9] = [
    ("server.listen", "server.bind"),
    ("server.tcp.listen", "server.tcp.bind"),
    ("server.unix.path", "server.unix.bind"),
    ("server.quic.max_concurrent_streams", "server.quic.max_streams"),
    ("auth.jwks_url", "auth.jwks"),
    ("auth.api_timeout", "auth.timeout"),
    ("auth.api_concurrency", "auth.concurrency"),
    ("auth.api_grace", "auth.grace"),
    ("cache.duration", "cache.max_age"),
];

/// Every key, in the order of the help.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| arguments().iter().map(|arg| arg.get_id().to_string()).collect());

/// The arguments that are keys, with their flag, environment variable and help.
pub(crate) fn arguments() -> Vec<Arg> {
    Options::augment_args(Command::new("keys")).get_arguments().cloned().collect()
}

/// Whether `path` is a key, or a table that leads to one.
pub(super) fn is_known(path: &str) -> bool {
    is_leaf(path) || KEYS.iter().any(|key| is_below(key, path))
}

/// Whether `path` is a key that takes a value.
pub(super) fn is_leaf(path: &str) -> bool {
    KEYS.iter().any(|key| key == path)
}

/// What the help says about `key`.
pub(super) fn help(key: &str) -> Option<String> {
    let argument = arguments().into_iter().find(|arg| arg.get_id() == key)?;
    Some(format!("{key}: {}", argument.get_help()?))
}

/// What stands directly in `table` ("" is the top level), without the table's name, in the order of the help.
pub(super) fn entries(table: &str) -> Vec<&'static str> {
    let mut entries: Vec<&str> = Vec::new();
    for key in KEYS.iter() {
        let rest = if table.is_empty() { Some(key.as_str()) } else { key.strip_prefix(table).and_then(|k| k.strip_prefix('.')) };
        let entry = rest.map(|rest| rest.split('.').next().unwrap_or(rest));
        entries.extend(entry.filter(|entry| !entries.contains(entry)));
    }
    entries
}

/// The key that `unknown` was probably meant to be: one spelled nearly so, else the only one of that name in another table, else
/// the first of that name further down.
pub(super) fn nearest(unknown: &str) -> Option<&'static str> {
    let near = KEYS.iter().map(|key| (distance(key, unknown), key)).min()?;
    if near.0 <= 2 {
        return Some(near.1);
    }
    let name = |key: &str| key.rsplit('.').next().map(str::to_owned);
    let elsewhere: Vec<_> = KEYS.iter().filter(|key| name(key) == name(unknown)).collect();
    match elsewhere[..] {
        [only] => Some(only),
        _ => {
            let (table, _) = unknown.rsplit_once('.')?;
            elsewhere.into_iter().find(|key| is_below(key, table)).map(String::as_str)
        }
    }
}

fn is_below(key: &str, table: &str) -> bool {
    key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'))
}

/// How many characters have to be added, dropped or changed to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_lead_to_keys_and_are_none_themselves() {
        for (alias, key) in ALIASES {
            assert!(is_leaf(key), "{key}");
            assert!(!is_known(alias), "{alias}");
        }
    }

    #[test]
    fn a_slip_is_recognised() {
        let rows = [
            ("server.bnd", Some("server.bind")),
            ("server.tls.certs", Some("server.tls.cert")),
            ("web.listen", Some("web.http.listen")),
            ("generate", Some("server.tls.generate")),
            ("server.colour", None),
        ];
        for (unknown, meant) in rows {
            assert_eq!(nearest(unknown), meant, "{unknown}");
        }
    }

    #[test]
    fn a_table_lists_what_stands_in_it() {
        assert_eq!(entries(""), ["drain_timeout", "log", "server", "web", "auth", "publish", "cache"]);
        assert_eq!(entries("web.http"), ["listen"]);
    }

    /// The row of docs/relay-toml.md for one key.
    fn documented(arg: &Arg) -> String {
        let help = arg.get_help().unwrap().to_string();
        let default = help.split_once("Default: ").map_or("none", |(_, default)| default.trim_end_matches('.'));
        let environment = arg.get_env().unwrap().to_str().unwrap();
        let aliases = arg.get_visible_aliases().unwrap_or_default();
        let flags: Vec<_> = arg.get_long().into_iter().chain(aliases).map(|flag| format!("`--{flag}`")).collect();
        format!("| `{}` | {default} | `{environment}` | {} |", arg.get_id(), flags.join(", "))
    }

    #[test]
    fn the_documentation_lists_every_key() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/relay-toml.md")).unwrap();
        let listed: Vec<_> = text.lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<_> = arguments().iter().map(documented).collect();

        assert_eq!(listed, expected, "the table should be\n{}", expected.join("\n"));
    }

    #[test]
    fn flag_and_variable_are_named_after_the_key() {
        for arg in arguments() {
            let key = arg.get_id().as_str();
            let flag =
                key.strip_prefix("server.tls").map_or(key.to_owned(), |rest| format!("tls{rest}")).replace(['.', '_'], "-");
            assert_eq!(arg.get_long(), Some(flag.as_str()));
            assert_eq!(arg.get_env().unwrap().to_str(), Some(format!("MOQ_{}", key.replace('.', "_").to_uppercase()).as_str()));
        }
    }
}
