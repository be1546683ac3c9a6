//! What a fetch asks for, read from its path and query.

use std::time::Duration;

use moq_lite::model::broadcast::NAME_BYTES_MAX;
use url::form_urlencoded;

use super::refusal::Refusal;

/// Longest `wait`. With the time to answer it stays below the time that a connection has by default.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// The query of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) wanted: Wanted,
    pub(super) extent: Extent,
    /// How long to wait for what is not there yet.
    pub(super) wait: Duration,
}

/// Which group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Latest,
    Group(u64),
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    Frame(usize),
}

impl Query {
    /// Reads `group`, `frame` and `wait`. Others are somebody else's; of several, the last counts.
    pub(super) fn read(query: &str) -> Result<Self, Refusal> {
        let mut read = Self { wanted: Wanted::Latest, extent: Extent::Whole, wait: Duration::ZERO };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "group" if value == "latest" => read.wanted = Wanted::Latest,
                "group" => read.wanted = Wanted::Group(value.parse().map_err(|_| Refusal::Query(GROUP))?),
                "frame" if value == "chunked" => read.extent = Extent::Whole,
                "frame" => read.extent = Extent::Frame(value.parse().map_err(|_| Refusal::Query(FRAME))?),
                "wait" => read.wait = wait(&value).filter(|wait| *wait <= WAIT_MAX).ok_or(Refusal::Query(WAIT))?,
                _ => {}
            }
        }
        Ok(read)
    }
}

const GROUP: &str = "`group` is a number, or `latest`";
const FRAME: &str = "`frame` is a number, from 0, or `chunked`";
const WAIT: &str = "`wait` is a time such as `5s` or `500ms`, at most 20s";

fn wait(text: &str) -> Option<Duration> {
    text.parse().map(Duration::from_secs).ok().or_else(|| humantime::parse_duration(text).ok())
}

/// Splits what follows `/fetch` into the path of the broadcast, as it was written, and the name of the track.
///
/// A track is a name and not a path: what is escaped in it, slashes too, is part of the name.
pub(super) fn target(path: &str) -> Result<(&str, String), Refusal> {
    let (broadcast, track) = path.rsplit_once('/').ok_or(Refusal::Path)?;
    let track: Vec<u8> = percent_encoding::percent_decode_str(track).collect();
    let track = String::from_utf8(track).map_err(|_| Refusal::Path)?;
    let is_named = !track.is_empty() && track.len() <= NAME_BYTES_MAX && broadcast.contains(|c| c != '/');
    if is_named { Ok((broadcast, track)) } else { Err(Refusal::Path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_segment_is_the_track() {
        let rows = [
            ("/room/video", Some(("/room", "video"))),
            ("/a/b%20c/catalog.json", Some(("/a/b%20c", "catalog.json"))),
            ("/room/hd%2Fvideo", Some(("/room", "hd/video"))),
            ("/room/caf%C3%A9", Some(("/room", "café"))),
            ("/room/", None),
            ("/room", None),
            ("//video", None),
            ("/", None),
            ("", None),
            ("/room/%ff", None),
        ];
        for (path, expected) in rows {
            let read = target(path).ok();
            assert_eq!(read.as_ref().map(|(broadcast, track)| (*broadcast, track.as_str())), expected, "{path}");
        }
        assert!(target(&format!("/room/{}", "x".repeat(NAME_BYTES_MAX))).is_ok());
        assert!(target(&format!("/room/{}", "x".repeat(NAME_BYTES_MAX + 1))).is_err());
    }

    #[test]
    fn a_query_says_which_group_how_much_of_it_and_how_long_to_wait() {
        let latest = Query { wanted: Wanted::Latest, extent: Extent::Whole, wait: Duration::ZERO };
        let rows = [
            ("", latest),
            ("jwt=abc&group=latest&frame=chunked", latest),
            ("group=7", Query { wanted: Wanted::Group(7), ..latest }),
            ("group=7&group=8&frame=0", Query { wanted: Wanted::Group(8), extent: Extent::Frame(0), ..latest }),
            ("wait=2", Query { wait: Duration::from_secs(2), ..latest }),
            ("wait=500ms", Query { wait: Duration::from_millis(500), ..latest }),
            ("wait=20s", Query { wait: WAIT_MAX, ..latest }),
        ];
        for (text, expected) in rows {
            assert_eq!(Query::read(text).ok(), Some(expected), "{text}");
        }
        for text in ["group=abc", "group=-1", "group=", "group=18446744073709551616", "frame=x", "wait=21s", "wait=soon", "wait="]
        {
            assert!(matches!(Query::read(text), Err(Refusal::Query(_))), "{text}");
        }
    }
}
