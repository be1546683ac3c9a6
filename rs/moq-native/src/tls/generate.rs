//! Certificates made on the spot, for development and for browsers that pin them.
//!
//! A browser takes a pinned certificate only if it is ECDSA over P-256 and valid for at most 14 days.
//! Spec: WebTransport (W3C), "custom certificate requirements".

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256};
use rustls::{crypto::CryptoProvider, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{Certificates, provider};

/// From beginning to end of a generated certificate: a day short of what browsers allow.
pub const GENERATED_LIFETIME: Duration = Duration::from_secs(13 * 24 * 60 * 60);

/// How far a generated certificate begins in the past, for clients whose clock is behind.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    #[error("no certificate can be made for the names {names:?}: {source}")]
    Names { names: Vec<String>, source: rcgen::Error },
    #[error("signing a certificate: {0}")]
    Sign(#[from] rcgen::Error),
    #[error("using a certificate just made: {0}")]
    Use(#[from] rustls::Error),
}

impl Certificates {
    /// Makes one self-signed certificate for `names` (host names or addresses), valid from now for
    /// [`GENERATED_LIFETIME`], an hour of it for clocks that are behind.
    ///
    /// # Errors
    /// When a name is neither a host name nor an address.
    pub fn generate(names: &[impl AsRef<str>]) -> Result<Self, GenerateError> {
        Self::generate_at(names, SystemTime::now())
    }

    /// The same as of another time.
    ///
    /// # Errors
    /// When a name is neither a host name nor an address.
    pub fn generate_at(names: &[impl AsRef<str>], now: SystemTime) -> Result<Self, GenerateError> {
        let names: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
        let begins = now - CLOCK_SKEW;
        let expires = begins + GENERATED_LIFETIME;

        let mut params = CertificateParams::new(names.clone()).map_err(|source| GenerateError::Names { names, source })?;
        params.not_before = begins.into();
        params.not_after = expires.into();
        params.distinguished_name.push(DnType::CommonName, "moq");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];

        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.self_signed(&key)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = certified(vec![certificate.into()], key, &provider())?;
        Ok(Self { keys: Arc::new([Arc::new(key)]), expires })
    }
}

/// A chain and its key, once they are known to belong together.
pub(super) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, rustls::Error> {
    CertifiedKey::from_der(chain, key, provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_can_pin_it() {
        let now = SystemTime::now();
        let certificates = Certificates::generate_at(&["localhost", "127.0.0.1", "::1"], now).unwrap();

        let expires = certificates.expires();
        assert_eq!(expires.duration_since(now - CLOCK_SKEW).unwrap(), GENERATED_LIFETIME);
        assert!(GENERATED_LIFETIME <= Duration::from_secs(14 * 24 * 60 * 60));

        let der = certificates.keys[0].cert[0].as_ref();
        let holds = |part: &[u8]| der.windows(part.len()).any(|window| window == part);
        let utc_time = |time: SystemTime| {
            let time = time::OffsetDateTime::from(time);
            let (year, month, day) = (time.year() % 100, u8::from(time.month()), time.day());
            format!("{year:02}{month:02}{day:02}{:02}{:02}{:02}Z", time.hour(), time.minute(), time.second())
        };
        assert!(holds(utc_time(now - CLOCK_SKEW).as_bytes()), "begins an hour ago");
        assert!(holds(utc_time(expires).as_bytes()), "ends when it says");
        assert!(holds(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]), "its key is on P-256 (object id 1.2.840.10045.3.1.7)");
    }

    #[test]
    fn a_name_that_cannot_be_in_a_certificate_is_refused() {
        assert!(matches!(Certificates::generate(&["ünïcode"]), Err(GenerateError::Names { .. })));
    }
}
