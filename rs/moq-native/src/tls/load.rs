//! Certificates and keys from PEM files.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::sign::CertifiedKey;
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};

use super::{
    Certificates,
    dates::{self, DateError},
    generate::certified,
    provider,
};

/// Largest PEM file that is read, in bytes: four times the authorities of a whole operating system.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where one certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemFiles {
    /// The chain, the holder's own certificate first.
    pub certificate: PathBuf,
    /// Its private key, as PKCS#8, SEC1 or PKCS#1.
    pub key: PathBuf,
}

/// Why certificates could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} has more than {FILE_BYTES_MAX} bytes, too many for certificates", .0.display())]
    TooLarge(PathBuf),
    #[error("{} is not whole, or no PEM: {}", path.display(), wrong(source))]
    Pem { path: PathBuf, source: pem::Error },
    #[error("{} holds no certificate", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} holds no private key", .0.display())]
    NoKey(PathBuf),
    #[error("the certificate in {} cannot be used: {reason}", path.display())]
    Date { path: PathBuf, reason: String },
    #[error("{} and {} do not go together: {source}", certificate.display(), key.display())]
    Mismatch { certificate: PathBuf, key: PathBuf, source: rustls::Error },
}

/// What is wrong with PEM; the library shows text as numbers.
fn wrong(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => format!("no end of {}", String::from_utf8_lossy(end_marker)),
        other => other.to_string(),
    }
}

impl Certificates {
    /// Reads a certificate and its key. Reads files: call it off the threads that carry connections.
    ///
    /// # Errors
    /// When a file cannot be read or holds nothing usable, when the key is not the certificate's, or the certificate is out of
    /// its time.
    pub fn load(files: &PemFiles) -> Result<Self, LoadError> {
        let (key, expires) = pair(files, SystemTime::now())?;
        Ok(Self { keys: Arc::new([key]), expires })
    }
}

/// A chain with its key, and when it ends.
///
/// # Errors
/// As [`Certificates::load`].
pub(super) fn pair(files: &PemFiles, now: SystemTime) -> Result<(Arc<CertifiedKey>, SystemTime), LoadError> {
    let PemFiles { certificate, key } = files;
    let chain = chain(certificate)?;
    let expires = chain.first().map_or(Err(DateError::Unreadable), |own| dates::end(own, now));
    let expires = expires.map_err(|error| LoadError::Date { path: certificate.clone(), reason: error.to_string() })?;
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|source| match source {
        pem::Error::NoItemsFound => LoadError::NoKey(key.clone()),
        source => LoadError::Pem { path: key.clone(), source },
    })?;
    let mismatch = |source| LoadError::Mismatch { certificate: certificate.clone(), key: key.clone(), source };
    Ok((Arc::new(certified(chain, private, &provider()).map_err(mismatch)?), expires))
}

/// The certificates in a PEM file, in order; at least one.
///
/// # Errors
/// When the file cannot be read or holds none.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let text = read(path)?;
    let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|source| LoadError::Pem { path: path.to_owned(), source })?;
    if chain.is_empty() { Err(LoadError::NoCertificate(path.to_owned())) } else { Ok(chain) }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_owned(), source };
    let mut text = Vec::new();
    File::open(path).map_err(failed)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX { Err(LoadError::TooLarge(path.to_owned())) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
    fn several_pairs_are_kept_in_their_order() {
        let files = Files::new("several");
        let [first, second] = ["first.test", "second.test"].map(|name| {
            let (certificate, key) = pem(name);
            let certificate = files.write(&format!("{name}.pem"), &certificate);
            let key = files.write(&format!("{name}.key"), &key);
            Certificates::load(&PemFiles { certificate, key }).unwrap()
        });

        let both = first.with(&second);

        assert_eq!(both.fingerprints(), [first.fingerprints()[0], second.fingerprints()[0]]);
        assert_eq!(both.fingerprint_for(Some("second.test")), Some(second.fingerprints()[0]));
        assert_eq!(both.fingerprint_for(None), Some(first.fingerprints()[0]));
    }

    #[test]
    fn what_is_wrong_is_told_with_the_file() {
        let files = Files::new("wrong");
        let (chain, private) = pem("first.test");
        let certificate = files.write("certificate.pem", &chain);
        let key = files.write("key.pem", &private);
        let other = files.write("other.pem", &pem("second.test").1);
        let half = files.write("half.pem", &chain[..chain.len() / 2]);
        let half_key = files.write("half-key.pem", &private[..private.len() / 2]);
        let (empty, missing) = (files.write("empty.pem", ""), files.0.join("missing.pem"));
        let large = files.write("large.pem", &" ".repeat(FILE_BYTES_MAX as usize + 1));
        let load = |certificate: &PathBuf, key: &PathBuf| {
            let pair = PemFiles { certificate: certificate.clone(), key: key.clone() };
            Certificates::load(&pair).unwrap_err()
        };

        assert!(matches!(load(&certificate, &other), LoadError::Mismatch { .. }));
        assert!(matches!(load(&empty, &key), LoadError::NoCertificate(path) if path == empty));
        assert!(matches!(load(&certificate, &empty), LoadError::NoKey(path) if path == empty));
        assert!(matches!(load(&large, &key), LoadError::TooLarge(path) if path == large));
        for (certificate, key) in [(&missing, &key), (&certificate, &missing)] {
            assert!(matches!(load(certificate, key), LoadError::Read { path, .. } if path == missing));
        }
        assert_eq!(load(&half, &key).to_string(), format!("{} is not whole, or no PEM: no end of CERTIFICATE", half.display()));
        assert!(matches!(load(&certificate, &half_key), LoadError::Pem { path, .. } if path == half_key));
    }

    #[test]
    fn a_certificate_out_of_its_time_is_not_taken() {
        let files = Files::new("time");
        let key = KeyPair::generate().unwrap();
        let private = files.write("key.pem", &key.serialize_pem());
        let day = Duration::from_secs(24 * 60 * 60);
        for (begins, ends, said) in [(-2, -1, "it has ended on"), (1, 2, "it begins only on")] {
            let at = |days: i32| {
                if days < 0 {
                    SystemTime::now() - day * days.unsigned_abs()
                } else {
                    SystemTime::now() + day * days.unsigned_abs()
                }
            };
            let mut params = rcgen::CertificateParams::new(vec!["first.test".to_owned()]).unwrap();
            (params.not_before, params.not_after) = (at(begins).into(), at(ends).into());
            let certificate = files.write("certificate.pem", &params.self_signed(&key).unwrap().pem());
            let refused = Certificates::load(&PemFiles { certificate, key: private.clone() }).unwrap_err();
            assert!(refused.to_string().contains(said), "{refused}");
        }
    }
}
