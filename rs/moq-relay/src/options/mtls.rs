//! `auth.mtls`: what certificates of clients allow, each as one table.

use std::{fmt, str::FromStr};

use moq_native::tls::{Fingerprint, FingerprintError};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::{prefix::Prefix, value};

/// What stands before a fingerprint, and before no name.
const FINGERPRINT: &str = "sha256:";

/// One certificate, or all that carry one name, as the operator wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MtlsOptions {
    #[serde(rename = "match", deserialize_with = "value::text")]
    pub whom: Option<Whom>,
    #[serde(deserialize_with = "value::text")]
    pub root: Option<Prefix>,
    #[serde(deserialize_with = "value::list")]
    pub publish: Option<Vec<Prefix>>,
    #[serde(deserialize_with = "value::list")]
    pub subscribe: Option<Vec<Prefix>>,
    pub cluster: bool,
}

/// Which certificates are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Those with this name: a host, a URI, an address of mail, or else the common name of the subject.
    Name(String),
    Fingerprint(Fingerprint),
}

impl FromStr for Whom {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        match text.strip_prefix(FINGERPRINT) {
            Some(digits) => Ok(Self::Fingerprint(digits.parse()?)),
            None => Ok(Self::Name(text.to_owned())),
        }
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Fingerprint(fingerprint) => write!(f, "{FINGERPRINT}{fingerprint}"),
        }
    }
}

/// All of `auth.mtls`: one table, or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mappings(pub Vec<MtlsOptions>);

/// On the command line and in the environment it is spelled as in the file.
impl FromStr for Mappings {
    type Err = toml::de::Error;

    fn from_str(text: &str) -> Result<Self, toml::de::Error> {
        #[derive(Deserialize)]
        struct File {
            mtls: Mappings,
        }
        toml::from_str(&format!("mtls = {text}")).map(|File { mtls }| mtls)
    }
}

impl<'de> Deserialize<'de> for Mappings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tables)
    }
}

struct Tables;

impl<'de> Visitor<'de> for Tables {
    type Value = Mappings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table with `match`, `publish` and `subscribe`, or a list of such tables")
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Mappings, A::Error> {
        MtlsOptions::deserialize(MapAccessDeserializer::new(table)).map(|only| Mappings(vec![only]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut tables: A) -> Result<Mappings, A::Error> {
        let mut mappings = Vec::new();
        while let Some(mapping) = tables.next_element()? {
            mappings.push(mapping);
        }
        Ok(Mappings(mappings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_table_or_several_say_whom_they_mean_and_what_is_theirs() {
        let one: Mappings = r#"{ match = "cam.example.com", root = "cams", publish = "" }"#.parse().unwrap();
        assert_eq!((one.0.len(), one.0[0].cluster), (1, false));
        assert_eq!(one.0[0].whom, Some(Whom::Name("cam.example.com".into())));
        assert_eq!(one.0[0].publish.as_ref().map(Vec::len), Some(1));

        let pin = "ab".repeat(32);
        let text = format!(r#"[{{ match = "sha256:{pin}", subscribe = ["a", "b"], cluster = true }}, {{ match = "x" }}]"#);
        let several: Mappings = text.parse().unwrap();
        assert_eq!((several.0.len(), several.0[0].cluster), (2, true));
        assert_eq!(several.0[0].whom.as_ref().unwrap().to_string(), format!("sha256:{pin}"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "7",
            r#"{ match = 7 }"#,
            r#"{ match = "sha256:abc" }"#,
            r#"{ whom = "x" }"#,
            r#"{ match = "x", root = "a/*/b" }"#,
            "[1]",
        ] {
            assert!(text.parse::<Mappings>().is_err(), "{text}");
        }
    }
}
