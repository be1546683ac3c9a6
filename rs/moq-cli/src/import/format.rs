//! Formats: which container the input is in, told by its first bytes, and what to do about one that cannot be published.

use std::io::{Cursor, Read};

use clap::ValueEnum;

use super::{
    flv::Flv,
    ivf::Ivf,
    media::Item,
    mp4::Mp4,
    source::{Fault, InputError, Source},
};

/// How many bytes tell.
const TELLING: usize = 8;

/// A container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// What ffmpeg and OBS send with the least delay.
    Flv,
    /// Fragmented MP4.
    Mp4,
    /// VP8, VP9 or AV1 alone.
    Ivf,
}

/// The input, read as what it is.
pub(super) enum Demuxer<R> {
    Flv(Flv<Begun<R>>),
    Mp4(Mp4<Begun<R>>),
    Ivf(Ivf<Begun<R>>),
}

/// An input of which the first bytes have been looked at.
type Begun<R> = std::io::Chain<Cursor<Vec<u8>>, R>;

impl<R: Read> Demuxer<R> {
    /// Looks at the first bytes, unless it is told what the input is.
    pub(super) fn new(mut reader: R, told: Option<Format>) -> Result<Self, InputError> {
        let mut head = Vec::new();
        (&mut reader).take(TELLING as u64).read_to_end(&mut head).map_err(|error| Fault::from(error).at(0))?;
        if head.is_empty() {
            return Err(Fault::Empty.at(0));
        }
        let format = match told {
            Some(format) => format,
            None => recognize(&head).map_err(|fault| fault.at(0))?,
        };
        let source = Source::new(Cursor::new(head).chain(reader));
        Ok(match format {
            Format::Flv => Self::Flv(Flv::new(source)?),
            Format::Mp4 => Self::Mp4(Mp4::new(source)),
            Format::Ivf => Self::Ivf(Ivf::new(source)?),
        })
    }

    /// What comes next, as soon as all of it is there. `None`: the input has ended.
    pub(super) fn next(&mut self) -> Result<Option<Item>, InputError> {
        match self {
            Self::Flv(flv) => flv.next(),
            Self::Mp4(mp4) => mp4.next(),
            Self::Ivf(ivf) => ivf.next(),
        }
    }
}

fn recognize(head: &[u8]) -> Result<Format, Fault> {
    const USE_FLV: &str = "write FLV; with ffmpeg: -f flv, after -c copy if it is H.264 and AAC already";
    const USE_IVF: &str = "write IVF; with ffmpeg: -f ivf, after -c copy if it is VP8, VP9 or AV1 already";
    let (what, instead) = match head {
        [b'F', b'L', b'V', 1, ..] => return Ok(Format::Flv),
        [b'D', b'K', b'I', b'F', ..] => return Ok(Format::Ivf),
        [_, _, _, _, b'f' | b's', b't', b'y', b'p', ..] => return Ok(Format::Mp4),
        [_, _, _, _, b'm', b'o', b'o', b'v' | b'f', ..] => return Ok(Format::Mp4),
        [0x47, ..] => ("MPEG-TS", USE_FLV),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => ("Matroska or WebM", USE_IVF),
        [0, 0, 0, 1, ..] | [0, 0, 1, ..] => ("H.264 or HEVC without a container", USE_FLV),
        [0xff, 0xe0..=0xff, ..] | [b'I', b'D', b'3', ..] => ("sound without a container", USE_FLV),
        [b'O', b'g', b'g', b'S', ..] => ("Ogg", USE_FLV),
        [b'R', b'I', b'F', b'F', ..] => ("AVI or WAV", USE_FLV),
        _ => ("neither FLV, fragmented MP4 nor IVF", USE_FLV),
    };
    Err(Fault::Refused { what: format!("this is {what}"), instead })
}
