//! The rules of paths and rights once more, as plainly as they can be said: lists of names and nothing clever. What the real
//! code does is compared with it.
//!
//! Spec: RFC 3986, sections 2.1 and 3.3 to 3.5; the path rules of MoQ tokens.

use crate::Claims;

/// A path as the names between its slashes; none is empty.
pub type Names = Vec<String>;

/// What a request for `target`, path and query, asks for: a path, or `None` where it can be none, and the token it shows.
pub fn read(target: &str) -> (Option<Names>, Option<String>) {
    let without_fragment = target.split('#').next().unwrap_or("");
    let (path, query) = without_fragment.split_once('?').unwrap_or((without_fragment, ""));
    (names(path), token(query))
}

fn names(path: &str) -> Option<Names> {
    let mut names = Vec::new();
    for written in path.split('/').filter(|written| !written.is_empty()) {
        let name = String::from_utf8(unescape(written.as_bytes())?).ok()?;
        let is_dots = name == "." || name == "..";
        if is_dots || name.contains(|c: char| c.is_control() || c == '/' || c == '\\') {
            return None;
        }
        names.push(name);
    }
    let bytes = names.join("/").len();
    (names.len() <= 32 && bytes <= 4096).then_some(names)
}

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if text[at] == b'%' {
            let digits = std::str::from_utf8(text.get(at + 1..at + 3)?).ok()?;
            let is_hex = digits.chars().all(|digit| digit.is_ascii_hexdigit());
            bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
            at += 3;
        } else {
            bytes.push(text[at]);
            at += 1;
        }
    }
    Some(bytes)
}

/// The last `jwt` that counts. An escape that is none stands for itself, as forms have it.
fn token(query: &str) -> Option<String> {
    let plain = |text: &str| {
        let spaced = text.replace('+', " ");
        unescape(spaced.as_bytes()).map_or(spaced, |bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let shown: Vec<_> = pairs.filter(|(name, _)| plain(name) == "jwt").map(|(_, value)| plain(value)).collect();
    shown.last().filter(|token| !token.is_empty()).cloned()
}

/// What somebody may do, as prefixes of whole paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    pub publish: Vec<Names>,
    pub subscribe: Vec<Names>,
}

impl Rights {
    /// What claims allow.
    pub fn of(claims: &Claims) -> Self {
        let from_root = |paths: &[moq_proto::Path]| {
            let names = |path: &moq_proto::Path| claims.root.segments().chain(path.segments()).map(str::to_owned).collect();
            paths.iter().map(names).collect()
        };
        Self { publish: from_root(&claims.publish), subscribe: from_root(&claims.subscribe) }
    }

    /// What is left of them for a session at `path`, counted from there: sorted, and without those another one covers.
    pub fn at(&self, path: &[String]) -> Self {
        Self { publish: seen(&self.publish, path), subscribe: seen(&self.subscribe, path) }
    }

    pub fn is_empty(&self) -> bool {
        self.publish.is_empty() && self.subscribe.is_empty()
    }
}

/// Whether one of `prefixes` covers `path`.
pub fn covers(prefixes: &[Names], path: &[String]) -> bool {
    prefixes.iter().any(|prefix| path.starts_with(prefix))
}

fn seen(prefixes: &[Names], path: &[String]) -> Vec<Names> {
    if covers(prefixes, path) {
        return vec![Vec::new()];
    }
    let below: Vec<Names> =
        prefixes.iter().filter(|prefix| prefix.starts_with(path)).map(|prefix| prefix[path.len()..].to_vec()).collect();
    let is_widest = |prefix: &&Names| !below.iter().any(|wider| wider != *prefix && prefix.starts_with(wider));
    let mut widest: Vec<Names> = below.iter().filter(is_widest).cloned().collect();
    widest.sort();
    widest.dedup();
    widest
}
