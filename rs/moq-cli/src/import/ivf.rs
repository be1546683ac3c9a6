//! IVF: VP8, VP9 or AV1 as it leaves the encoder, a frame after another, each with its size and time before it. A frame is whole
//! once its own bytes are there.
//!
//! ```text
//! header: "DKIF", version (16), its size (16), codec (4 bytes), width (16), height (16), ticks a second (32), over (32), …
//! frame:  size (32), time in those ticks (64), that many bytes
//! ```
//!
//! Least significant byte first. There is no specification; ffmpeg and libvpx agree on this.

use std::io::Read;

use super::{
    codec::key::{InBand, KeyReader, Says},
    media::{Config, FRAME_BYTES_MAX, Frame, Item, micros},
    source::{Fault, InputError, Source},
};

/// The one track.
const TRACK: u32 = 0;

/// Smallest header.
const HEADER_BYTES: u16 = 32;

/// Reads IVF.
pub(super) struct Ivf<R> {
    source: Source<R>,
    keys: KeyReader,
    /// A tick is `over / per_second` seconds.
    per_second: u32,
    over: u32,
    /// What follows the description of its track.
    next: Option<Frame>,
}

impl<R: Read> Ivf<R> {
    /// Reads the header.
    pub(super) fn new(mut source: Source<R>) -> Result<Self, InputError> {
        let header = source.bytes(HEADER_BYTES.into(), HEADER_BYTES.into(), "the header of an IVF file")?;
        let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let u32_at = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let codec = match &header[8..12] {
            b"VP80" => InBand::Vp8,
            b"VP90" => InBand::Vp9,
            b"AV01" => InBand::Av1,
            other => {
                let what = format!("video in the codec {:?}", String::from_utf8_lossy(other));
                return Err(Fault::Refused { what, instead: "IVF is for VP8, VP9 and AV1; use -f flv for others" }.at(8));
            }
        };
        let (per_second, over) = (u32_at(16), u32_at(20));
        if per_second == 0 || over == 0 {
            return Err(Fault::Malformed("a clock that stands still").at(16));
        }
        source.skip(u16_at(6).saturating_sub(HEADER_BYTES).into(), "the header of an IVF file")?;
        Ok(Self { source, keys: KeyReader::new(codec), per_second, over, next: None })
    }

    pub(super) fn next(&mut self) -> Result<Option<Item>, InputError> {
        if let Some(frame) = self.next.take() {
            return Ok(Some(Item::Frame(frame)));
        }
        let Some(head) = self.source.head::<12>("a frame's header")? else { return Ok(None) };
        let [s0, s1, s2, s3, time @ ..] = head;
        let payload = self.source.bytes(u32::from_le_bytes([s0, s1, s2, s3]).into(), FRAME_BYTES_MAX, "a frame")?;
        let ticks = i128::from(u64::from_le_bytes(time)) * i128::from(self.over);
        let said = self.keys.look(&payload);
        let decode = micros(ticks, self.per_second);
        let frame = Frame { track: TRACK, decode, offset: 0, is_key: said != Says::Nothing, payload };
        Ok(Some(match said {
            Says::Changed(video) => {
                self.next = Some(frame);
                Item::Track { track: TRACK, config: Config::Video(video) }
            }
            _ => Item::Frame(frame),
        }))
    }
}
