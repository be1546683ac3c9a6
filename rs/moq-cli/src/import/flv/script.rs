//! The script tag: what the encoder says of the whole, of which the picture's size and rate are wanted.
//!
//! Text: "Adobe Flash Video File Format Specification", annex E.4.4; AMF 0. Only what stands at the top of `onMetaData` is read,
//! up to a value of another kind than number, truth or text.

use super::super::source::{InputError, Slice};

/// What is said of the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Metadata {
    /// Width and height, in pixels.
    pub(super) size: Option<(u32, u32)>,
    /// Frames a second.
    pub(super) rate: Option<f64>,
}

/// Most values that are looked at: ffmpeg and OBS write about twenty.
const VALUES_MAX: usize = 256;

/// Reads the tag.
pub(super) fn metadata(mut tag: Slice) -> Result<Metadata, InputError> {
    const NUMBER: u8 = 0;
    const TRUTH: u8 = 1;
    const TEXT: u8 = 2;
    const OBJECT: u8 = 3;
    const TABLE: u8 = 8;
    let mut told = Metadata::default();
    if tag.u8()? != TEXT || text(&mut tag)? != b"onMetaData"[..] {
        return Ok(told);
    }
    match tag.u8()? {
        TABLE => tag.skip(4)?,
        OBJECT => {}
        _ => return Ok(told),
    }
    let (mut width, mut height) = (0.0, 0.0);
    for _ in 0..VALUES_MAX {
        if tag.is_empty() {
            break;
        }
        let name = text(&mut tag)?;
        match tag.u8()? {
            NUMBER => {
                let value = tag.f64()?;
                match &name[..] {
                    b"width" => width = value,
                    b"height" => height = value,
                    b"framerate" => told.rate = Some(value).filter(|rate| (1.0..=1000.0).contains(rate)),
                    _ => {}
                }
            }
            TRUTH => tag.skip(1)?,
            TEXT => drop(text(&mut tag)?),
            _ => break,
        }
    }
    let sides = 1.0..=65_535.0;
    told.size = (sides.contains(&width) && sides.contains(&height)).then_some((width as u32, height as u32));
    Ok(told)
}

fn text(tag: &mut Slice) -> Result<bytes::Bytes, InputError> {
    let size = tag.u16()?;
    Ok(tag.take(size.into())?.rest())
}
