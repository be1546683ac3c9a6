//! Failures: what they are called, the way out of them, and the exit status.

use std::process::ExitCode;

use http::StatusCode;
use moq_native::ConnectError;
use moq_proto::{CloseCode, Path, close};

/// A failure that scripts tell from others.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A command line that parses and makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The relay understood, and said no.
    #[error("refused by the relay: {reason}")]
    Refused { reason: String, shown: bool },
    #[error("nothing is published at {0:?}")]
    NoBroadcast(Path),
    #[error("{broadcast:?} has no track {track:?}")]
    NoTrack { broadcast: Path, track: String },
    #[error("group {group} is not to be had")]
    NoGroup { group: u64, can_fetch: bool },
    #[error("group {group} has no frame {frame}, but {count} of them")]
    NoFrame { group: u64, frame: u64, count: u64 },
    #[error("connecting: {error}")]
    Connect { error: ConnectError, needs_udp: bool },
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> anyhow::Error {
        Self::Usage(text.into()).into()
    }

    /// Why there is no connection. `shown`: whether a token was.
    pub(crate) fn connect(error: ConnectError, shown: bool, needs_udp: bool) -> Self {
        match error {
            ConnectError::Refused(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
                Self::Refused { reason: status.to_string(), shown }
            }
            error => Self::Connect { error, needs_udp },
        }
    }

    fn status(&self) -> u8 {
        match self {
            Self::Connect { error: ConnectError::Refused(StatusCode::NOT_FOUND), .. } => 4,
            Self::Connect { .. } => 1,
            Self::Usage(_) => 2,
            Self::Refused { .. } => 3,
            Self::NoBroadcast(_) | Self::NoTrack { .. } | Self::NoGroup { .. } | Self::NoFrame { .. } => 4,
        }
    }

    /// What to try.
    fn way_out(&self) -> Option<&'static str> {
        match self {
            Self::Usage(_) => Some("for more, try --help"),
            Self::Refused { shown: false, .. } => Some("show a token: --jwt FILE, or the environment variable MOQ_JWT"),
            Self::Refused { shown: true, .. } => {
                Some("what the token allows at this URL, and why not: moq-token explain --url URL")
            }
            Self::NoBroadcast(_) => Some("`moq announced --once URL` lists what is on air; --wait 1m waits for it to begin"),
            Self::NoGroup { can_fetch: false, .. } => Some("fetching needs moq-lite-05 or newer, which the relay does not speak"),
            Self::NoGroup { .. } => Some("groups are kept for a while only; `moq subscribe --json` tells which are on air"),
            Self::Connect { error, needs_udp } => way_to_connect(error, *needs_udp),
            Self::NoTrack { .. } | Self::NoFrame { .. } => None,
        }
    }
}

fn way_to_connect(error: &ConnectError, needs_udp: bool) -> Option<&'static str> {
    match error {
        ConnectError::Unanswered { websocket, .. } => way_to_connect(websocket, needs_udp),
        ConnectError::Pin(_) => Some("http:// is for development relays that speak HTTP there; for others, use https://"),
        ConnectError::Quic(_) | ConnectError::Tls(_) => {
            certificate(&error.to_string()).or_else(|| way_to_relay(error, needs_udp))
        }
        _ => way_to_relay(error, needs_udp),
    }
}

/// What to do about a certificate that is not believed. The reason is text to all but the verifier.
fn certificate(error: &str) -> Option<&'static str> {
    let says = |words: &[&str]| words.iter().any(|word| error.contains(word));
    if says(&["certificate expired", "certificate not valid yet"]) {
        return Some("the relay needs a new certificate, unless the clock of this machine is wrong");
    }
    if says(&["SHA-256"]) {
        return Some("certificates are renewed: --tls-fingerprint with the new one, which a relay tells at /certificate.sha256");
    }
    says(&["certificate", "UnknownIssuer", "NotValidForName"])
        .then_some("for a relay with a certificate of its own: http://HOST:PORT, or --tls-root, --tls-fingerprint, --insecure")
}

fn way_to_relay(error: &ConnectError, needs_udp: bool) -> Option<&'static str> {
    match error {
        ConnectError::Tls(_) => Some("does this port speak TLS? ws:// does without"),
        ConnectError::WebSocket(_) => Some("does this port speak HTTP without TLS? wss:// is with it"),
        ConnectError::Late(_) | ConnectError::Quic(_) if needs_udp => {
            Some("is a relay there, and does UDP pass? wss:// and ws:// do without UDP")
        }
        ConnectError::Late(_)
        | ConnectError::Quic(_)
        | ConnectError::TcpTo { .. }
        | ConnectError::Tcp(_)
        | ConnectError::Unix { .. } => Some("is a relay there?"),
        _ => None,
    }
}

/// Whether this code says that there is nothing of the name.
pub(crate) fn is_missing(code: CloseCode) -> bool {
    matches!(code, close::stream::NOT_FOUND | close::stream::UNROUTABLE)
}

/// Tells people what went wrong, and scripts how.
pub(crate) fn tell(error: &anyhow::Error) -> ExitCode {
    let failure = error.downcast_ref::<Failure>();
    eprintln!("moq: {error:#}");
    if let Some(way_out) = failure.and_then(Failure::way_out) {
        eprintln!("     {way_out}");
    }
    ExitCode::from(failure.map_or(1, Failure::status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_certificate_that_is_not_believed_has_its_own_way_out() {
        for (error, way) in [
            ("invalid peer certificate: UnknownIssuer", "--tls-root, --tls-fingerprint, --insecure"),
            ("invalid peer certificate: certificate not valid for name \"a\"; certificate is only valid for b", "--insecure"),
            ("invalid peer certificate: certificate expired: verification time 2 (UNIX)", "a new certificate"),
            ("invalid peer certificate: certificate not valid yet: verification time 1 (UNIX)", "clock"),
            ("other error: the certificate shown has the SHA-256 00", "--tls-fingerprint with the new one"),
        ] {
            assert!(certificate(error).unwrap().contains(way), "{error}");
        }
        assert_eq!(certificate("received corrupt message of type InvalidContentType"), None);
    }

    #[test]
    fn where_udp_is_dropped_the_way_out_is_that_of_the_websocket() {
        let websocket = Box::new(ConnectError::Tls(std::io::Error::other("invalid peer certificate: UnknownIssuer")));
        let unanswered = ConnectError::Unanswered { limit: std::time::Duration::from_secs(1), websocket };
        assert!(way_to_connect(&unanswered, false).unwrap().contains("--tls-root"));
    }

    #[test]
    fn a_page_that_tells_no_fingerprint_is_not_taken_for_a_certificate() {
        let pin = ConnectError::Pin(moq_native::PinError::NotHttp);
        assert!(way_to_connect(&pin, true).unwrap().starts_with("http:// is for development relays"));
    }
}
