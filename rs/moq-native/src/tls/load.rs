//! Certificates and keys from PEM files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};

use super::{Certificates, generate::certified, provider};

/// Where one certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key, as PKCS#8, SEC1 or PKCS#1.
    pub key: PathBuf,
}

/// Why certificates could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: pem::Error },
    #[error("{} holds no certificate", .0.display())]
    Empty(PathBuf),
    #[error("{} and {} do not go together: {source}", certificate.display(), key.display())]
    Mismatch { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("no certificate is configured")]
    None,
}

impl Certificates {
    /// Reads certificates and keys. Reads files: call it off the threads that carry connections.
    ///
    /// # Errors
    /// When a file cannot be read, holds nothing usable, or a key is not its certificate's.
    pub fn load(files: &[PemFiles]) -> Result<Self, LoadError> {
        if files.is_empty() {
            return Err(LoadError::None);
        }
        let provider = provider();
        let keys = files.iter().map(|files| {
            let chain = chain(&files.certificate)?;
            let key = PrivateKeyDer::from_pem_file(&files.key).map_err(failed(&files.key))?;
            let key = certified(chain, key, &provider).map_err(|source| LoadError::Mismatch {
                certificate: files.certificate.clone(),
                key: files.key.clone(),
                source,
            })?;
            Ok(Arc::new(key))
        });
        Ok(Self { keys: keys.collect::<Result<_, LoadError>>()?, expires: None })
    }
}

/// The certificates in a PEM file, in order.
///
/// # Errors
/// When the file cannot be read or holds none.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(failed(path))?;
    if chain.is_empty() { Err(LoadError::Empty(path.to_owned())) } else { Ok(chain) }
}

fn failed(path: &Path) -> impl Fn(pem::Error) -> LoadError + '_ {
    |source| LoadError::Read { path: path.to_owned(), source }
}
