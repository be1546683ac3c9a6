//! A JSON Web Key as it stands in a file, in either spelling, and the one way from it to a key.
//!
//! Members that are not known are passed over. Spec: RFC 7517, section 4; RFC 7518, section 6.

use base64::Engine;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use zeroize::Zeroizing;

use crate::{
    Algorithm, Key, KeyError,
    algorithm::Family,
    base64url::{self, Bytes},
    json::{self, Object},
    key::Operations,
    material::{Curve, Material, RsaPrivate, RsaPublic},
    scope,
    secret::Secret,
};

/// Longest key file, in bytes. An RSA key of 8192 bits has 7 KiB.
pub const KEY_BYTES_MAX: usize = 64 * 1024;

/// What stands in `key_ops` for signing and for verifying.
const SIGN: &str = "sign";
const VERIFY: &str = "verify";

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Jwk {
    kty: Option<String>,
    alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    key_ops: Option<Vec<String>>,
    #[serde(rename = "use", skip_serializing)]
    usage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    d: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    q: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dp: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dq: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qi: Option<Secret>,
    #[serde(skip_serializing)]
    oth: Option<IgnoredAny>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Object<scope::Json>>,
}

impl Key {
    /// Reads a key file in either spelling: JSON, or JSON wrapped whole in base64url. Space around it is passed over.
    ///
    /// # Errors
    /// What is too long, no key, a weak or an impossible one, or a key for something else.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let size = text.len();
        if size > KEY_BYTES_MAX {
            return Err(KeyError::TooLarge { size, max: KEY_BYTES_MAX });
        }
        let json = unwrap(text)?;
        json::read::<Jwk>(&json).map_err(|error| KeyError::Json(error.to_string()))?.try_into()
    }

    /// The key file as JSON, with the private part if there is one.
    pub fn to_json(&self) -> Zeroizing<String> {
        // Every member is text, or a list or an object of text; those can always be written.
        Zeroizing::new(serde_json::to_string(&Jwk::from(self)).unwrap_or_default())
    }

    /// The key file as base64url, which the tools of every age read; with the private part if there is one.
    pub fn to_base64url(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url::ENGINE.encode(self.to_json().as_bytes()))
    }
}

impl TryFrom<Jwk> for Key {
    type Error = KeyError;

    fn try_from(mut jwk: Jwk) -> Result<Self, KeyError> {
        let algorithm = jwk.algorithm()?;
        let operations = jwk.operations()?;
        let id = jwk.kid.take().map(|id| id.parse()).transpose()?;
        let scope = jwk.scope.take().map(|Object(scope)| scope.try_into()).transpose()?;
        let material = jwk.material(algorithm)?;
        Key::new(algorithm, material, id, operations, scope)
    }
}

impl Jwk {
    fn algorithm(&self) -> Result<Algorithm, KeyError> {
        let name = self.alg.as_deref().ok_or(KeyError::Missing("alg"))?;
        let algorithm: Algorithm = name.parse().map_err(|_| KeyError::Unsupported { member: "alg", value: name.to_owned() })?;
        let family = algorithm.family();
        match self.kty.as_deref() {
            Some(kty) if kty == family.name() => Ok(algorithm),
            Some(kty) => Err(KeyError::Mismatch { algorithm, member: "kty", value: kty.to_owned() }),
            // The oldest key files have secrets only, and no `kty`.
            None if family == Family::Oct => Ok(algorithm),
            None => Err(KeyError::Missing("kty")),
        }
    }

    fn operations(&self) -> Result<Operations, KeyError> {
        if let Some(usage) = self.usage.as_deref().filter(|usage| *usage != "sig") {
            return Err(KeyError::Unsupported { member: "use", value: usage.to_owned() });
        }
        let Some(written) = &self.key_ops else { return Ok(Operations { sign: true, verify: true }) };
        let lists = |operation: &str| written.iter().any(|listed| listed == operation);
        let operations = Operations { sign: lists(SIGN), verify: lists(VERIFY) };
        if !operations.sign && !operations.verify {
            return Err(KeyError::Unsupported { member: "key_ops", value: written.join(", ") });
        }
        Ok(operations)
    }

    /// Takes the numbers `algorithm` needs. One that belongs to another kind of key is an error: it tells of a key that two
    /// readers may take for two different ones.
    fn material(mut self, algorithm: Algorithm) -> Result<Material, KeyError> {
        let material = match algorithm.family() {
            Family::Oct => Material::Oct(self.k.take().ok_or(KeyError::Missing("k"))?),
            Family::Rsa => Material::Rsa { public: self.rsa_public()?, private: self.rsa_private()? },
            Family::Ec => self.ec(algorithm)?,
            Family::Okp => self.okp(algorithm)?,
        };
        match self.left_over() {
            Some(member) => Err(KeyError::Misplaced(member)),
            None => Ok(material),
        }
    }

    fn rsa_public(&mut self) -> Result<RsaPublic, KeyError> {
        let n = self.n.take().ok_or(KeyError::Missing("n"))?;
        let e = self.e.take().ok_or(KeyError::Missing("e"))?;
        Ok(RsaPublic { n: without_zeros(n), e: without_zeros(e) })
    }

    /// All private numbers or none; aws-lc computes with all.
    fn rsa_private(&mut self) -> Result<Option<RsaPrivate>, KeyError> {
        let Some(d) = self.d.take() else { return Ok(None) };
        Ok(Some(RsaPrivate {
            d,
            p: self.p.take().ok_or(KeyError::Missing("p"))?,
            q: self.q.take().ok_or(KeyError::Missing("q"))?,
            dp: self.dp.take().ok_or(KeyError::Missing("dp"))?,
            dq: self.dq.take().ok_or(KeyError::Missing("dq"))?,
            qi: self.qi.take().ok_or(KeyError::Missing("qi"))?,
        }))
    }

    fn ec(&mut self, algorithm: Algorithm) -> Result<Material, KeyError> {
        let crv = self.crv.take().ok_or(KeyError::Missing("crv"))?;
        let curve = Curve::of(algorithm).filter(|curve| curve.name() == crv);
        Ok(Material::Ec {
            curve: curve.ok_or(KeyError::Mismatch { algorithm, member: "crv", value: crv })?,
            x: self.x.take().ok_or(KeyError::Missing("x"))?.0,
            y: self.y.take().ok_or(KeyError::Missing("y"))?.0,
            d: self.d.take(),
        })
    }

    fn okp(&mut self, algorithm: Algorithm) -> Result<Material, KeyError> {
        let crv = self.crv.take().ok_or(KeyError::Missing("crv"))?;
        if crv != "Ed25519" {
            return Err(KeyError::Mismatch { algorithm, member: "crv", value: crv });
        }
        Ok(Material::Okp { x: self.x.take().ok_or(KeyError::Missing("x"))?.0, d: self.d.take() })
    }

    /// A number nobody has taken.
    fn left_over(&self) -> Option<&'static str> {
        [
            ("crv", self.crv.is_some()),
            ("x", self.x.is_some()),
            ("y", self.y.is_some()),
            ("n", self.n.is_some()),
            ("e", self.e.is_some()),
            ("k", self.k.is_some()),
            ("d", self.d.is_some()),
            ("p", self.p.is_some()),
            ("q", self.q.is_some()),
            ("dp", self.dp.is_some()),
            ("dq", self.dq.is_some()),
            ("qi", self.qi.is_some()),
            ("oth", self.oth.is_some()),
        ]
        .into_iter()
        .find_map(|(member, there)| there.then_some(member))
    }
}

impl From<&Key> for Jwk {
    fn from(key: &Key) -> Self {
        let operations = key.operations();
        let listed = [(SIGN, operations.sign), (VERIFY, operations.verify)].into_iter();
        let jwk = Self {
            kty: Some(key.algorithm().family().name().to_owned()),
            alg: Some(key.algorithm().name().to_owned()),
            kid: key.id().map(ToString::to_string),
            key_ops: Some(listed.filter(|(_, allowed)| *allowed).map(|(name, _)| name.to_owned()).collect()),
            scope: key.scope().map(|scope| Object(scope.into())),
            ..Self::default()
        };
        match key.material().clone() {
            Material::Oct(k) => Self { k: Some(k), ..jwk },
            Material::Rsa { public, private } => {
                let jwk = Self { n: Some(Bytes(public.n)), e: Some(Bytes(public.e)), ..jwk };
                let Some(RsaPrivate { d, p, q, dp, dq, qi }) = private else { return jwk };
                Self { d: Some(d), p: Some(p), q: Some(q), dp: Some(dp), dq: Some(dq), qi: Some(qi), ..jwk }
            }
            Material::Ec { curve, x, y, d } => {
                Self { crv: Some(curve.name().to_owned()), x: Some(Bytes(x)), y: Some(Bytes(y)), d, ..jwk }
            }
            Material::Okp { x, d } => Self { crv: Some("Ed25519".to_owned()), x: Some(Bytes(x)), d, ..jwk },
        }
    }
}

/// Some writers put a zero in front of a number that would look negative elsewhere.
fn without_zeros(Bytes(number): Bytes) -> Vec<u8> {
    number.into_iter().skip_while(|byte| *byte == 0).collect()
}

/// The JSON of a key file in either spelling.
pub(crate) fn unwrap(text: &str) -> Result<Zeroizing<String>, KeyError> {
    let text = text.trim();
    if text.starts_with('{') {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    if text.starts_with("-----BEGIN") {
        return Err(KeyError::Pem);
    }
    let bytes = base64url::ENGINE.decode(text).map(Zeroizing::new).map_err(|_| KeyError::NotBase64)?;
    let json = std::str::from_utf8(&bytes).map_err(|_| KeyError::NotBase64)?;
    Ok(Zeroizing::new(json.to_owned()))
}
