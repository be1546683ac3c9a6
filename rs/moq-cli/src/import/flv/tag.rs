//! Tags: which codec a tag is of, and whether it has a frame or what its decoder is to know. There are two ways to say that: the
//! one of 2008, for H.264 and AAC, and that of Enhanced RTMP, with a codec of four letters.

use bytes::Bytes;

use super::super::{
    codec::key::InBand,
    media::{OTHER_AUDIO, OTHER_VIDEO},
    source::{Fault, InputError, Slice},
};

/// What to do about more than that.
const OTHER_TRACKS: &str = "publish one video and one audio track; in OBS, switch enhanced broadcasting off";

/// A tag that matters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) codec: Fourcc,
    pub(super) body: Body,
    pub(super) is_key: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// What the decoder is to know.
    Config(Bytes),
    /// `offset`: how many milliseconds after its time it is to be shown.
    Frame { offset: i32, payload: Bytes },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fourcc {
    Avc,
    Hevc,
    Av1,
    Vp9,
    Vp8,
    Aac,
    Opus,
}

impl Fourcc {
    /// Codecs whose key frames say all of it.
    pub(super) fn in_band(self) -> Option<InBand> {
        match self {
            Self::Vp9 => Some(InBand::Vp9),
            Self::Vp8 => Some(InBand::Vp8),
            _ => None,
        }
    }

    /// Whether frames are told with their offset.
    fn has_offset(self) -> bool {
        matches!(self, Self::Avc | Self::Hevc)
    }
}

/// Reads a video tag. `None`: there is nothing to publish in it.
pub(super) fn video(mut tag: Slice) -> Result<Option<Tag>, InputError> {
    const AVC: u8 = 7;
    const KEY: u8 = 1;
    /// A command to the player: no picture.
    const COMMAND: u8 = 5;
    let at = tag.at();
    let head = tag.u8()?;
    let kind = head >> 4 & 7;
    if kind == COMMAND {
        return Ok(None);
    }
    let is_key = kind == KEY;
    if head & 0x80 != 0 {
        return enhanced(tag, head & 0xf, is_key, |name| match name {
            b"avc1" => Some(Fourcc::Avc),
            b"hvc1" => Some(Fourcc::Hevc),
            b"av01" => Some(Fourcc::Av1),
            b"vp09" => Some(Fourcc::Vp9),
            b"vp08" => Some(Fourcc::Vp8),
            _ => None,
        });
    }
    if head & 0xf != AVC {
        let name = match head & 0xf {
            2 => "Sorenson Spark (flv1)".into(),
            number => format!("number {number}"),
        };
        return Err(Fault::Refused { what: format!("video in the codec {name}"), instead: OTHER_VIDEO }.at(at));
    }
    let body = match (tag.u8()?, tag.u24()?) {
        (0, _) => Body::Config(tag.rest()),
        (1, offset) => Body::Frame { offset: signed(offset), payload: tag.rest() },
        // The end of the sequence.
        _ => return Ok(None),
    };
    Ok(Some(Tag { codec: Fourcc::Avc, body, is_key }))
}

/// Reads an audio tag. `None`: there is nothing to publish in it.
pub(super) fn audio(mut tag: Slice) -> Result<Option<Tag>, InputError> {
    const ENHANCED: u8 = 9;
    const AAC: u8 = 10;
    let at = tag.at();
    let head = tag.u8()?;
    match head >> 4 {
        AAC => {
            let is_config = tag.u8()? == 0;
            let rest = tag.rest();
            let body = if is_config { Body::Config(rest) } else { Body::Frame { offset: 0, payload: rest } };
            Ok(Some(Tag { codec: Fourcc::Aac, body, is_key: true }))
        }
        ENHANCED => enhanced(tag, head & 0xf, true, |name| match name {
            b"mp4a" => Some(Fourcc::Aac),
            b"Opus" => Some(Fourcc::Opus),
            _ => None,
        }),
        number => {
            let name = if number == 2 { "MP3".into() } else { format!("number {number}") };
            Err(Fault::Refused { what: format!("audio in the codec {name}"), instead: OTHER_AUDIO }.at(at))
        }
    }
}

/// Reads what follows the first byte in Enhanced RTMP.
fn enhanced(
    mut tag: Slice,
    packet: u8,
    is_key: bool,
    known: impl Fn(&[u8; 4]) -> Option<Fourcc>,
) -> Result<Option<Tag>, InputError> {
    const CONFIG: u8 = 0;
    const FRAME: u8 = 1;
    /// A frame of video without an offset.
    const FRAME_IN_TIME: u8 = 3;
    const SEVERAL_TRACKS: u8 = 6;
    const SEVERAL_AUDIO_TRACKS: u8 = 5;
    /// Changes to what follows, which nobody makes so far.
    const MODIFIED: u8 = 7;
    let at = tag.at();
    if matches!(packet, SEVERAL_TRACKS | SEVERAL_AUDIO_TRACKS | MODIFIED) {
        let what = format!("an enhanced tag of several tracks, or with changes (packet type {packet})");
        return Err(Fault::Refused { what, instead: OTHER_TRACKS }.at(at));
    }
    let name: [u8; 4] = tag.array()?;
    let Some(codec) = known(&name) else {
        let what = format!("media in the codec {:?}", String::from_utf8_lossy(&name));
        let instead = if matches!(&name, b"vvc1") { OTHER_VIDEO } else { OTHER_AUDIO };
        return Err(Fault::Refused { what, instead }.at(at));
    };
    let body = match packet {
        CONFIG => Body::Config(tag.rest()),
        FRAME if codec.has_offset() => Body::Frame { offset: signed(tag.u24()?), payload: tag.rest() },
        FRAME | FRAME_IN_TIME => Body::Frame { offset: 0, payload: tag.rest() },
        // Colours, channel layouts, and the end of the sequence.
        _ => return Ok(None),
    };
    Ok(Some(Tag { codec, body, is_key }))
}

/// 24 bits in two's complement.
fn signed(offset: u32) -> i32 {
    ((offset << 8) as i32) >> 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(read: fn(Slice) -> Result<Option<Tag>, InputError>, bytes: &'static [u8]) -> Result<Option<Tag>, String> {
        read(Slice::new(Bytes::from_static(bytes), 0)).map_err(|error| error.to_string())
    }

    fn frame(codec: Fourcc, is_key: bool, offset: i32, payload: &'static [u8]) -> Result<Option<Tag>, String> {
        Ok(Some(Tag { codec, body: Body::Frame { offset, payload: Bytes::from_static(payload) }, is_key }))
    }

    fn config(codec: Fourcc, record: &'static [u8]) -> Result<Option<Tag>, String> {
        Ok(Some(Tag { codec, body: Body::Config(Bytes::from_static(record)), is_key: true }))
    }

    #[test]
    fn tags_of_both_ages_are_told_apart() {
        assert_eq!(tag(video, b"\x17\x00\0\0\0record"), config(Fourcc::Avc, b"record"));
        assert_eq!(tag(video, b"\x27\x01\0\0\x2aframe"), frame(Fourcc::Avc, false, 42, b"frame"));
        assert_eq!(tag(video, b"\x27\x01\xff\xff\xffframe"), frame(Fourcc::Avc, false, -1, b"frame"));
        assert_eq!(tag(video, b"\x57\x00"), Ok(None), "a command");
        assert_eq!(tag(video, b"\x17\x02\0\0\0"), Ok(None), "the end");
        assert_eq!(tag(video, b"\x90hvc1record"), config(Fourcc::Hevc, b"record"));
        assert_eq!(tag(video, b"\xa1hvc1\0\0\x01frame"), frame(Fourcc::Hevc, false, 1, b"frame"));
        assert_eq!(tag(video, b"\x93hvc1frame"), frame(Fourcc::Hevc, true, 0, b"frame"));
        assert_eq!(tag(video, b"\x91av01frame"), frame(Fourcc::Av1, true, 0, b"frame"));
        assert_eq!(tag(video, b"\xa1vp09frame"), frame(Fourcc::Vp9, false, 0, b"frame"));
        assert_eq!(tag(video, b"\x94hvc1colours"), Ok(None));
        assert_eq!(tag(audio, b"\xaf\x00\x11\x90"), config(Fourcc::Aac, b"\x11\x90"));
        assert_eq!(tag(audio, b"\xaf\x01frame"), frame(Fourcc::Aac, true, 0, b"frame"));
        assert_eq!(tag(audio, b"\x91Opusframe"), frame(Fourcc::Opus, true, 0, b"frame"));
        assert_eq!(tag(audio, b"\x94Opuslayout"), Ok(None));
    }

    #[test]
    fn what_browsers_do_not_play_is_refused_with_what_they_do() {
        for (read, bytes, wanted) in [
            (video as fn(_) -> _, &b"\x22frame"[..], "-c:v libx264"),
            (video, b"\x90vvc1", "-c:v libx264"),
            (video, b"\x96\0", "enhanced broadcasting"),
            (audio, b"\x2fframe", "-c:a aac"),
            (audio, b"\x91fLaCframe", "-c:a aac"),
            (audio, b"\x95\0", "enhanced broadcasting"),
        ] {
            let error = tag(read, bytes).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
