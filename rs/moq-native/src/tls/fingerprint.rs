//! Fingerprint: the SHA-256 of a certificate's DER, by which a browser or a client pins it.
//!
//! Spec: WebTransport (W3C), "serverCertificateHashes".

use std::{fmt, str::FromStr};

use aws_lc_rs::digest;
use rustls_pki_types::CertificateDer;

/// The SHA-256 of one certificate. Written as 64 lowercase hexadecimal digits, read in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; digest::SHA256_OUTPUT_LEN]);

impl Fingerprint {
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 hexadecimal digits, not {0:?}")]
pub struct FingerprintError(String);

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || FingerprintError(text.chars().take(80).collect());
        if text.len() != 2 * digest::SHA256_OUTPUT_LEN || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(refused());
        }
        let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| refused())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| refused())?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest of no bytes at all, from FIPS 180-4's examples.
    const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn it_is_the_sha256_in_lowercase_hexadecimal() {
        let fingerprint = Fingerprint::of(&CertificateDer::from(Vec::new()));
        assert_eq!(fingerprint.to_string(), OF_NOTHING);
        assert_eq!(OF_NOTHING.to_uppercase().parse(), Ok(fingerprint));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "abc", &OF_NOTHING[1..], &format!("{OF_NOTHING}0"), &OF_NOTHING.replace('e', "g"), &"é".repeat(32)] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
