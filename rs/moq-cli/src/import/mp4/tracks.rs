//! The description of all tracks: `moov`. Tracks that are neither video nor sound are left out.

use super::{
    super::{
        media::TRACKS_MAX,
        source::{Fault, InputError, Slice},
    },
    PLAIN,
    entry::{self, Described},
    next_inside, version,
};

/// What fragments refer to.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) id: u32,
    /// What was said of it, or what its key frames are to say.
    pub(super) described: Described,
    /// Its clock's ticks a second.
    pub(super) timescale: u32,
    /// What holds for frames of which nothing else is said.
    pub(super) defaults: Defaults,
    /// Where its next fragment begins that does not say so, in ticks.
    pub(super) next: u64,
}

/// What a frame is unless something else is said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Defaults {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

/// Reads the box.
pub(super) fn read(mut moov: Slice) -> Result<Vec<Track>, InputError> {
    let at = moov.at();
    let (mut tracks, mut defaults) = (Vec::new(), Vec::new());
    let mut is_fragmented = false;
    while let Some((kind, mut body)) = next_inside(&mut moov)? {
        match &kind {
            b"trak" => tracks.extend(track(body)?),
            b"mvex" => {
                is_fragmented = true;
                while let Some((kind, body)) = next_inside(&mut body)? {
                    if kind == *b"trex" {
                        defaults.push(trex(body)?);
                    }
                }
            }
            _ => {}
        }
        if tracks.len().max(defaults.len()) > 4 * TRACKS_MAX {
            return Err(Fault::TooMany { what: "tracks", max: TRACKS_MAX }.at(at));
        }
    }
    if !is_fragmented {
        return Err(Fault::Refused { what: "an MP4 without fragments".into(), instead: PLAIN }.at(at));
    }
    if tracks.len() > TRACKS_MAX {
        return Err(Fault::TooMany { what: "tracks", max: TRACKS_MAX }.at(at));
    }
    if tracks.is_empty() {
        let instead = "is it subtitles alone?";
        return Err(Fault::Refused { what: "an MP4 with neither video nor sound".into(), instead }.at(at));
    }
    for track in &mut tracks {
        let own = defaults.iter().find(|(id, _)| *id == track.id);
        track.defaults = own.map(|(_, defaults)| *defaults).unwrap_or_default();
    }
    Ok(tracks)
}

fn trex(mut body: Slice) -> Result<(u32, Defaults), InputError> {
    version(&mut body)?;
    let id = body.u32()?;
    body.skip(4)?;
    Ok((id, Defaults { duration: body.u32()?, size: body.u32()?, flags: body.u32()? }))
}

/// One track. `None`: it is of another kind.
fn track(mut trak: Slice) -> Result<Option<Track>, InputError> {
    let at = trak.at();
    let (mut id, mut media) = (0, Media::default());
    while let Some((kind, mut body)) = next_inside(&mut trak)? {
        match &kind {
            b"tkhd" => {
                skip_dates(&mut body)?;
                id = body.u32()?;
            }
            b"mdia" => media = mdia(body)?,
            _ => {}
        }
    }
    let is_video = match &media.handler {
        b"vide" => true,
        b"soun" => false,
        _ => return Ok(None),
    };
    let Some(entries) = media.entries else { return Ok(None) };
    if media.timescale == 0 {
        return Err(Fault::Malformed("a track whose clock stands still").at(at));
    }
    let described = entry::read(entries, is_video)?;
    Ok(Some(Track { id, described, timescale: media.timescale, defaults: Defaults::default(), next: 0 }))
}

/// What is said of a track's media.
#[derive(Default)]
struct Media {
    timescale: u32,
    /// Its kind.
    handler: [u8; 4],
    /// Its sample entries.
    entries: Option<Slice>,
}

fn mdia(mut body: Slice) -> Result<Media, InputError> {
    let mut media = Media::default();
    while let Some((kind, mut body)) = next_inside(&mut body)? {
        match &kind {
            b"mdhd" => {
                skip_dates(&mut body)?;
                media.timescale = body.u32()?;
            }
            b"hdlr" => {
                body.skip(8)?;
                media.handler = body.array()?;
            }
            b"minf" => {
                if let Some(table) = find(body, b"stbl")? {
                    media.entries = find(table, b"stsd")?;
                }
            }
            _ => {}
        }
    }
    Ok(media)
}

/// Leaves out version and flags, when it was made, and when it was changed.
fn skip_dates(body: &mut Slice) -> Result<(), InputError> {
    let (version, _) = version(body)?;
    body.skip(if version == 1 { 16 } else { 8 })
}

/// The first box of this kind inside another.
fn find(mut parent: Slice, wanted: &[u8; 4]) -> Result<Option<Slice>, InputError> {
    while let Some((kind, body)) = next_inside(&mut parent)? {
        if kind == *wanted {
            return Ok(Some(body));
        }
    }
    Ok(None)
}
