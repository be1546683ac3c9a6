//! What keys are made of: the numbers behind a JSON Web Key, checked before anybody relies on them.
//!
//! Whether numbers belong together is asked of aws-lc, as is every computation; in here is only which of them make which key.
//! How they stand in JSON is `jwk`'s. Spec: RFC 7518, section 6; RFC 8037, section 2.

use aws_lc_rs::{
    rsa::{KeyPairComponents, PublicKeyComponents},
    signature::{
        self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, Ed25519KeyPair, RsaKeyPair, UnparsedPublicKey,
    },
};
use jsonwebtoken::{DecodingKey, EncodingKey};
use pkcs1::{EncodeRsaPrivateKey, RsaPrivateKey, UintRef};

use crate::{Algorithm, KeyError, algorithm::Family, secret::Secret};

/// Shortest shared secret in bytes: the output of the smallest hash, as RFC 7518, section 3.2 demands.
const SECRET_BYTES_MIN: usize = 32;
/// Smallest RSA modulus in bits (RFC 7518, section 3.3), and the largest that aws-lc computes with.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Smallest RSA exponent that is not known to be fragile, and the largest that aws-lc computes with.
const EXPONENT: std::ops::RangeInclusive<u64> = 65_537..=(1 << 33) - 1;

/// A key's numbers. Private parts are there or not, all together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Material {
    Oct(Secret),
    Rsa { public: RsaPublic, private: Option<RsaPrivate> },
    Ec { curve: Curve, x: Vec<u8>, y: Vec<u8>, d: Option<Secret> },
    Okp { x: Vec<u8>, d: Option<Secret> },
}

/// Modulus and exponent, big-endian, no zero in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RsaPublic {
    pub(crate) n: Vec<u8>,
    pub(crate) e: Vec<u8>,
}

/// The private numbers under their names in JSON, big-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RsaPrivate {
    pub(crate) d: Secret,
    pub(crate) p: Secret,
    pub(crate) q: Secret,
    pub(crate) dp: Secret,
    pub(crate) dq: Secret,
    pub(crate) qi: Secret,
}

/// The curve of an [`Material::Ec`] key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
}

impl Curve {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }

    pub(crate) fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        }
    }

    fn verifying(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::P384 => &signature::ECDSA_P384_SHA384_FIXED,
        }
    }

    /// The one curve `algorithm` is defined for. `None`: for no curve.
    pub(crate) fn of(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::ES256 => Some(Self::P256),
            Algorithm::ES384 => Some(Self::P384),
            _ => None,
        }
    }
}

impl Material {
    pub(crate) fn family(&self) -> Family {
        match self {
            Self::Oct(_) => Family::Oct,
            Self::Rsa { .. } => Family::Rsa,
            Self::Ec { .. } => Family::Ec,
            Self::Okp { .. } => Family::Okp,
        }
    }

    /// Whether it can sign. A shared secret always can.
    pub(crate) fn is_private(&self) -> bool {
        match self {
            Self::Oct(_) => true,
            Self::Rsa { private, .. } => private.is_some(),
            Self::Ec { d, .. } | Self::Okp { d, .. } => d.is_some(),
        }
    }

    /// What may be shown to everybody. `None`: a shared secret has no such part.
    pub(crate) fn public(&self) -> Option<Self> {
        match self {
            Self::Oct(_) => None,
            Self::Rsa { public, .. } => Some(Self::Rsa { public: public.clone(), private: None }),
            Self::Ec { curve, x, y, .. } => Some(Self::Ec { curve: *curve, x: x.clone(), y: y.clone(), d: None }),
            Self::Okp { x, .. } => Some(Self::Okp { x: x.clone(), d: None }),
        }
    }

    /// Whether `other` verifies the same signatures, whatever else either can do.
    pub(crate) fn verifies_as(&self, other: &Self) -> bool {
        match (self.public(), other.public()) {
            (None, None) => self == other,
            (own, other) => own == other,
        }
    }

    /// Checks that the numbers are a key, and one strong enough.
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        match self {
            Self::Oct(secret) => match secret.expose().len() {
                size if size < SECRET_BYTES_MIN => Err(KeyError::ShortSecret { size, min: SECRET_BYTES_MIN }),
                _ => Ok(()),
            },
            Self::Rsa { public, private } => {
                public.check()?;
                private.as_ref().map_or(Ok(()), |private| private.check(public))
            }
            Self::Ec { curve, x, y, d } => {
                let point = point(x, y);
                match d {
                    Some(d) => pair(*curve, &point, d).map(drop),
                    None => {
                        UnparsedPublicKey::new(curve.verifying(), &point).parse().map(drop).map_err(|_| KeyError::Inconsistent)
                    }
                }
            }
            Self::Okp { x, d } => match d {
                Some(d) => Ed25519KeyPair::from_seed_and_public_key(d.expose(), x).map(drop),
                None => UnparsedPublicKey::new(&signature::ED25519, x).parse().map(drop),
            }
            .map_err(|_| KeyError::Inconsistent),
        }
    }

    /// The key as signatures are checked with.
    pub(crate) fn verifying(&self) -> DecodingKey {
        match self {
            Self::Oct(secret) => DecodingKey::from_secret(secret.expose()),
            Self::Rsa { public, .. } => DecodingKey::from_rsa_raw_components(&public.n, &public.e),
            Self::Ec { x, y, .. } => DecodingKey::from_ec_der(&point(x, y)),
            Self::Okp { x, .. } => DecodingKey::from_ed_der(x),
        }
    }

    /// The key as signatures are made with. `None`: only the public part is here.
    pub(crate) fn signing(&self) -> Option<EncodingKey> {
        match self {
            Self::Oct(secret) => Some(EncodingKey::from_secret(secret.expose())),
            Self::Rsa { public, private } => {
                let document = private.as_ref()?.der(public)?;
                Some(EncodingKey::from_rsa_der(document.as_bytes()))
            }
            Self::Ec { curve, x, y, d } => {
                let document = pair(*curve, &point(x, y), d.as_ref()?).ok()?.to_pkcs8v1().ok()?;
                Some(EncodingKey::from_ec_der(document.as_ref()))
            }
            Self::Okp { x, d } => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(d.as_ref()?.expose(), x).ok()?;
                Some(EncodingKey::from_ed_der(pair.to_pkcs8().ok()?.as_ref()))
            }
        }
    }
}

impl RsaPublic {
    fn check(&self) -> Result<(), KeyError> {
        let bits = self.n.len() * 8 - self.n.first().map_or(0, |first| first.leading_zeros() as usize);
        if !MODULUS_BITS.contains(&bits) {
            return Err(KeyError::Modulus { bits, min: *MODULUS_BITS.start(), max: *MODULUS_BITS.end() });
        }
        let wrong = KeyError::Exponent { min: *EXPONENT.start(), max: *EXPONENT.end() };
        if self.e.len() > size_of::<u64>() {
            return Err(wrong);
        }
        let exponent = self.e.iter().fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
        if !EXPONENT.contains(&exponent) || exponent % 2 == 0 {
            return Err(wrong);
        }
        PublicKeyComponents { n: &self.n, e: &self.e }
            .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256)
            .map(drop)
            .map_err(|_| KeyError::Inconsistent)
    }
}

impl RsaPrivate {
    fn check(&self, public: &RsaPublic) -> Result<(), KeyError> {
        RsaKeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents { n: public.n.as_slice(), e: public.e.as_slice() },
            d: self.d.expose(),
            p: self.p.expose(),
            q: self.q.expose(),
            dP: self.dp.expose(),
            dQ: self.dq.expose(),
            qInv: self.qi.expose(),
        })
        .map(drop)
        .map_err(|_| KeyError::Inconsistent)
    }

    /// As RFC 8017, appendix A.1.2 writes it.
    fn der(&self, public: &RsaPublic) -> Option<pkcs1::der::SecretDocument> {
        let number = |bytes| UintRef::new(bytes).ok();
        let key = RsaPrivateKey {
            modulus: number(&public.n)?,
            public_exponent: number(&public.e)?,
            private_exponent: number(self.d.expose())?,
            prime1: number(self.p.expose())?,
            prime2: number(self.q.expose())?,
            exponent1: number(self.dp.expose())?,
            exponent2: number(self.dq.expose())?,
            coefficient: number(self.qi.expose())?,
            other_prime_infos: None,
        };
        key.to_pkcs1_der().ok()
    }
}

/// A point of a curve, uncompressed (SEC 1, section 2.3.3).
fn point(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}

fn pair(curve: Curve, point: &[u8], d: &Secret) -> Result<EcdsaKeyPair, KeyError> {
    EcdsaKeyPair::from_private_key_and_public_key(curve.signing(), d.expose(), point).map_err(|_| KeyError::Inconsistent)
}
