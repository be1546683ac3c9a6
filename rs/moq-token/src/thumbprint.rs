//! Thumbprints: a short name for a key that follows from its numbers alone.
//!
//! Spec: RFC 7638; RFC 8037, section 2.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use zeroize::Zeroizing;

use crate::{Key, base64url, material::Material};

impl Key {
    /// The SHA-256 of what makes it this key and no other: the same for its public part, under any id, in any file.
    ///
    /// That of a shared secret is not to be shown: whoever guesses the secret can check the guess against it.
    pub fn thumbprint(&self) -> [u8; 32] {
        let text = |bytes: &[u8]| Zeroizing::new(base64url::ENGINE.encode(bytes));
        // Members in the order of their names, without a space.
        let members = match self.material() {
            Material::Oct(secret) => format!(r#"{{"k":"{}","kty":"oct"}}"#, *text(secret.expose())),
            Material::Rsa { public, .. } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, *text(&public.e), *text(&public.n)),
            Material::Ec { curve, x, y, .. } => {
                format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, curve.name(), *text(x), *text(y))
            }
            Material::Okp { x, .. } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, *text(x)),
        };
        let members = Zeroizing::new(members);
        let digest = digest(&SHA256, members.as_bytes());
        std::array::from_fn(|at| digest.as_ref()[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    fn thumbprint(json: &str) -> String {
        base64url::ENGINE.encode(Key::from_text(json).unwrap().thumbprint())
    }

    #[test]
    fn thumbprints_are_those_of_the_specifications() {
        let rsa = r#"{"kty":"RSA","e":"AQAB","alg":"RS256","kid":"2011-04-29","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#;
        let ed = r#"{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        assert_eq!(thumbprint(rsa), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "RFC 7638, section 3.1");
        assert_eq!(thumbprint(ed), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "RFC 8037, appendix A.3");
    }

    #[test]
    fn a_key_has_one_thumbprint_whatever_else_is_said_of_it() {
        for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
            let [one, other] = [(); 2].map(|()| Key::generate(algorithm, None, None).unwrap());
            assert_ne!(one.thumbprint(), other.thumbprint(), "{algorithm}");
            assert_eq!(one.clone().with_id("k".parse().unwrap()).thumbprint(), one.thumbprint(), "{algorithm}");
            assert!(one.public().is_none_or(|public| public.thumbprint() == one.thumbprint()), "{algorithm}");
        }
    }
}
