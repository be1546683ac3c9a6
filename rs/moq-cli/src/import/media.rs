//! Media: what a container is read as, whichever it is: what its tracks are, and their frames.

use bytes::Bytes;

/// Largest frame, in bytes: what a viewer takes, and room for the time before it.
pub(super) const FRAME_BYTES_MAX: u64 = moq_lite::model::subgroup::FRAME_BYTES_MAX - 8;

/// Most tracks of one input. Films with a dozen languages fit; each has a decoder at the viewer.
pub(super) const TRACKS_MAX: usize = 16;

/// What to write instead of a codec that players do not have.
pub(super) const OTHER_VIDEO: &str = "use H.264, HEVC, AV1, VP9 or VP8; with ffmpeg: -c:v libx264 -tune zerolatency";
pub(super) const OTHER_AUDIO: &str = "use AAC or Opus; with ffmpeg: -c:a aac";

/// What comes next in the input.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// A track, before its first frame, or again because it has changed.
    Track {
        track: u32,
        config: Config,
    },
    Frame(Frame),
}

/// One coded picture, or some milliseconds of sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// What the container calls its track.
    pub(super) track: u32,
    /// When it is to be decoded, in microseconds from wherever the container counts. Frames come in this order.
    pub(super) decode: i64,
    /// How much later it is to be shown, in microseconds.
    pub(super) offset: i64,
    /// Whether a decoder can begin here.
    pub(super) is_key: bool,
    pub(super) payload: Bytes,
}

/// What a decoder is to know of a track.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Config {
    Video(Video),
    Audio(Audio),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Video {
    /// As WebCodecs' registry has it, such as `avc1.42c01e`.
    pub(super) codec: String,
    /// The decoder's configuration record. `None`: it is in the key frames.
    pub(super) description: Option<Bytes>,
    /// Width and height, in pixels.
    pub(super) size: Option<(u32, u32)>,
    /// Frames a second.
    pub(super) rate: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Audio {
    /// As WebCodecs' registry has it, such as `mp4a.40.2`.
    pub(super) codec: String,
    /// The decoder's configuration record. `None`: the codec needs none.
    pub(super) description: Option<Bytes>,
    /// Samples a second.
    pub(super) rate: u32,
    pub(super) channels: u32,
}

/// Ticks of a clock that ticks `scale` times a second as microseconds. What no clock can say is as far as one can.
pub(super) fn micros(ticks: i128, scale: u32) -> i64 {
    let micros = ticks * 1_000_000 / i128::from(scale.max(1));
    micros.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}
