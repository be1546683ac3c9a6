//! The spelling of a token: three parts of base64url between dots.
//!
//! Takes a token apart and refuses every header that asks for more than a signature by a known key; believes nothing. Whether
//! a token is any good is `verifier`'s. Spec: RFC 7515, sections 3.1, 4 and 7.1; RFC 8725, sections 3.1 to 3.5.

use base64::Engine;
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};

use crate::{Algorithm, Claims, KeyId, Refused, base64url, json};

/// Longest token, in bytes. It travels in request lines and headers, where servers take 8 to 16 KiB.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Longest header once decoded, in bytes. Algorithm, type and the longest key id have 200.
const HEADER_BYTES_MAX: usize = 1024;

/// The header of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub algorithm: Algorithm,
    /// Which key signed it.
    pub key: Option<KeyId>,
}

/// A token taken apart; nothing in it need be true.
#[derive(Clone, Copy)]
pub struct Unverified<'a> {
    /// What the signature is under: header and claims.
    pub(crate) message: &'a str,
    header: &'a str,
    claims: &'a str,
    pub(crate) signature: &'a str,
}

impl<'a> Unverified<'a> {
    /// Takes `token` apart.
    ///
    /// # Errors
    /// What is too long, or not three parts.
    pub fn of(token: &'a str) -> Result<Self, Refused> {
        let size = token.len();
        if size > TOKEN_BYTES_MAX {
            return Err(Refused::TooLong { size });
        }
        let three = Refused::Malformed("not three parts");
        let (message, signature) = token.rsplit_once('.').ok_or(three.clone())?;
        let (header, claims) = message.split_once('.').ok_or(three.clone())?;
        if claims.contains('.') {
            return Err(three);
        }
        if signature.is_empty() {
            return Err(Refused::Malformed("no signature"));
        }
        Ok(Self { message, header, claims, signature })
    }

    /// The header, as JSON or what else was put there.
    ///
    /// # Errors
    /// When it is no text.
    pub fn header_text(&self) -> Result<String, Refused> {
        decode(self.header).ok_or(Refused::Malformed("the header is not base64url of text"))
    }

    /// The claims, as JSON or what else was put there.
    ///
    /// # Errors
    /// When they are no text.
    pub fn claims_text(&self) -> Result<String, Refused> {
        decode(self.claims).ok_or(Refused::Malformed("the claims are not base64url of text"))
    }

    /// # Errors
    /// When it is no header, or one that asks for more than a signature by a known key.
    pub fn header(&self) -> Result<Header, Refused> {
        let text = self.header_text()?;
        if text.len() > HEADER_BYTES_MAX {
            return Err(Refused::Malformed("the header is too long"));
        }
        let json: Json = json::read(&text).map_err(|_| Refused::Malformed("the header is not a JSON object, or not ours"))?;
        json.check()
    }

    /// # Errors
    /// When they are no claims.
    pub fn claims(&self) -> Result<Claims, Refused> {
        Ok(Claims::from_json(&self.claims_text()?)?)
    }
}

/// The first two parts of a token that says this.
pub(crate) fn message(header: &Header, claims: &Claims) -> String {
    let header = Written { typ: "JWT", alg: header.algorithm.name(), kid: header.key.as_ref().map(KeyId::as_str) };
    // Three texts can always be written.
    let header = serde_json::to_string(&header).unwrap_or_default();
    format!("{}.{}", base64url::STRICT.encode(header), base64url::STRICT.encode(claims.to_json()))
}

fn decode(part: &str) -> Option<String> {
    String::from_utf8(base64url::STRICT.decode(part).ok()?).ok()
}

#[derive(Serialize)]
struct Written<'a> {
    typ: &'static str,
    alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

/// A header as it stands in a token: what we understand, and what we must not pass over, be it `null`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Json {
    #[serde(deserialize_with = "text")]
    alg: Option<String>,
    #[serde(deserialize_with = "text")]
    typ: Option<String>,
    #[serde(deserialize_with = "text")]
    kid: Option<String>,
    #[serde(deserialize_with = "present")]
    cty: bool,
    #[serde(deserialize_with = "present")]
    crit: bool,
    #[serde(deserialize_with = "present")]
    b64: bool,
    #[serde(deserialize_with = "present")]
    enc: bool,
    #[serde(deserialize_with = "present")]
    zip: bool,
    #[serde(deserialize_with = "present")]
    jwk: bool,
    #[serde(deserialize_with = "present")]
    jku: bool,
    #[serde(deserialize_with = "present")]
    x5u: bool,
    #[serde(deserialize_with = "present")]
    x5c: bool,
    #[serde(deserialize_with = "present")]
    x5t: bool,
    #[serde(rename = "x5t#S256", deserialize_with = "present")]
    x5t_s256: bool,
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl Json {
    fn check(self) -> Result<Header, Refused> {
        let keys = [
            ("jwk", self.jwk),
            ("jku", self.jku),
            ("x5u", self.x5u),
            ("x5c", self.x5c),
            ("x5t", self.x5t),
            ("x5t#S256", self.x5t_s256),
        ];
        if let Some((name, _)) = keys.into_iter().find(|(_, there)| *there) {
            return Err(Refused::EmbeddedKey(name));
        }
        // Encryption, compression, tokens in tokens: each changes what the other parts mean.
        let extensions = [("crit", self.crit), ("b64", self.b64), ("enc", self.enc), ("zip", self.zip), ("cty", self.cty)];
        if let Some((name, _)) = extensions.into_iter().find(|(_, there)| *there) {
            return Err(Refused::Extension(name));
        }
        if self.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(Refused::Malformed("the header says it is no JWT"));
        }
        let algorithm = self.alg.and_then(|name| name.parse().ok()).ok_or(Refused::Algorithm)?;
        let key = self.kid.map(|id| id.parse()).transpose().map_err(|_| Refused::Malformed("the key id is none"))?;
        Ok(Header { algorithm, key })
    }
}
