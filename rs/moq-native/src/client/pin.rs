//! The fingerprint of a development server's certificate, asked for over plain HTTP; and of the one that follows it, so that a
//! certificate that is renewed between the answer and the handshake is believed too.
//!
//! Whoever sits between can answer with their own: this is for one's own machine. The answer is read to its end, which
//! HTTP/1.0 puts where the connection closes.
//!
//! Spec: RFC 1945, sections 5 and 6.

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use url::{Position, Url};

use super::{ConnectError, PinError, resolve};
use crate::tls::Fingerprint;

/// Where servers tell it. One that knows of no second fingerprint ignores the query.
const TARGET: &str = "/certificate.sha256?all";

/// Longest answer that is read, in bytes: 64 digits and any reasonable header.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// Asks the host and port of `url`, whatever its path and query.
pub(super) async fn fetch(url: &Url) -> Result<Vec<Fingerprint>, ConnectError> {
    let port = url.port_or_known_default().ok_or(ConnectError::Host)?;
    let mut tcp = resolve::tcp(url, port).await?;
    let authority = &url[Position::BeforeHost..Position::AfterPort];
    let request = format!("GET {TARGET} HTTP/1.0\r\nHost: {authority}\r\n\r\n");

    let mut answer = Vec::new();
    let exchange = async {
        tcp.write_all(request.as_bytes()).await?;
        tcp.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await
    };
    exchange.await.map_err(PinError::Io)?;
    Ok(read(&answer)?)
}

/// The fingerprints of an answer, one a line; at least one.
fn read(answer: &[u8]) -> Result<Vec<Fingerprint>, PinError> {
    let answer = std::str::from_utf8(answer).map_err(|_| PinError::NotHttp)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(PinError::NotHttp)?;
    let mut status = head.split(' ');
    let status = match (status.next(), status.next()) {
        (Some(version), Some(code)) if version.starts_with("HTTP/1.") => code.trim_end(),
        _ => return Err(PinError::NotHttp),
    };
    match status.get(..3).and_then(|code| code.parse().ok()) {
        Some(StatusCode::OK) => Ok(body.trim().split('\n').map(|line| line.trim().parse()).collect::<Result<_, _>>()?),
        Some(other) => Err(PinError::Status(other)),
        None => Err(PinError::NotHttp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_body_is_the_fingerprint() {
        for end in ["", "\n"] {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n{DIGITS}{end}");
            assert_eq!(read(answer.as_bytes()).unwrap(), [DIGITS.parse().unwrap()]);
        }
        assert_eq!(read(format!("HTTP/1.0 200\r\n\r\n{DIGITS}").as_bytes()).unwrap(), [DIGITS.parse().unwrap()]);
    }

    #[test]
    fn there_may_be_several() {
        let next = DIGITS.replace('e', "0");
        let answer = format!("HTTP/1.0 200 OK\r\n\r\n{DIGITS}\n{next}\n");
        assert_eq!(read(answer.as_bytes()).unwrap(), [DIGITS.parse().unwrap(), next.parse().unwrap()]);
    }

    #[test]
    fn other_answers_say_what_they_are() {
        let missing = b"HTTP/1.0 404 Not Found\r\n\r\n";
        assert!(matches!(read(missing), Err(PinError::Status(StatusCode::NOT_FOUND))));
        assert!(matches!(read(b"HTTP/1.0 200 OK\r\n\r\nhello"), Err(PinError::Fingerprint(_))));
        for nonsense in [&b""[..], b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.0 200 OK", b"HTTP/1.0 ok\r\n\r\n", b"\xff\xff"] {
            assert!(matches!(read(nonsense), Err(PinError::NotHttp)), "{nonsense:?}");
        }
    }
}
