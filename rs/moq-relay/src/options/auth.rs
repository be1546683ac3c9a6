//! `[auth]`: who may do what. So far: what anybody may.

use moq_proto::Path;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::value;

/// `[auth]` as the operator wrote it.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[command(next_help_heading = "[auth]")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuthOptions {
    #[command(flatten)]
    pub public: PublicOptions,
}

impl AuthOptions {
    /// Lays `self` over `file`: whatever is set here wins.
    pub(crate) fn over(self, file: Self) -> Self {
        Self { public: self.public.over(file.public) }
    }
}

/// `auth.public` as the operator wrote it: one prefix, a list of them, or a table that tells the roles apart.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct PublicOptions {
    /// Paths under which anybody may publish and subscribe without a token; "" is everything. Default: none.
    #[arg(id = "auth.public", long = "auth-public", env = "MOQ_AUTH_PUBLIC", value_name = "PATH", value_delimiter = ',')]
    pub both: Option<Vec<Path>>,
    /// Paths under which anybody may publish. Default: none.
    #[arg(
        id = "auth.public.publish",
        long = "auth-public-publish",
        env = "MOQ_AUTH_PUBLIC_PUBLISH",
        value_name = "PATH",
        value_delimiter = ','
    )]
    pub publish: Option<Vec<Path>>,
    /// Paths under which anybody may subscribe. Default: none.
    #[arg(
        id = "auth.public.subscribe",
        long = "auth-public-subscribe",
        env = "MOQ_AUTH_PUBLIC_SUBSCRIBE",
        value_name = "PATH",
        value_delimiter = ','
    )]
    pub subscribe: Option<Vec<Path>>,
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

/// `auth.public` where it is a table.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ByRole {
    #[serde(deserialize_with = "value::list")]
    publish: Option<Vec<Path>>,
    #[serde(deserialize_with = "value::list")]
    subscribe: Option<Vec<Path>>,
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
