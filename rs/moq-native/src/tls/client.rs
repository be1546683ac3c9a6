//! Certificates of clients: how a client shows one, who vouches for it, and what it says.
//!
//! What its names allow is the program's matter.
//! Spec: RFC 5280, sections 4.1.2.6 and 4.2.1.6; RFC 8446, section 4.3.2.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::{ResolvesClientCert, danger::HandshakeSignatureValid},
    server::{
        VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate};

use super::{Fingerprint, LoadError, PemFiles, dates, load, provider};

/// What a client proves itself with where a server asks for it.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// Reads a chain and its key. Reads files: call it off the threads that carry connections.
    ///
    /// # Errors
    /// When a file cannot be read, holds nothing usable, is out of its time, or the key is not the certificate's.
    pub fn load(files: &PemFiles) -> Result<Self, LoadError> {
        Ok(Self(load::pair(files, SystemTime::now())?.0))
    }

    /// What a `rustls` client shows it by.
    pub fn resolver(&self) -> Arc<dyn ResolvesClientCert> {
        Arc::new(SingleCertAndKey::from(self.0.clone()))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprint = self.0.cert.first().map(|certificate| Fingerprint::of(certificate).to_string());
        f.debug_tuple("Identity").field(&fingerprint).finish()
    }
}

/// Authorities that vouch for clients.
#[derive(Clone, Debug)]
pub struct ClientRoots(Arc<dyn ClientCertVerifier>);

/// Why there are no authorities that could vouch for clients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientRootsError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{} holds something that cannot be an authority: {source}", path.display())]
    Root { path: PathBuf, source: Error },
    #[error("no authority is configured")]
    None,
    #[error("these authorities cannot be used: {0}")]
    Verifier(#[from] VerifierBuilderError),
}

impl ClientRoots {
    /// The authorities in PEM files, all of them together. Reads files: call it off the threads that carry connections.
    ///
    /// # Errors
    /// When a file cannot be read, or holds something that is no authority.
    pub fn load(files: &[PathBuf]) -> Result<Self, ClientRootsError> {
        let mut roots = RootCertStore::empty();
        for path in files {
            for certificate in load::chain(path)? {
                roots.add(certificate).map_err(|source| ClientRootsError::Root { path: path.clone(), source })?;
            }
        }
        if roots.is_empty() {
            return Err(ClientRootsError::None);
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        Ok(Self(builder.allow_unauthenticated().build()?))
    }
}

/// Asks clients for a certificate, which they may leave out, and believes those that the roots of the moment vouch for.
#[derive(Debug)]
pub(super) struct ByRoots(RwLock<(u64, ClientRoots)>);

impl ByRoots {
    pub(super) fn new(roots: ClientRoots) -> Self {
        Self(RwLock::new((NEVER + 1, roots)))
    }

    pub(super) fn set(&self, roots: ClientRoots) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *current = (current.0 + 1, roots);
    }

    /// How many roots there have been; no number comes back.
    fn generation(&self) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).0
    }

    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).1.0.clone()
    }
}

/// The generation of no roots.
const NEVER: u64 = 0;

impl ClientCertVerifier for ByRoots {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: they may change, and a client that has a certificate shows it all the same.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verifier().verify_client_cert(certificate, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier().supported_verify_schemes()
    }
}

/// A certificate that a client has proved to be its own, and that an authority vouched for in the handshake.
#[derive(Clone)]
pub struct ClientCertificate(Arc<Shown>);

struct Shown {
    /// The client's own first.
    chain: Vec<CertificateDer<'static>>,
    names: Vec<String>,
    fingerprint: Fingerprint,
    not_after: SystemTime,
    roots: Arc<ByRoots>,
    /// The generation of roots that was last seen to vouch for it.
    vouched: AtomicU64,
}

/// A certificate that was verified cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client's certificate cannot be read: {0}")]
pub struct ClientCertificateError(&'static str);

impl ClientCertificate {
    /// What `chain` says, which has been verified.
    pub(super) fn read(chain: &[CertificateDer<'_>], roots: Arc<ByRoots>) -> Result<Self, ClientCertificateError> {
        let own = chain.first().ok_or(ClientCertificateError("there is none"))?;
        let (_, parsed) = parse_x509_certificate(own).map_err(|_| ClientCertificateError("it is no certificate of X.509"))?;
        Ok(Self(Arc::new(Shown {
            names: names(&parsed)?,
            fingerprint: Fingerprint::of(own),
            not_after: dates::time(&parsed.validity().not_after),
            chain: chain.iter().map(|certificate| certificate.clone().into_owned()).collect(),
            roots,
            vouched: AtomicU64::new(NEVER),
        })))
    }

    /// Whom it names: its alternative names that are host names (in lower case), URIs or addresses of mail; the common name of
    /// its subject if it has no alternative names at all.
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// When it ends.
    pub fn not_after(&self) -> SystemTime {
        self.0.not_after
    }

    /// Whether it could still be shown: it has not ended, and the authorities of now vouch for it. Costs a signature or two where
    /// these have changed, and nothing otherwise.
    pub fn is_good(&self, now: SystemTime) -> bool {
        now < self.0.not_after && self.is_vouched_for(now)
    }

    fn is_vouched_for(&self, now: SystemTime) -> bool {
        let Shown { chain, roots, vouched, .. } = &*self.0;
        // Asked first: roots that come in between are looked at the next time.
        let generation = roots.generation();
        if vouched.load(Relaxed) == generation {
            return true;
        }
        let Some((own, intermediates)) = chain.split_first() else { return false };
        let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO));
        let is_vouched_for = roots.verify_client_cert(own, intermediates, now).is_ok();
        if is_vouched_for {
            vouched.store(generation, Relaxed);
        }
        is_vouched_for
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("names", &self.0.names)
            .field("fingerprint", &format_args!("{}", self.0.fingerprint))
            .field("not_after", &self.0.not_after)
            .finish_non_exhaustive()
    }
}

fn names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, ClientCertificateError> {
    let alternative = certificate.subject_alternative_name();
    let alternative = alternative.map_err(|_| ClientCertificateError("its alternative names make no sense"))?;
    let Some(alternative) = alternative else {
        let mut common = certificate.subject().iter_common_name();
        let (only, more) = (common.next(), common.next());
        let only = only.filter(|_| more.is_none()).and_then(|name| name.as_str().ok());
        return Ok(only.map(str::to_owned).into_iter().collect());
    };
    let named = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(host) => Some(host.to_ascii_lowercase()),
        GeneralName::URI(name) | GeneralName::RFC822Name(name) => Some((*name).to_owned()),
        _ => None,
    };
    Ok(alternative.value.general_names.iter().filter_map(named).collect())
}
