//! What a client believes: authorities, pinned certificates, or anybody.

use std::{fmt, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{Fingerprint, load, provider};
use crate::tls::LoadError;

/// Which servers a client believes.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Trust {
    /// Those that the operating system's authorities vouch for.
    #[default]
    System,
    /// Those that one of these authorities vouches for.
    Roots(Vec<CertificateDer<'static>>),
    /// Those that show one of these very certificates, whatever their names and dates.
    Fingerprints(Vec<Fingerprint>),
    /// Anybody. Whoever sits between can read and change everything; for development only.
    Anyone,
}

/// Why a client cannot be set up to believe what it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    #[error("the operating system has no certificate authorities{}", errors(.0))]
    NoSystemRoots(Vec<rustls_native_certs::Error>),
    #[error("not a certificate authority: {0}")]
    Root(Error),
    #[error("setting up TLS: {0}")]
    Tls(#[from] Error),
}

fn errors(errors: &[rustls_native_certs::Error]) -> String {
    errors.iter().map(|error| format!("; {error}")).collect()
}

impl Trust {
    /// The authorities in a PEM file.
    ///
    /// # Errors
    /// When the file cannot be read or holds none.
    pub fn roots_from_file(path: &std::path::Path) -> Result<Self, LoadError> {
        load::chain(path).map(Self::Roots)
    }

    /// A TLS client that believes so and offers `protocols`, in order of preference. Reads the system's authorities, so call
    /// it once and off the threads that carry connections.
    ///
    /// # Errors
    /// When there are no usable authorities.
    pub fn client_config(&self, protocols: &[impl AsRef<str>]) -> Result<ClientConfig, TrustError> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let builder = match self {
            Self::System => builder.with_root_certificates(system_roots()?),
            Self::Roots(certificates) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates {
                    roots.add(certificate.clone()).map_err(TrustError::Root)?;
                }
                builder.with_root_certificates(roots)
            }
            Self::Fingerprints(fingerprints) => {
                let accepted = Accepted::Only(fingerprints.clone());
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier { accepted, provider }))
            }
            Self::Anyone => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier { accepted: Accepted::Any, provider }))
            }
        };
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_ref().as_bytes().to_vec()).collect();
        Ok(config)
    }
}

fn system_roots() -> Result<RootCertStore, TrustError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 { Err(TrustError::NoSystemRoots(found.errors)) } else { Ok(roots) }
}

/// The server shows another certificate than those that are believed.
#[derive(Debug, thiserror::Error)]
#[error("the certificate shown has the SHA-256 {0}, which is none of the fingerprints that are believed")]
struct NotPinned(Fingerprint);

impl From<NotPinned> for Error {
    /// Not among the errors of certificates, which show their cause as Rust would.
    fn from(error: NotPinned) -> Self {
        Self::Other(OtherError(Arc::new(error)))
    }
}

/// Believes certificates for what they are rather than for who signed them.
struct Verifier {
    accepted: Accepted,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Accepted {
    Only(Vec<Fingerprint>),
    Any,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verifier").field(&self.accepted).finish()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.accepted {
            Accepted::Any => Ok(ServerCertVerified::assertion()),
            Accepted::Only(fingerprints) => {
                let shown = Fingerprint::of(certificate);
                if fingerprints.contains(&shown) { Ok(ServerCertVerified::assertion()) } else { Err(NotPinned(shown).into()) }
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
