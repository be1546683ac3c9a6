//! A request to come in: what a peer sent along, and the one reading of it.
//!
//! Whatever carries the request, its path is read by `canonical` and its token by `address::token`, so every entrance sees
//! the same ones. Spec: RFC 6750, section 2.1 for `Authorization: Bearer`.

use std::net::SocketAddr;

use moq_native::{Transport, tls::ClientCertificate};
use moq_proto::{Path, canonical};
use moq_token::address;

use super::{Refused, remote::Inquiry};
use crate::secret::Secret;

/// What a peer sent along when it asked to come in. Holds its token, and is therefore never shown.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    /// Path and query, such as `/room/alice?jwt=...`. An empty one is the root.
    pub(crate) target: &'a str,
    /// The values of `Authorization`, where the transport has headers.
    pub(crate) authorization: &'a [&'a [u8]],
    pub(crate) wish: Wish,
    pub(crate) peer: SocketAddr,
    /// What is to carry the session. `None`: a single answer over HTTP is all.
    pub(crate) transport: Option<Transport>,
    /// What it has proved to be its own where the listener asks for one, and nobody else may have made it show. `None`: nothing.
    pub(crate) certificate: Option<&'a ClientCertificate>,
}

/// What the peer wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Whatever it may: publish, subscribe, or both.
    Either,
    /// Only to subscribe.
    Subscribe,
}

/// A request once read.
pub(super) struct Asked {
    pub(super) path: Path,
    /// `None`: none was shown, or an empty one.
    pub(super) token: Option<Secret>,
}

impl Request<'_> {
    /// What carries the session, or the one answer, in a word.
    pub(super) fn carrier(&self) -> &'static str {
        match self.transport {
            Some(Transport::WebTransport | Transport::Quic) => "quic",
            Some(Transport::WebSocket) => "websocket",
            Some(Transport::Tcp) => "tcp",
            Some(Transport::Unix) => "unix",
            Some(_) => "other",
            None => "http",
        }
    }

    /// # Errors
    /// [`Refused::Path`] when the path cannot be one; [`Refused::TwoTokens`] when it is not clear which token is meant.
    pub(super) fn read(&self) -> Result<Asked, Refused> {
        // Nobody should send a fragment. Readers of HTTP drop it before anybody here sees it, so it is dropped everywhere.
        let target = self.target.split('#').next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = canonical(path)?;
        let mut token = address::token(query);
        for shown in self.authorization.iter().filter_map(|value| bearer(value)) {
            if token.replace(shown.clone()).is_some_and(|other| other != shown) {
                return Err(Refused::TwoTokens);
            }
        }
        Ok(Asked { path, token: token.map(Secret::new) })
    }

    /// The same as a question to somebody else.
    pub(super) fn inquiry(&self, asked: &Asked) -> Inquiry {
        let query = self.target.split('#').next().and_then(|target| target.split_once('?')).map(|(_, query)| Secret::new(query));
        let header = self.authorization.iter().find_map(|value| bearer(value)).map(Secret::new);
        Inquiry {
            id: format!("{:032x}", rand::random::<u128>()),
            path: asked.path.clone(),
            query,
            token: asked.token.clone(),
            header,
            carrier: self.carrier(),
            peer: self.peer,
            wish: self.wish,
        }
    }
}

/// The token in a value of `Authorization`. `None`: an empty one, or credentials of another kind, such as a proxy's.
fn bearer(value: &[u8]) -> Option<String> {
    let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
    let (scheme, mut token) = value.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        return None;
    }
    while let Some((b' ' | b'\t', rest)) = token.split_first() {
        token = rest;
    }
    // Bytes that are no text make a token that is none, rather than no token.
    let token = String::from_utf8_lossy(token).into_owned();
    (!token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::testing::request;

    fn read(target: &str, authorization: &[&[u8]]) -> Result<(String, Option<String>), Refused> {
        let request = Request { authorization, ..request(target) };
        request.read().map(|asked| (asked.path.to_string(), asked.token.map(|token| token.expose().to_owned())))
    }

    #[test]
    fn a_target_is_a_path_and_perhaps_a_token() {
        let rows = [
            ("", "", None),
            ("/", "", None),
            ("/room//alice/", "room/alice", None),
            ("/r%C3%A4ume?x=1", "räume", None),
            ("/room?jwt=abc", "room", Some("abc")),
            ("/room?jwt=", "room", None),
            ("?jwt=abc", "", Some("abc")),
            ("/room?jwt=one&x=y&jwt=two", "room", Some("two")),
            ("/room#alice?jwt=abc", "room", None),
            ("/room?jwt=abc#d", "room", Some("abc")),
        ];
        for (target, path, token) in rows {
            assert_eq!(read(target, &[]), Ok((path.into(), token.map(String::from))), "{target}");
        }
        for target in ["/../etc", "/a%2Fb", "/a%00", "/..?jwt=abc"] {
            assert!(matches!(read(target, &[]), Err(Refused::Path(_))), "{target}");
        }
    }

    #[test]
    fn a_header_shows_a_token_as_well() {
        type Row = (&'static str, &'static [&'static [u8]], Option<&'static str>);
        const ROWS: &[Row] = &[
            ("/", &[b"Bearer abc"], Some("abc")),
            ("/", &[b"bearer  abc"], Some("abc")),
            ("/", &[b"BEARER\tabc"], Some("abc")),
            ("/", &[b"Bearer"], None),
            ("/?jwt=abc", &[b"Bearer "], Some("abc")),
            ("/", &[b"Basic YTpi"], None),
            ("/", &[b"Bearerabc"], None),
            ("/?jwt=abc", &[b"Basic YTpi", b"Bearer abc"], Some("abc")),
            ("/", &[b"Bearer \xff"], Some("\u{fffd}")),
        ];
        for (target, headers, token) in ROWS {
            assert_eq!(read(target, headers), Ok((String::new(), token.map(String::from))), "{headers:?}");
        }
    }

    #[test]
    fn a_question_to_somebody_else_says_the_same() {
        let authorization: &[&[u8]] = &[b"Basic YTpi", b"Bearer abc"];
        let request = Request { authorization, wish: Wish::Subscribe, ..request("/r%C3%A4ume?x=1&jwt=abc#d") };
        let inquiry = request.inquiry(&request.read().unwrap());

        let told = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        assert_eq!((inquiry.path.as_str(), told(&inquiry.query)), ("räume", Some("x=1&jwt=abc".into())));
        assert_eq!((told(&inquiry.token), told(&inquiry.header)), (Some("abc".into()), Some("abc".into())));
        assert_eq!((inquiry.carrier, inquiry.peer, inquiry.wish), ("quic", request.peer, Wish::Subscribe));
        assert!(inquiry.id.len() == 32 && inquiry.id.chars().all(|digit| digit.is_ascii_hexdigit()), "{}", inquiry.id);
        assert_ne!(inquiry.id, request.inquiry(&request.read().unwrap()).id);
    }

    #[test]
    fn what_carries_a_session_has_a_name() {
        let carrier = |transport| Request { transport, ..request("/") }.carrier();
        let transports = [Transport::WebTransport, Transport::Quic, Transport::WebSocket, Transport::Tcp, Transport::Unix];

        assert_eq!(transports.map(|one| carrier(Some(one))), ["quic", "quic", "websocket", "tcp", "unix"]);
        assert_eq!(carrier(None), "http");
    }

    #[test]
    fn two_tokens_are_one_too_many() {
        assert_eq!(read("/?jwt=abc", &[b"Bearer abd"]), Err(Refused::TwoTokens));
        assert_eq!(read("/", &[b"Bearer abc", b"Bearer abd"]), Err(Refused::TwoTokens));
    }
}
