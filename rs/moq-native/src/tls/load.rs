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

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;

    use super::*;

    /// PEM files in a directory of their own, gone with the test.
    struct Files(PathBuf);

    impl Files {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("moq-native-load-{test}-{}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, content: &str) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, content).unwrap();
            path
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn pem(name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn several_pairs_are_loaded_in_their_order() {
        let files = Files::new("several");
        let [first, second] = ["first.test", "second.test"].map(|name| {
            let (certificate, key) = pem(name);
            PemFiles {
                certificate: files.write(&format!("{name}.pem"), &certificate),
                key: files.write(&format!("{name}.key"), &key),
            }
        });
        let alone = [first.clone(), second.clone()].map(|pair| Certificates::load(&[pair]).unwrap().fingerprints()[0]);
        let both = Certificates::load(&[first, second]).unwrap();
        assert_eq!(both.fingerprints(), alone);
        assert_eq!(both.expires(), None);
    }

    #[test]
    fn what_is_wrong_is_told_with_the_file() {
        let files = Files::new("wrong");
        let (certificate, key) = pem("first.test");
        let certificate = files.write("certificate.pem", &certificate);
        let key = files.write("key.pem", &key);
        let other = files.write("other.pem", &pem("second.test").1);
        let (empty, missing) = (files.write("empty.pem", ""), files.0.join("missing.pem"));
        let load = |certificate: &PathBuf, key: &PathBuf| {
            let pair = PemFiles { certificate: certificate.clone(), key: key.clone() };
            Certificates::load(&[pair]).unwrap_err()
        };

        assert!(matches!(load(&certificate, &other), LoadError::Mismatch { .. }));
        assert!(matches!(load(&empty, &key), LoadError::Empty(path) if path == empty));
        for (certificate, key, culprit) in
            [(&missing, &key, &missing), (&certificate, &missing, &missing), (&certificate, &empty, &empty)]
        {
            assert!(matches!(load(certificate, key), LoadError::Read { path, .. } if path == *culprit));
        }
        assert!(matches!(Certificates::load(&[]), Err(LoadError::None)));
    }
}
