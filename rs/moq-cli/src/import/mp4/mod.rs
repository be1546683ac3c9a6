//! Fragmented MP4: a description of all tracks, then fragments: what is in the next piece of media, and that piece. Each frame is
//! read as soon as its bytes are there, but not before its fragment was begun, so fragments are best of one frame.
//!
//! Texts: ISO/IEC 14496-12, sections 4.2 and 8.8. Edit lists are not looked at: live encoders write none that matter.
//!
//! By hand, because the crate there is, mp4-atom 0.17, decodes whatever box it knows, wherever that is: 4 kB of boxes within
//! boxes overflow a thread's stack, 4 MiB of empty ones take 400 MB, and no track is read if one has an empty `av1C`, as live AV1
//! begins; its smallest boxes alone would save a tenth of these lines.

mod entry;
mod fragment;
mod tracks;

use std::{collections::VecDeque, io::Read};

use self::{entry::Described, fragment::Sample, tracks::Track};
use super::{
    codec::key::Says,
    media::{Config, FRAME_BYTES_MAX, Frame, Item, micros},
    source::{Fault, InputError, Slice, Source},
};

/// Largest description of tracks, or of a fragment. One of a thousand frames has 16 kB.
const HEADER_BYTES_MAX: u64 = 4 << 20;

const PLAIN: &str = "this is a film to be kept, not one that goes on air as it is made; with ffmpeg: \
                     -f mp4 -movflags empty_moov+default_base_moof+frag_every_frame, or better: -f flv";

/// What a box is called.
type Kind = [u8; 4];

/// Reads fragmented MP4.
pub(super) struct Mp4<R> {
    source: Source<R>,
    tracks: Vec<Track>,
    ready: VecDeque<Item>,
    /// Of the fragment, in the order of their bytes.
    samples: VecDeque<Sample>,
    /// Where the media ends that is being read.
    end: Option<u64>,
}

impl<R: Read> Mp4<R> {
    pub(super) fn new(source: Source<R>) -> Self {
        Self { source, tracks: Vec::new(), ready: VecDeque::new(), samples: VecDeque::new(), end: None }
    }

    pub(super) fn next(&mut self) -> Result<Option<Item>, InputError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            if let Some(end) = self.end {
                match self.samples.pop_front() {
                    Some(sample) => self.frame(&sample, end)?,
                    None => {
                        self.end = None;
                        self.source.skip(end - self.source.offset(), "media")?;
                    }
                }
            } else if !self.next_box()? {
                return Ok(None);
            }
        }
    }

    /// Reads the frame.
    fn frame(&mut self, sample: &Sample, end: u64) -> Result<(), InputError> {
        let at = self.source.offset();
        let is_inside = sample.at.checked_add(sample.size.into()).is_some_and(|sample_end| sample_end <= end);
        let Some(before) = sample.at.checked_sub(at).filter(|_| is_inside) else {
            return Err(Fault::Malformed("a frame that is not where its fragment says").at(at));
        };
        self.source.skip(before, "media")?;
        let payload = self.source.bytes(sample.size.into(), FRAME_BYTES_MAX, "a frame")?;
        let decode = micros(sample.decode.into(), sample.timescale);
        let offset = micros(sample.offset.into(), sample.timescale);
        let track = self.tracks.iter_mut().find(|track| track.id == sample.track);
        if let Some(Described::InBand(keys)) = track.map(|track| &mut track.described)
            && let Says::Changed(video) = keys.look(&payload)
        {
            self.ready.push_back(Item::Track { track: sample.track, config: Config::Video(video) });
        }
        self.ready.push_back(Item::Frame(Frame { track: sample.track, decode, offset, is_key: sample.is_key, payload }));
        Ok(())
    }

    /// Reads the next box, or the beginning of media. Returns whether there is one.
    fn next_box(&mut self) -> Result<bool, InputError> {
        let at = self.source.offset();
        let Some([s0, s1, s2, s3, kind @ ..]) = self.source.head::<8>("a box")? else { return Ok(false) };
        let size = match u32::from_be_bytes([s0, s1, s2, s3]) {
            1 => match self.source.head::<8>("a box")? {
                Some(size) => u64::from_be_bytes(size),
                None => return Err(Fault::Truncated("a box").at(at)),
            },
            size => size.into(),
        };
        let head = self.source.offset() - at;
        let Some((body, end)) = size.checked_sub(head).zip(at.checked_add(size)) else {
            return Err(Fault::Malformed("a box that is smaller than its own header").at(at));
        };
        match &kind {
            b"moov" => {
                let body = self.body(body)?;
                self.samples.clear();
                self.tracks = tracks::read(body)?;
                for track in &self.tracks {
                    if let Described::Here(config) = &track.described {
                        self.ready.push_back(Item::Track { track: track.id, config: config.clone() });
                    }
                }
            }
            b"moof" => {
                let body = self.body(body)?;
                self.samples = fragment::read(body, at, &mut self.tracks)?.into();
            }
            b"mdat" if self.tracks.is_empty() => {
                let what = "an MP4 that describes its tracks after them".into();
                return Err(Fault::Refused { what, instead: PLAIN }.at(at));
            }
            b"mdat" => self.end = Some(end),
            _ => self.source.skip(body, "a box")?,
        }
        Ok(true)
    }

    fn body(&mut self, size: u64) -> Result<Slice, InputError> {
        let at = self.source.offset();
        Ok(Slice::new(self.source.bytes(size, HEADER_BYTES_MAX, "a box that describes media")?, at))
    }
}

/// The next box inside another. `None`: there are no more.
fn next_inside(parent: &mut Slice) -> Result<Option<(Kind, Slice)>, InputError> {
    if parent.is_empty() {
        return Ok(None);
    }
    let (size, kind): (u32, Kind) = (parent.u32()?, parent.array()?);
    let body = match size {
        1 => parent.u64()?.checked_sub(16),
        size => u64::from(size).checked_sub(8),
    };
    let body = body.ok_or_else(|| parent.fault("a box that is smaller than its own header"))?;
    Ok(Some((kind, parent.take(body)?)))
}

/// Version and flags, which many boxes begin with.
fn version(body: &mut Slice) -> Result<(u8, u32), InputError> {
    Ok((body.u8()?, body.u24()?))
}
