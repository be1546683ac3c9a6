//! The request: what a client writes into the CONNECT that asks for a session, as it wrote it.
//!
//! The path is not read here, let alone resolved: what it means is decided where those of all transports are.
//!
//! Spec: RFC 9114, sections 4.2 and 4.3; RFC 9220; WebTransport over HTTP/3, sections 3.2 and 3.3; RFC 9651 (lists).

use std::{borrow::Cow, convert::Infallible, fmt};

use sfv::{
    BareItemFromInput, Parser,
    visitor::{EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor, Never, ParameterVisitor},
};
use tokio::io::AsyncRead;
use web_transport_proto::Frame;

use super::{
    FIELD_SECTION_BYTES_MAX, Violation,
    frames::Frames,
    qpack::{DecodeError, Section},
};

/// What `:protocol` says: the name up to draft 14, and from 15 on.
const TOKENS: [&[u8]; 2] = [b"webtransport", b"webtransport-h3"];

/// The session protocols that a client offers.
const OFFER: &[u8] = b"wt-available-protocols";

/// A client's request for a session. Its target may hold a token, so it is never shown.
pub struct Request {
    authority: String,
    target: String,
    /// The values of [`OFFER`], as one list.
    offer: Vec<u8>,
}

impl Request {
    /// Reads a request off its stream.
    ///
    /// # Errors
    /// When it is none, or too large, or the stream ends first.
    pub(super) async fn read(stream: &mut Frames<impl AsyncRead + Unpin>) -> Result<Self, Violation> {
        loop {
            match stream.next().await? {
                None => return Err(Violation::NoRequest),
                Some((Frame::HEADERS, length)) => {
                    let section = stream.payload(length, FIELD_SECTION_BYTES_MAX.into()).await.map_err(|error| match error {
                        Violation::FrameTooLarge => DecodeError::TooLarge.into(),
                        other => other,
                    });
                    return Self::decode(&section?);
                }
                Some((Frame::SETTINGS, _)) => return Err(Violation::FrameUnexpected),
                Some((_, length)) => stream.skip(length).await?,
            }
        }
    }

    /// Reads a request out of its field section.
    ///
    /// # Errors
    /// [`Violation::Fields`] when there are no fields to read; [`Violation::Malformed`] when they are no request;
    /// [`Violation::NotWebTransport`] when they ask for something else.
    pub fn decode(section: &[u8]) -> Result<Self, Violation> {
        let [mut method, mut scheme, mut authority, mut path, mut protocol] = [const { None }; 5];
        let mut offer = Vec::new();
        for field in Section::new(section, FIELD_SECTION_BYTES_MAX as usize)? {
            let (name, value) = field?;
            if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
                return Err(Violation::Malformed("control character in a field"));
            }
            let place = match &*name {
                b":method" => &mut method,
                b":scheme" => &mut scheme,
                b":authority" => &mut authority,
                b":path" => &mut path,
                b":protocol" => &mut protocol,
                [b':', ..] => return Err(Violation::Malformed("unknown pseudo-header")),
                name => {
                    if name.eq_ignore_ascii_case(OFFER) {
                        // Several lines are one list (RFC 9110, section 5.3).
                        offer.extend_from_slice(if offer.is_empty() { b"" } else { b"," });
                        offer.extend_from_slice(&value);
                    }
                    continue;
                }
            };
            if place.replace(value).is_some() {
                return Err(Violation::Malformed("pseudo-header given twice"));
            }
        }
        let is_connect = method.as_deref() == Some(b"CONNECT") && scheme.as_deref() == Some(b"https");
        if !is_connect || !protocol.is_some_and(|protocol| TOKENS.contains(&&*protocol)) {
            return Err(Violation::NotWebTransport);
        }
        let text = |value: Option<Cow<'_, [u8]>>, missing| {
            let value = value.ok_or(Violation::Malformed(missing))?;
            String::from_utf8(value.into_owned()).map_err(|_| Violation::Malformed("pseudo-header that is no text"))
        };
        Ok(Self { authority: text(authority, "no :authority")?, target: text(path, "no :path")?, offer })
    }

    /// Path and query, as written.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The host that the client believes it speaks to.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The first protocol of the client's list that is one of `spoken`. A list that is none counts as not sent.
    pub fn choose<'a>(&self, spoken: &'a [String]) -> Option<&'a str> {
        Parser::new(&self.offer).parse_list_with_visitor(Choice { spoken, chosen: None }).ok().flatten()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

/// Goes through a list for the first string that is spoken, without keeping it.
struct Choice<'a> {
    spoken: &'a [String],
    chosen: Option<&'a str>,
}

/// Members of the list are strings, or it means nothing (WebTransport over HTTP/3, section 3.3).
#[derive(Debug, thiserror::Error)]
#[error("not a string")]
struct NotAString;

impl<'de, 'a> ListVisitor<'de> for Choice<'a> {
    type Out = Option<&'a str>;
    type Error = Infallible;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, Infallible> {
        Ok(self)
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok(self.chosen)
    }
}

impl<'de> EntryVisitor<'de> for &mut Choice<'_> {
    type Error = NotAString;

    fn item(self) -> Result<impl ItemVisitor<'de>, NotAString> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, NotAString> {
        Err::<Never, _>(NotAString)
    }
}

impl<'de> ItemVisitor<'de> for &mut Choice<'_> {
    type Out = ();
    type Error = NotAString;

    fn bare_item(self, item: BareItemFromInput<'de>) -> Result<impl ParameterVisitor<'de, Out = ()>, NotAString> {
        let BareItemFromInput::String(offered) = item else { return Err(NotAString) };
        if self.chosen.is_none() {
            self.chosen = self.spoken.iter().map(String::as_str).find(|spoken| *spoken == offered.as_str());
        }
        Ok(Ignored)
    }
}
