//! FLV: what RTMP carries, and what ffmpeg and OBS send. Media comes in tags, each whole once its own bytes are there.
//!
//! ```text
//! header: "FLV", 1, flags (8), size of the header (32), 0 (32)
//! tag:    kind (8), size (24), milliseconds (24, then 8 above them), 0 (24), that many bytes, size of all of it (32)
//! ```
//!
//! Several inputs one after another are read as one. Texts: "Adobe Flash Video File Format Specification", version 10.1, annex E;
//! "Enhanced RTMP", version 2.

mod script;
mod tag;

use std::{collections::VecDeque, io::Read};

use bytes::Bytes;

use self::{
    script::Metadata,
    tag::{Body, Fourcc, Tag},
};
use super::{
    codec::{
        key::{InBand, KeyReader, Says},
        record,
    },
    media::{Audio, Config, FRAME_BYTES_MAX, Frame, Item, Video},
    source::{Fault, InputError, Slice, Source},
};

/// What the tracks are called. There is one of each kind at most.
const VIDEO: u32 = 0;
const AUDIO: u32 = 1;

/// The header, without the 0 after it.
const HEADER_BYTES: u32 = 9;

/// Largest header: nobody has put anything into it so far.
const HEADER_BYTES_MAX: u32 = 4096;

const AUDIO_TAG: u8 = 8;
const VIDEO_TAG: u8 = 9;
const SCRIPT_TAG: u8 = 18;

/// Reads FLV.
pub(super) struct Flv<R> {
    source: Source<R>,
    metadata: Metadata,
    ready: VecDeque<Item>,
    /// What key frames say of the track, for codecs that have no record.
    keys: Option<KeyReader>,
}

impl<R: Read> Flv<R> {
    /// Reads the header.
    pub(super) fn new(mut source: Source<R>) -> Result<Self, InputError> {
        source.skip(5, "the header of an FLV file")?;
        skip_header(&mut source)?;
        Ok(Self { source, metadata: Metadata::default(), ready: VecDeque::new(), keys: None })
    }

    pub(super) fn next(&mut self) -> Result<Option<Item>, InputError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            // The size of the tag before stands before the tag, so that no tag waits for what follows it.
            if self.source.head::<4>("a tag's size")?.is_none() {
                return Ok(None);
            }
            let Some([kind]) = self.source.head("a tag's header")? else { return Ok(None) };
            self.tag(kind)?;
        }
    }

    /// Reads the tag that begins with this byte.
    fn tag(&mut self, kind: u8) -> Result<(), InputError> {
        let at = self.source.offset() - 1;
        if kind == b'F' {
            // Another input begins.
            self.source.skip(4, "the header of an FLV file")?;
            return skip_header(&mut self.source);
        }
        let head = self.source.bytes(10, 10, "a tag's header")?;
        let size = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let millis = u32::from_be_bytes([head[6], head[3], head[4], head[5]]);
        let at_body = self.source.offset();
        let kind = match kind {
            AUDIO_TAG | VIDEO_TAG | SCRIPT_TAG => kind,
            _ if kind & 0x20 != 0 => {
                return Err(Fault::Refused { what: "an encrypted tag".into(), instead: "decrypt the input before" }.at(at));
            }
            _ if kind & 0xc0 != 0 => return Err(Fault::Malformed("what should be a tag is none").at(at)),
            _ => return self.source.skip(size.into(), "a tag"),
        };
        let body = self.source.bytes(size.into(), FRAME_BYTES_MAX, "a tag")?;
        let body = Slice::new(body, at_body);
        match kind {
            // An empty tag holds a place in time.
            _ if body.is_empty() => Ok(()),
            SCRIPT_TAG => {
                // What is said there helps, and nothing depends on it.
                self.metadata = script::metadata(body).unwrap_or_default();
                Ok(())
            }
            VIDEO_TAG => self.video(tag::video(body)?, at_body, millis),
            _ => self.audio(tag::audio(body)?, at_body, millis),
        }
    }

    fn video(&mut self, tag: Option<Tag>, at: u64, millis: u32) -> Result<(), InputError> {
        let Some(Tag { codec, body, is_key }) = tag else { return Ok(()) };
        match body {
            Body::Config(record) => {
                let video = match codec {
                    Fourcc::Avc => record::avc(record),
                    Fourcc::Hevc => record::hevc("hvc1", record),
                    Fourcc::Av1 => record::av1(record),
                    // Their key frames say it better.
                    _ => return Ok(()),
                };
                let video = video.ok_or_else(|| Fault::Malformed("a configuration record that is none").at(at))?;
                self.track(video);
            }
            Body::Frame { offset, payload } => {
                if let Some(codec) = codec.in_band() {
                    self.look_at(codec, &payload);
                }
                self.frame(VIDEO, millis, offset, is_key, payload);
            }
        }
        Ok(())
    }

    /// Tells of the track if the frame says something new of it.
    fn look_at(&mut self, codec: InBand, frame: &[u8]) {
        let keys = match self.keys.take() {
            Some(keys) if keys.codec() == codec => self.keys.insert(keys),
            _ => self.keys.insert(KeyReader::new(codec)),
        };
        if let Says::Changed(video) = keys.look(frame) {
            self.track(video);
        }
    }

    fn track(&mut self, video: Video) {
        let Metadata { size, rate } = self.metadata;
        let video = Video { size: video.size.or(size), rate, ..video };
        self.ready.push_back(Item::Track { track: VIDEO, config: Config::Video(video) });
    }

    fn audio(&mut self, tag: Option<Tag>, at: u64, millis: u32) -> Result<(), InputError> {
        match tag {
            None => {}
            Some(Tag { codec, body: Body::Config(record), .. }) => {
                let audio = audio_config(codec, record);
                let audio = audio.ok_or_else(|| Fault::Malformed("a configuration record that is none").at(at))?;
                self.ready.push_back(Item::Track { track: AUDIO, config: Config::Audio(audio) });
            }
            Some(Tag { body: Body::Frame { payload, .. }, .. }) => self.frame(AUDIO, millis, 0, true, payload),
        }
        Ok(())
    }

    fn frame(&mut self, track: u32, millis: u32, offset: i32, is_key: bool, payload: Bytes) {
        if payload.is_empty() {
            return;
        }
        let (decode, offset) = (i64::from(millis) * 1000, i64::from(offset) * 1000);
        self.ready.push_back(Item::Frame(Frame { track, decode, offset, is_key, payload }));
    }
}

fn audio_config(codec: Fourcc, record: Bytes) -> Option<Audio> {
    match codec {
        // Its layout is in the record, but for those that have one of their own, which are rare and mostly stereo.
        Fourcc::Aac => record::aac(record, 2),
        _ => record::opus(&record),
    }
}

/// Leaves out the rest of a header after "FLV" and its version.
fn skip_header(source: &mut Source<impl Read>) -> Result<(), InputError> {
    let at = source.offset();
    let size = source.bytes(4, 4, "the header of an FLV file")?;
    let size = u32::from_be_bytes([size[0], size[1], size[2], size[3]]);
    if !(HEADER_BYTES..=HEADER_BYTES_MAX).contains(&size) {
        return Err(Fault::Malformed("a header of such a size").at(at));
    }
    source.skip((size - HEADER_BYTES).into(), "the header of an FLV file")
}
