//! From when to when a certificate is good.

use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use x509_parser::{certificate::Validity, parse_x509_certificate, time::ASN1Time};

/// A certificate is not good now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DateError {
    #[error("it is no certificate of X.509")]
    Unreadable,
    #[error("it has ended on {0}")]
    Ended(String),
    #[error("it begins only on {0}; is the clock of this machine right?")]
    Early(String),
}

/// When `certificate` ends.
///
/// # Errors
/// When it cannot be read, or `now` is not between its beginning and its end.
pub(super) fn end(certificate: &CertificateDer<'_>, now: SystemTime) -> Result<SystemTime, DateError> {
    let (_, parsed) = parse_x509_certificate(certificate).map_err(|_| DateError::Unreadable)?;
    let Validity { not_before, not_after } = parsed.validity();
    if now < time(not_before) {
        return Err(DateError::Early(not_before.to_string()));
    }
    let end = time(not_after);
    if now >= end { Err(DateError::Ended(not_after.to_string())) } else { Ok(end) }
}

/// Times before 1970 are as good as 1970.
pub(super) fn time(time: &ASN1Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(time.timestamp().try_into().unwrap_or(0))
}
