//! The description of a fragment: `moof`: where each of its frames is, and when.

use super::{
    super::source::{Fault, InputError, Slice},
    next_inside,
    tracks::{Defaults, Track},
    version,
};

/// Most frames of a fragment: minutes of sound.
const SAMPLES_MAX: usize = 16_384;

/// The flag of frames that a decoder cannot begin with.
const NOT_SYNC: u32 = 0x1_0000;

/// A frame, and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) track: u32,
    /// Of its track's clock, a second.
    pub(super) timescale: u32,
    /// Where in the input it begins.
    pub(super) at: u64,
    pub(super) size: u32,
    /// When it is to be decoded, and how much later to be shown, in ticks.
    pub(super) decode: u64,
    pub(super) offset: i64,
    pub(super) is_key: bool,
}

/// Reads the box, which begins at byte `at` of the input. Frames of tracks that are not published are left out, and the others
/// are in the order of their bytes.
pub(super) fn read(mut moof: Slice, at: u64, tracks: &mut [Track]) -> Result<Vec<Sample>, InputError> {
    let (mut samples, mut end) = (Vec::new(), at);
    while let Some((kind, body)) = next_inside(&mut moof)? {
        if kind == *b"traf" {
            end = track(body, at, end, tracks, &mut samples)?;
        }
    }
    samples.sort_by_key(|sample| sample.at);
    Ok(samples)
}

/// Reads what a fragment has of one track, and returns where its last frame ends. `end`: where that of the track before does.
fn track(mut traf: Slice, moof: u64, end: u64, tracks: &mut [Track], samples: &mut Vec<Sample>) -> Result<u64, InputError> {
    let at = traf.at();
    let mut head = None;
    let mut end = end;
    while let Some((kind, mut body)) = next_inside(&mut traf)? {
        if kind == *b"tfhd" {
            let (id, base, defaults) = tfhd(body, moof, end, tracks)?;
            head = Some((tracks.iter_mut().find(|track| track.id == id), base, defaults));
            end = base;
            continue;
        }
        let Some((track, base, defaults)) = &mut head else {
            if kind == *b"tfdt" || kind == *b"trun" {
                return Err(Fault::Malformed("a fragment that does not say its track").at(at));
            }
            continue;
        };
        // Of a track that is not published.
        let Some(track) = track else { continue };
        match &kind {
            b"tfdt" => {
                let (version, _) = version(&mut body)?;
                track.next = if version == 1 { body.u64()? } else { body.u32()?.into() };
            }
            b"trun" => end = run(body, *base, end, *defaults, track, samples)?,
            _ => {}
        }
    }
    Ok(end)
}

/// Reads the head of a track's fragment: which track, where its bytes are counted from, and what holds for its frames.
fn tfhd(mut body: Slice, moof: u64, end: u64, tracks: &[Track]) -> Result<(u32, u64, Defaults), InputError> {
    const FROM_MOOF: u32 = 0x2_0000;
    let (_, flags) = version(&mut body)?;
    let id = body.u32()?;
    let base = match flags {
        _ if flags & 1 != 0 => body.u64()?,
        _ if flags & FROM_MOOF != 0 => moof,
        // The first one counts from the fragment, others from where the one before ends.
        _ => end,
    };
    if flags & 2 != 0 {
        body.skip(4)?;
    }
    let mut defaults = tracks.iter().find(|track| track.id == id).map(|track| track.defaults).unwrap_or_default();
    for (flag, field) in [(8, &mut defaults.duration), (0x10, &mut defaults.size), (0x20, &mut defaults.flags)] {
        if flags & flag != 0 {
            *field = body.u32()?;
        }
    }
    Ok((id, base, defaults))
}

/// Reads frames that follow each other, and returns where the last one ends. `end`: where the one before them does.
fn run(
    mut body: Slice,
    base: u64,
    end: u64,
    defaults: Defaults,
    track: &mut Track,
    samples: &mut Vec<Sample>,
) -> Result<u64, InputError> {
    let start = body.at();
    let (_, flags) = version(&mut body)?;
    let count = body.u32()? as usize;
    if samples.len().saturating_add(count) > SAMPLES_MAX {
        return Err(Fault::TooMany { what: "frames in a fragment", max: SAMPLES_MAX }.at(start));
    }
    let mut at = match flags & 1 {
        0 => end,
        _ => base.wrapping_add_signed(i64::from(body.u32()? as i32)),
    };
    let first_flags = if flags & 4 != 0 { Some(body.u32()?) } else { None };
    for index in 0..count {
        let mut own = Defaults { flags: first_flags.filter(|_| index == 0).unwrap_or(defaults.flags), ..defaults };
        let mut offset = 0;
        for (flag, field) in [(0x100, &mut own.duration), (0x200, &mut own.size), (0x400, &mut own.flags)] {
            if flags & flag != 0 {
                *field = body.u32()?;
            }
        }
        if flags & 0x800 != 0 {
            // Version 0 has no sign, and those who write it mean one where it would be too large.
            offset = i64::from(body.u32()? as i32);
        }
        let is_key = own.flags & NOT_SYNC == 0;
        let (track_id, timescale) = (track.id, track.timescale);
        samples.push(Sample { track: track_id, timescale, at, size: own.size, decode: track.next, offset, is_key });
        at = at.checked_add(own.size.into()).ok_or_else(|| body.fault("a frame beyond all bytes"))?;
        track.next = track.next.saturating_add(own.duration.into());
    }
    Ok(at)
}
