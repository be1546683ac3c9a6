//! `[auth]`: who may do what: with which keys tokens are checked, which tokens are revoked, and what anybody may.

use std::{path::PathBuf, str::FromStr};

use moq_proto::{Path, PathError, canonical};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::{mtls::Mappings, value};

/// `[auth]` as the operator wrote it.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[command(next_help_heading = "[auth]")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuthOptions {
    /// Files of keys that tokens are checked with: JSON Web Keys or sets of them, public halves or shared secrets. Default: none.
    #[arg(id = "auth.key", long = "auth-key", env = "MOQ_AUTH_KEY", value_name = "PATH", value_delimiter = ',')]
    #[serde(deserialize_with = "value::list")]
    pub key: Option<Vec<PathBuf>>,
    /// More of them; the same as `auth.key`, and both may be set. Default: none.
    #[arg(id = "auth.keys", long = "auth-keys", env = "MOQ_AUTH_KEYS", value_name = "PATH", value_delimiter = ',')]
    #[serde(deserialize_with = "value::list")]
    pub keys: Option<Vec<PathBuf>>,
    /// Folders of keys, each in a file named ID.jwk after its key. Default: none.
    #[arg(id = "auth.key_dir", long = "auth-key-dir", env = "MOQ_AUTH_KEY_DIR", value_name = "PATH", value_delimiter = ',')]
    #[serde(deserialize_with = "value::list")]
    pub key_dir: Option<Vec<PathBuf>>,
    /// File of tokens that are not good any more: lines with `jti`, `sub`, `kid` or `issued-before`. Default: none.
    #[arg(id = "auth.revoked", long = "auth-revoked", env = "MOQ_AUTH_REVOKED", value_name = "PATH")]
    pub revoked: Option<PathBuf>,
    /// What certificates of clients allow: a table or a list of them, spelled as in the file. Default: none.
    #[arg(id = "auth.mtls", long = "auth-mtls", env = "MOQ_AUTH_MTLS", value_name = "TABLE")]
    pub mtls: Option<Mappings>,
    #[command(flatten)]
    pub public: PublicOptions,
}

impl AuthOptions {
    /// Lays `self` over `file`: whatever is set here wins.
    pub(crate) fn over(self, file: Self) -> Self {
        Self {
            key: self.key.or(file.key),
            keys: self.keys.or(file.keys),
            key_dir: self.key_dir.or(file.key_dir),
            revoked: self.revoked.or(file.revoked),
            mtls: self.mtls.or(file.mtls),
            public: self.public.over(file.public),
        }
    }
}

/// `auth.public` as the operator wrote it: one prefix, a list of them, or a table that tells the roles apart.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct PublicOptions {
    /// Paths under which anybody may publish and subscribe without a token; "" is everything. Default: none.
    #[arg(id = "auth.public", long = "auth-public", env = "MOQ_AUTH_PUBLIC", value_name = "PATH", value_delimiter = ',')]
    pub both: Option<Vec<Prefix>>,
    /// Paths under which anybody may publish. Default: none.
    #[arg(
        id = "auth.public.publish",
        long = "auth-public-publish",
        env = "MOQ_AUTH_PUBLIC_PUBLISH",
        value_name = "PATH",
        value_delimiter = ','
    )]
    pub publish: Option<Vec<Prefix>>,
    /// Paths under which anybody may subscribe. Default: none.
    #[arg(
        id = "auth.public.subscribe",
        long = "auth-public-subscribe",
        env = "MOQ_AUTH_PUBLIC_SUBSCRIBE",
        value_name = "PATH",
        value_delimiter = ','
    )]
    pub subscribe: Option<Vec<Prefix>>,
}

impl PublicOptions {
    /// Lays `self` over `file`: whatever is set here replaces all that the file says is public.
    pub(crate) fn over(self, file: Self) -> Self {
        if self.is_set() { self } else { file }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.both.is_some() || self.publish.is_some() || self.subscribe.is_some()
    }
}

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

/// `auth.public` where it is a table.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ByRole {
    #[serde(deserialize_with = "value::list")]
    publish: Option<Vec<Prefix>>,
    #[serde(deserialize_with = "value::list")]
    subscribe: Option<Vec<Prefix>>,
}

impl<'de> Deserialize<'de> for PublicOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Public)
    }
}

struct Public;

impl<'de> Visitor<'de> for Public {
    type Value = PublicOptions;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a path, a list of paths, or a table with `publish` and `subscribe`")
    }

    fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<PublicOptions, E> {
        let both = value::list(serde::de::value::StrDeserializer::new(path))?;
        Ok(PublicOptions { both, ..PublicOptions::default() })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, paths: A) -> Result<PublicOptions, A::Error> {
        let both = value::list(serde::de::value::SeqAccessDeserializer::new(paths))?;
        Ok(PublicOptions { both, ..PublicOptions::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<PublicOptions, A::Error> {
        let ByRole { publish, subscribe } = ByRole::deserialize(MapAccessDeserializer::new(table))?;
        Ok(PublicOptions { both: None, publish, subscribe })
    }
}
