//! `[auth]`: who may do what: with which keys tokens are checked, what is asked of tokens, who else is asked, and what anybody
//! may.

use std::{path::PathBuf, str::FromStr, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::{mtls::Mappings, prefix::Prefix, value};
use crate::{address::Network, secret::Secret};

/// `[auth]` as the operator wrote it.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[command(next_help_heading = "[auth]")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuthOptions {
    /// Files or addresses of keys that tokens are checked with: JSON Web Keys or sets of them. Default: none.
    #[arg(
        id = "auth.key",
        long = "auth-key",
        env = "MOQ_AUTH_KEY",
        value_name = "PATH|URL",
        value_delimiter = ',',
        hide_env_values = true
    )]
    #[serde(deserialize_with = "value::list")]
    pub key: Option<Vec<Secret>>,
    /// More of them; the same as `auth.key`, and both may be set. Default: none.
    #[arg(
        id = "auth.keys",
        long = "auth-keys",
        env = "MOQ_AUTH_KEYS",
        value_name = "PATH|URL",
        value_delimiter = ',',
        hide_env_values = true
    )]
    #[serde(deserialize_with = "value::list")]
    pub keys: Option<Vec<Secret>>,
    /// More of them: JSON Web Key Sets, such as an identity provider's at https://. Default: none.
    #[arg(
        id = "auth.jwks",
        long = "auth-jwks",
        env = "MOQ_AUTH_JWKS",
        value_name = "PATH|URL",
        value_delimiter = ',',
        hide_env_values = true
    )]
    #[serde(deserialize_with = "value::list")]
    pub jwks: Option<Vec<Secret>>,
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
    /// How long fetched keys are kept at most before they are fetched again; a `max-age` may make it less. Default: `5m`.
    #[arg(
        id = "auth.refresh",
        long = "auth-refresh",
        env = "MOQ_AUTH_REFRESH",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    #[serde(deserialize_with = "value::duration")]
    pub refresh: Option<Duration>,
    /// How long they are kept at least, even when a token names a key that is not among them. Default: `30s`.
    #[arg(
        id = "auth.refresh_min",
        long = "auth-refresh-min",
        env = "MOQ_AUTH_REFRESH_MIN",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    #[serde(deserialize_with = "value::duration")]
    pub refresh_min: Option<Duration>,
    /// Server that decides on everybody whom the keys and `auth.public` here do not settle. Default: none.
    #[arg(id = "auth.url", long = "auth-url", env = "MOQ_AUTH_URL", value_name = "URL", hide_env_values = true)]
    #[serde(deserialize_with = "value::text")]
    pub url: Option<Secret>,
    /// How that server is asked: by `post` it decides itself, by `get` it only names keys and public paths. Default: `post`.
    #[arg(id = "auth.contract", long = "auth-contract", env = "MOQ_AUTH_CONTRACT", value_name = "CONTRACT")]
    #[serde(deserialize_with = "value::text")]
    pub contract: Option<Contract>,
    /// Deadline for an answer of a server of `auth`, for keys and decisions alike. Default: `5s`.
    #[arg(
        id = "auth.timeout",
        long = "auth-timeout",
        env = "MOQ_AUTH_TIMEOUT",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    #[serde(deserialize_with = "value::duration")]
    pub timeout: Option<Duration>,
    /// Questions to the server of `auth.url` at a time. Default: `64`.
    #[arg(id = "auth.concurrency", long = "auth-concurrency", env = "MOQ_AUTH_CONCURRENCY", value_name = "N")]
    pub concurrency: Option<usize>,
    /// How long sessions go on while the server of `auth.url` does not answer for them. Default: `60s`.
    #[arg(
        id = "auth.grace",
        long = "auth-grace",
        env = "MOQ_AUTH_GRACE",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    #[serde(deserialize_with = "value::duration")]
    pub grace: Option<Duration>,
    /// PEM file of the authorities that servers of `auth` are believed by. Default: those of the system.
    #[arg(id = "auth.ca", long = "auth-ca", env = "MOQ_AUTH_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// How far the clock of whoever signs tokens may be ahead, for `nbf` and `iat`; `exp` is exact. Default: `5s`.
    #[arg(
        id = "auth.leeway",
        long = "auth-leeway",
        env = "MOQ_AUTH_LEEWAY",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    #[serde(deserialize_with = "value::duration")]
    pub leeway: Option<Duration>,
    /// Whether tokens must expire. Default: `false`.
    #[arg(
        id = "auth.require_exp",
        long = "auth-require-exp",
        env = "MOQ_AUTH_REQUIRE_EXP",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub require_exp: Option<bool>,
    /// Longest life of a token, from `iat` to `exp`; tokens must expire then. Default: `none`.
    #[arg(id = "auth.max_token_ttl", long = "auth-max-token-ttl", env = "MOQ_AUTH_MAX_TOKEN_TTL", value_name = "TIME")]
    #[serde(deserialize_with = "value::text")]
    pub max_token_ttl: Option<Lifetime>,
    /// The name of this relay in `aud`; tokens that name only others are refused. Default: none.
    #[arg(id = "auth.audience", long = "auth-audience", env = "MOQ_AUTH_AUDIENCE", value_name = "NAME")]
    pub audience: Option<String>,
    /// Whom tokens must be by, as `iss` says. Default: none.
    #[arg(id = "auth.issuer", long = "auth-issuer", env = "MOQ_AUTH_ISSUER", value_name = "NAME")]
    pub issuer: Option<String>,
    /// Bad tokens from one address, IPv6 by its /64, before it has to wait; `none` for any number. Default: `10/min`.
    #[arg(id = "auth.fail_per_ip", long = "auth-fail-per-ip", env = "MOQ_AUTH_FAIL_PER_IP", value_name = "RATE")]
    #[serde(deserialize_with = "value::text")]
    pub fail_per_ip: Option<Rate>,
    /// How long it has to wait. Default: `60s`.
    #[arg(
        id = "auth.fail_penalty",
        long = "auth-fail-penalty",
        env = "MOQ_AUTH_FAIL_PENALTY",
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    #[serde(deserialize_with = "value::duration")]
    pub fail_penalty: Option<Duration>,
    /// Addresses and networks that never have to wait. Default: `127.0.0.0/8,::1`.
    #[arg(id = "auth.exempt", long = "auth-exempt", env = "MOQ_AUTH_EXEMPT", value_name = "NETWORK", value_delimiter = ',')]
    #[serde(deserialize_with = "value::list")]
    pub exempt: Option<Vec<Network>>,
    #[command(flatten)]
    pub public: PublicOptions,
}

impl AuthOptions {
    /// Lays `self` over `file`: whatever is set here wins.
    pub(crate) fn over(self, file: Self) -> Self {
        Self {
            key: self.key.or(file.key),
            keys: self.keys.or(file.keys),
            jwks: self.jwks.or(file.jwks),
            key_dir: self.key_dir.or(file.key_dir),
            revoked: self.revoked.or(file.revoked),
            mtls: self.mtls.or(file.mtls),
            refresh: self.refresh.or(file.refresh),
            refresh_min: self.refresh_min.or(file.refresh_min),
            url: self.url.or(file.url),
            contract: self.contract.or(file.contract),
            timeout: self.timeout.or(file.timeout),
            concurrency: self.concurrency.or(file.concurrency),
            grace: self.grace.or(file.grace),
            ca: self.ca.or(file.ca),
            leeway: self.leeway.or(file.leeway),
            require_exp: self.require_exp.or(file.require_exp),
            max_token_ttl: self.max_token_ttl.or(file.max_token_ttl),
            audience: self.audience.or(file.audience),
            issuer: self.issuer.or(file.issuer),
            fail_per_ip: self.fail_per_ip.or(file.fail_per_ip),
            fail_penalty: self.fail_penalty.or(file.fail_penalty),
            exempt: self.exempt.or(file.exempt),
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

/// How a server is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Contract {
    /// It is told everything, and decides.
    #[default]
    Post,
    /// It names keys and public paths, and the relay decides.
    Get,
}

impl FromStr for Contract {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "post" => Ok(Self::Post),
            "get" => Ok(Self::Get),
            _ => Err("one of `post` and `get`"),
        }
    }
}

/// So many in a minute; `None`: any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(pub Option<u32>);

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "a number in a minute, such as \"10/min\", or \"none\" for any";
        if text == "none" {
            return Ok(Self(None));
        }
        let number = text.strip_suffix("/min").unwrap_or(text);
        number.parse().ok().filter(|number| *number > 0).map(|number| Self(Some(number))).ok_or(WRONG)
    }
}

/// The longest life of a token; `None`: any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime(pub Option<Duration>);

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let lifetime = humantime::parse_duration(text);
        lifetime.map(|lifetime| Self(Some(lifetime))).map_err(|error| format!("{error}; \"24h\", or \"none\" for any"))
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
