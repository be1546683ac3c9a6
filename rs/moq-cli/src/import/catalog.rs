//! The catalog: what a broadcast has, for players: a JSON object in a track of its own, a group for each change of it.
//!
//! Text: the hang catalog as `@moq/hang` 0.2 reads it. Its container `legacy` has a frame's time in microseconds, as a QUIC varint
//! (RFC 9000, section 16), before the frame.

use std::collections::BTreeMap;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use serde::Serialize;

use super::media::{Audio, Config, Video};

/// The track that players look for.
pub(super) const TRACK: &str = "catalog.json";

/// What a broadcast has, by the names of its tracks.
#[derive(Debug, Default, Serialize)]
pub(super) struct Catalog {
    #[serde(skip_serializing_if = "Renditions::is_empty")]
    video: Renditions<VideoRendition>,
    #[serde(skip_serializing_if = "Renditions::is_empty")]
    audio: Renditions<AudioRendition>,
}

#[derive(Debug, Serialize)]
struct Renditions<T> {
    renditions: BTreeMap<String, T>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct VideoRendition {
    codec: String,
    container: Container,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coded_width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coded_height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    framerate: Option<f64>,
    /// For how long a frame may have to wait for one that is shown before it, in milliseconds. Players keep so much in hand;
    /// unless it is said, they keep a frame's time.
    jitter: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AudioRendition {
    codec: String,
    container: Container,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    sample_rate: u32,
    number_of_channels: u32,
}

/// How frames are written.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Container {
    Legacy,
}

impl<T> Default for Renditions<T> {
    fn default() -> Self {
        Self { renditions: BTreeMap::new() }
    }
}

impl<T> Renditions<T> {
    fn is_empty(&self) -> bool {
        self.renditions.is_empty()
    }
}

impl Catalog {
    /// Adds a track. `offset`: how much later than it is decoded its first frame is shown, in microseconds.
    pub(super) fn add(&mut self, name: &str, config: &Config, offset: i64) {
        match config {
            Config::Video(Video { codec, description, size, rate }) => {
                let rendition = VideoRendition {
                    codec: codec.clone(),
                    container: Container::Legacy,
                    description: description.as_deref().map(hex),
                    coded_width: size.map(|(width, _)| width),
                    coded_height: size.map(|(_, height)| height),
                    framerate: *rate,
                    jitter: offset.max(0).unsigned_abs().div_ceil(1000),
                };
                self.video.renditions.insert(name.to_owned(), rendition);
            }
            Config::Audio(Audio { codec, description, rate, channels }) => {
                let rendition = AudioRendition {
                    codec: codec.clone(),
                    container: Container::Legacy,
                    description: description.as_deref().map(hex),
                    sample_rate: *rate,
                    number_of_channels: *channels,
                };
                self.audio.renditions.insert(name.to_owned(), rendition);
            }
        }
    }

    /// Takes a track out.
    pub(super) fn remove(&mut self, name: &str) {
        self.video.renditions.remove(name);
        self.audio.renditions.remove(name);
    }

    /// As a frame of its track. Nothing in a catalog can fail to be written.
    pub(super) fn frame(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// A frame in the container `legacy`. `time`: when it is to be shown, in microseconds.
pub(super) fn legacy(time: i64, payload: &[u8]) -> Bytes {
    /// The varint of eight bytes, which 2 ones begin.
    const EIGHT_BYTES: u64 = 3 << 62;
    let time = time.max(0).unsigned_abs().min(!EIGHT_BYTES);
    let mut frame = BytesMut::with_capacity(8 + payload.remaining());
    frame.put_u64(EIGHT_BYTES | time);
    frame.put_slice(payload);
    frame.freeze()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_is_what_players_read() {
        let mut catalog = Catalog::default();
        assert_eq!(catalog.frame(), "{}");
        let description = Some(Bytes::from_static(b"\x01\xab"));
        let video =
            Video { codec: "avc1.42c01e".into(), description: description.clone(), size: Some((64, 36)), rate: Some(29.97) };
        catalog.add("video", &Config::Video(video), 66_001);
        let audio = Audio { codec: "mp4a.40.2".into(), description, rate: 48_000, channels: 2 };
        catalog.add("audio", &Config::Audio(audio), 0);
        assert_eq!(
            catalog.frame(),
            concat!(
                r#"{"video":{"renditions":{"video":{"codec":"avc1.42c01e","container":{"kind":"legacy"},"description":"01ab","#,
                r#""codedWidth":64,"codedHeight":36,"framerate":29.97,"jitter":67}}},"#,
                r#""audio":{"renditions":{"audio":{"codec":"mp4a.40.2","container":{"kind":"legacy"},"description":"01ab","#,
                r#""sampleRate":48000,"numberOfChannels":2}}}}"#
            )
        );
        catalog.remove("video");
        catalog.remove("audio");
        catalog.add("video2", &Config::Video(super::super::codec::record::vp8()), -5);
        let bare = r#"{"video":{"renditions":{"video2":{"codec":"vp8","container":{"kind":"legacy"},"jitter":0}}}}"#;
        assert_eq!(catalog.frame(), bare);
    }

    #[test]
    fn frames_have_their_time_before_them() {
        assert_eq!(legacy(258, b"x")[..], *b"\xc0\0\0\0\0\0\x01\x02x");
        assert_eq!(legacy(-1, b"")[..], *b"\xc0\0\0\0\0\0\0\0");
        assert_eq!(legacy(i64::MAX, b"")[..], [0xff; 8]);
    }
}
