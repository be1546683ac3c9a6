//! Sample entries: which codec a track is in, and what its decoder is to know: `stsd`.
//!
//! Texts: ISO/IEC 14496-12, section 8.5.2, and what each codec's binding puts there; ISO/IEC 14496-1, section 7.2.6 (`esds`).

use bytes::Bytes;

use super::{
    super::{
        codec::{
            key::{InBand, KeyReader},
            record,
        },
        media::{Audio, Config, OTHER_AUDIO, OTHER_VIDEO, Video},
        source::{Fault, InputError, Slice},
    },
    Kind, next_inside, version,
};

/// Where the codec and what its decoder is to know are said.
#[derive(Debug)]
pub(super) enum Described {
    Here(Config),
    InBand(KeyReader),
}

/// Reads the first entry, which holds until another description comes.
pub(super) fn read(mut stsd: Slice, is_video: bool) -> Result<Described, InputError> {
    version(&mut stsd)?;
    stsd.skip(4)?;
    let at = stsd.at();
    let Some((kind, body)) = next_inside(&mut stsd)? else {
        return Err(Fault::Malformed("a track that does not say what it is").at(at));
    };
    if matches!(&kind, b"encv" | b"enca") {
        let instead = "decrypt the input before";
        return Err(Fault::Refused { what: "encrypted media".into(), instead }.at(at));
    }
    if is_video { video(kind, body) } else { Ok(Described::Here(Config::Audio(audio(kind, body)?))) }
}

fn video(kind: Kind, mut entry: Slice) -> Result<Described, InputError> {
    let at = entry.at();
    entry.skip(24)?;
    let size = (entry.u16()?.into(), entry.u16()?.into());
    entry.skip(50)?;
    let video = match &kind {
        b"avc1" | b"avc3" => record(entry, b"avcC")?.and_then(record::avc),
        b"hvc1" => record(entry, b"hvcC")?.and_then(|bytes| record::hevc("hvc1", bytes)),
        b"hev1" => record(entry, b"hvcC")?.and_then(|bytes| record::hevc("hev1", bytes)),
        b"av01" => match record(entry, b"av1C")? {
            // Encoders that go on air before they have anything leave it empty.
            Some(bytes) if !bytes.is_empty() => record::av1(bytes),
            _ => return Ok(Described::InBand(KeyReader::new(InBand::Av1))),
        },
        // Version and flags come before the record.
        b"vp09" => record(entry, b"vpcC")?.and_then(|bytes| record::vp9(bytes.get(4..)?)),
        b"vp08" => Some(record::vp8()),
        _ => return Err(other(kind, at, OTHER_VIDEO)),
    };
    let video = video.ok_or_else(|| Fault::Malformed("a video track without its decoder's configuration").at(at))?;
    let size = Some(size).filter(|(width, height)| *width > 0 && *height > 0);
    Ok(Described::Here(Config::Video(Video { size, ..video })))
}

fn audio(kind: Kind, mut entry: Slice) -> Result<Audio, InputError> {
    let at = entry.at();
    entry.skip(8)?;
    let quicktime = entry.u16()?;
    entry.skip(6)?;
    let channels = entry.u16()?.into();
    // Sample size and rate, and what QuickTime adds.
    entry.skip(10)?;
    entry.skip(if quicktime == 1 { 16 } else { 0 })?;
    let audio = match &kind {
        b"mp4a" => match record(entry, b"esds")? {
            Some(bytes) => aac(Slice::new(bytes, at))?.and_then(|bytes| record::aac(bytes, channels)),
            None => None,
        },
        b"Opus" => record(entry, b"dOps")?.and_then(|bytes| record::opus(&bytes)),
        _ => return Err(other(kind, at, OTHER_AUDIO)),
    };
    audio.ok_or_else(|| Fault::Malformed("a sound track without its decoder's configuration").at(at))
}

fn other(kind: Kind, at: u64, instead: &'static str) -> InputError {
    Fault::Refused { what: format!("media in the codec {:?}", String::from_utf8_lossy(&kind)), instead }.at(at)
}

/// The body of the box of this kind.
fn record(mut entry: Slice, wanted: &Kind) -> Result<Option<Bytes>, InputError> {
    while let Some((kind, body)) = next_inside(&mut entry)? {
        if kind == *wanted {
            return Ok(Some(body.rest()));
        }
    }
    Ok(None)
}

/// The AudioSpecificConfig in the descriptors of `esds`. `None`: there is none.
fn aac(mut esds: Slice) -> Result<Option<Bytes>, InputError> {
    const STREAM: u8 = 3;
    const DECODER: u8 = 4;
    const SPECIFIC: u8 = 5;
    const AAC: u8 = 0x40;
    let at = esds.at();
    version(&mut esds)?;
    let Some(mut stream) = descriptor(&mut esds, STREAM)? else { return Ok(None) };
    stream.skip(2)?;
    let flags = stream.u8()?;
    if flags & 0x80 != 0 {
        stream.skip(2)?;
    }
    if flags & 0x40 != 0 {
        let url = stream.u8()?;
        stream.skip(url.into())?;
    }
    if flags & 0x20 != 0 {
        stream.skip(2)?;
    }
    let Some(mut decoder) = descriptor(&mut stream, DECODER)? else { return Ok(None) };
    if decoder.u8()? != AAC {
        return Err(other(*b"mp4a", at, OTHER_AUDIO));
    }
    decoder.skip(12)?;
    Ok(descriptor(&mut decoder, SPECIFIC)?.map(Slice::rest))
}

/// The next descriptor, if it is this one.
fn descriptor(parent: &mut Slice, wanted: u8) -> Result<Option<Slice>, InputError> {
    if parent.is_empty() || parent.u8()? != wanted {
        return Ok(None);
    }
    let mut size = 0;
    // Seven bits a byte, four bytes at most.
    for _ in 0..4 {
        let byte = parent.u8()?;
        size = size << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    parent.take(size).map(Some)
}
