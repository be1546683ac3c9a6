//! Events: what `--json` writes to standard output, an object a line.
//!
//! Names of events and fields are a promise to scripts: new ones may come, none goes away. `docs/moq.md` lists them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use moq_native::reconnect::Place;
use moq_proto::Version;
use serde::{Serialize, Serializer};

use crate::link::State;

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    /// The session is open; once more, after it was lost or where the relay has sent us.
    Connected {
        #[serde(serialize_with = "text")]
        url: &'a Place,
        #[serde(serialize_with = "text")]
        version: Version,
    },
    /// The session is lost, and another is tried for.
    Reconnecting { reason: &'a str },
    /// A broadcast is on air. `hops`: how many publishers and relays lie behind it.
    Announced { path: &'a str, hops: usize },
    /// It is reached another way, or from another publisher.
    Updated { path: &'a str, hops: usize },
    /// It is off the air.
    Unannounced { path: &'a str },
    /// A track is on air that was imported.
    Track { track: &'a str, codec: &'a str },
    /// A group begins.
    Group { group: u64 },
    /// A frame. `delay_ms`: since it was made, where the publisher says.
    Frame {
        group: u64,
        frame: u64,
        size: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        timestamp_us: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        delay_ms: Option<u64>,
        #[serde(serialize_with = "base64")]
        payload: &'a [u8],
    },
    /// A tick of the clock.
    Tick {
        group: u64,
        time: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        delay_ms: Option<u64>,
    },
    /// A group ends; `whole`: nothing of it is missing.
    GroupEnd { group: u64, frames: u64, whole: bool },
    /// The end: of the track, of the input, or because it was asked for.
    End { groups: u64, frames: u64, bytes: u64, skipped: u64 },
}

impl<'a> Event<'a> {
    /// What became of the session.
    pub(crate) fn link(state: &'a State) -> Self {
        match state {
            State::Connected { place, version } => Self::Connected { url: place, version: *version },
            State::Reconnecting(reason) => Self::Reconnecting { reason },
        }
    }

    /// As a line. Nothing in an event can fail to be written.
    pub(crate) fn line(&self) -> Bytes {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line.into()
    }
}

fn text<S: Serializer>(value: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

fn base64<S: Serializer>(payload: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_names_that_stay() {
        let url = Place::from(url::Url::parse("https://relay/room?jwt=secret").unwrap());
        let frame = Event::Frame { group: 3, frame: 0, size: 2, timestamp_us: Some(5), delay_ms: None, payload: b"hi" };
        for (event, line) in [
            (
                Event::Connected { url: &url, version: Version::Lite05 },
                r#"{"event":"connected","url":"https://relay/room","version":"moq-lite-05"}"#,
            ),
            (Event::Reconnecting { reason: "reset" }, r#"{"event":"reconnecting","reason":"reset"}"#),
            (Event::Announced { path: "a/b", hops: 1 }, r#"{"event":"announced","path":"a/b","hops":1}"#),
            (Event::Unannounced { path: "a/b" }, r#"{"event":"unannounced","path":"a/b"}"#),
            (Event::Track { track: "video", codec: "avc1.42c01e" }, r#"{"event":"track","track":"video","codec":"avc1.42c01e"}"#),
            (Event::Group { group: 3 }, r#"{"event":"group","group":3}"#),
            (frame, r#"{"event":"frame","group":3,"frame":0,"size":2,"timestamp_us":5,"payload":"aGk="}"#),
            (Event::GroupEnd { group: 3, frames: 1, whole: true }, r#"{"event":"group_end","group":3,"frames":1,"whole":true}"#),
            (
                Event::End { groups: 1, frames: 1, bytes: 2, skipped: 0 },
                r#"{"event":"end","groups":1,"frames":1,"bytes":2,"skipped":0}"#,
            ),
        ] {
            assert_eq!(event.line(), format!("{line}\n"));
        }
    }

    #[test]
    fn the_manual_lists_every_event() {
        let manual = include_str!("../../../docs/moq.md");
        for name in [
            "connected",
            "reconnecting",
            "announced",
            "updated",
            "unannounced",
            "track",
            "group",
            "frame",
            "tick",
            "group_end",
            "end",
        ] {
            assert!(manual.contains(&format!("| `{name}` |")), "{name}");
        }
    }
}
