//! New keys.
//!
//! Randomness, primes and points are aws-lc's; its answers are taken apart into the numbers a key file holds.

use aws_lc_rs::{
    encoding::{AsBigEndian, AsDer, Pkcs8V1Der},
    rand,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use pkcs1::{RsaPrivateKey, UintRef};
use pkcs8::PrivateKeyInfoRef;

use crate::{
    Algorithm, KeyError,
    material::{Curve, Material, RsaPrivate, RsaPublic},
    secret::Secret,
};

/// Size of a new RSA key: what every reader of such keys takes.
const RSA_SIZE: KeySize = KeySize::Rsa2048;

impl Material {
    /// A new key for `algorithm`; a shared secret is as long as the algorithm's hash.
    ///
    /// # Errors
    /// [`KeyError::Random`] when the system gives no randomness.
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        match algorithm {
            Algorithm::HS256 => oct::<32>(),
            Algorithm::HS384 => oct::<48>(),
            Algorithm::HS512 => oct::<64>(),
            Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 | Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => {
                rsa()
            }
            Algorithm::ES256 => ec(Curve::P256),
            Algorithm::ES384 => ec(Curve::P384),
            Algorithm::EdDSA => okp(),
        }
    }
}

/// `N` bytes nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| KeyError::Random)?;
    Ok(bytes)
}

fn oct<const N: usize>() -> Result<Material, KeyError> {
    Ok(Material::Oct(Secret::new(random::<N>()?.to_vec())))
}

fn rsa() -> Result<Material, KeyError> {
    let pair = RsaKeyPair::generate(RSA_SIZE).map_err(|_| KeyError::Random)?;
    let document: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Inconsistent)?;
    let info = PrivateKeyInfoRef::try_from(document.as_ref()).map_err(|_| KeyError::Inconsistent)?;
    let key = RsaPrivateKey::<UintRef<'_>>::try_from(info.private_key).map_err(|_| KeyError::Inconsistent)?;
    let secret = |number: UintRef<'_>| Secret::new(number.as_bytes().to_vec());
    Ok(Material::Rsa {
        public: RsaPublic { n: key.modulus.as_bytes().to_vec(), e: key.public_exponent.as_bytes().to_vec() },
        private: Some(RsaPrivate {
            d: secret(key.private_exponent),
            p: secret(key.prime1),
            q: secret(key.prime2),
            dp: secret(key.exponent1),
            dq: secret(key.exponent2),
            qi: secret(key.coefficient),
        }),
    })
}

fn ec(curve: Curve) -> Result<Material, KeyError> {
    let pair = EcdsaKeyPair::generate(curve.signing()).map_err(|_| KeyError::Random)?;
    let d = pair.private_key().as_be_bytes().map_err(|_| KeyError::Inconsistent)?;
    // Uncompressed: a 4, then both coordinates.
    let coordinates = &pair.public_key().as_ref()[1..];
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    Ok(Material::Ec { curve, x: x.to_vec(), y: y.to_vec(), d: Some(Secret::new(d.as_ref().to_vec())) })
}

fn okp() -> Result<Material, KeyError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Random)?;
    let seed = pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(|_| KeyError::Inconsistent)?;
    Ok(Material::Okp { x: pair.public_key().as_ref().to_vec(), d: Some(Secret::new(seed.as_ref().to_vec())) })
}
