//! Inputs as ffmpeg writes them, in `fixtures`, which `fixtures/make` makes: what is read from them, and that nothing that is
//! not one of them does harm.

use std::io::{self, Read};

use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    format::{Demuxer, Format},
    media::{Config, Frame, Item},
    source::InputError,
};

macro_rules! fixture {
    ($name:literal) => {{
        const BYTES: &[u8] = include_bytes!(concat!("fixtures/", $name));
        BYTES
    }};
}

const INPUTS: [&[u8]; 9] = [
    fixture!("h264-aac.flv"),
    fixture!("h264-bframes-aac.mp4"),
    fixture!("h264-opus.mp4"),
    fixture!("hevc.mp4"),
    fixture!("av1.mp4"),
    fixture!("vp9.mp4"),
    fixture!("vp8.ivf"),
    fixture!("vp9.ivf"),
    fixture!("av1.ivf"),
];

/// All of an input, and how it ended.
fn items(input: impl Read, format: Option<Format>) -> (Vec<Item>, Result<(), InputError>) {
    let mut items = Vec::new();
    let mut demuxer = match Demuxer::new(input, format) {
        Ok(demuxer) => demuxer,
        Err(error) => return (items, Err(error)),
    };
    loop {
        match demuxer.next() {
            Ok(Some(item)) => items.push(item),
            Ok(None) => return (items, Ok(())),
            Err(error) => return (items, Err(error)),
        }
    }
}

/// The tracks of an input in short, and its frames, those of the picture and those of sound.
fn read(input: &[u8]) -> (Vec<String>, Vec<Frame>, Vec<Frame>) {
    let (items, ended) = items(input, None);
    ended.unwrap();
    let (mut tracks, mut picture, mut video, mut audio) = (Vec::new(), None, Vec::new(), Vec::new());
    for item in items {
        match item {
            Item::Track { track, config: Config::Video(video) } => {
                picture = Some(track);
                let (width, height) = video.size.unwrap();
                let described = if video.description.is_some() { " described" } else { "" };
                tracks.push(format!("{} {width}x{height}{described}", video.codec));
            }
            Item::Track { config: Config::Audio(audio), .. } => {
                let described = if audio.description.is_some() { " described" } else { "" };
                tracks.push(format!("{} {}/{}{described}", audio.codec, audio.rate, audio.channels));
            }
            Item::Frame(frame) if picture == Some(frame.track) => video.push(frame),
            Item::Frame(frame) => audio.push(frame),
        }
    }
    (tracks, video, audio)
}

fn refusal(input: &[u8]) -> String {
    items(input, None).1.unwrap_err().to_string()
}

#[test]
fn tracks_are_known_by_what_browsers_call_them() {
    for (input, expected) in INPUTS.into_iter().zip([
        &["avc1.42c00a 64x36 described", "mp4a.40.2 48000/1 described"][..],
        &["avc1.64000a 64x36 described", "mp4a.40.2 48000/1 described"],
        &["avc1.42c00a 64x36 described", "opus 48000/1"],
        &["hvc1.1.6.L30.90 64x36 described"],
        &["av01.0.00M.08 64x36"],
        &["vp09.00.10.08 64x36"],
        &["vp8 64x36"],
        &["vp09.00.10.08 64x36"],
        &["av01.0.00M.08 64x36"],
    ]) {
        assert_eq!(read(input).0, expected);
    }
}

#[test]
fn frames_come_with_their_time_and_keys() {
    for input in INPUTS {
        let (tracks, video, sound) = read(input);
        assert!(matches!(video.len(), 3 | 6), "{tracks:?}: {}", video.len());
        assert!(video[0].is_key && !video[1].is_key, "{tracks:?}");
        let step = video[1].decode - video[0].decode;
        assert!((32_000..=40_000).contains(&step), "{tracks:?}: {step} µs");
        assert!(video.windows(2).all(|pair| pair[0].decode <= pair[1].decode), "{tracks:?}");
        assert!(sound.iter().all(|frame| frame.is_key && frame.offset == 0), "{tracks:?}");
        assert_eq!(sound.len() >= 5, tracks.len() == 2, "{tracks:?}: {}", sound.len());
    }
}

#[test]
fn frames_that_are_shown_later_than_they_are_decoded_say_so() {
    let (_, video, _) = read(fixture!("h264-bframes-aac.mp4"));
    let offsets: Vec<_> = video.iter().map(|frame| frame.offset).collect();
    assert!(offsets[0] > 0, "{offsets:?}");
    assert!(offsets.iter().any(|offset| *offset != offsets[0]), "{offsets:?}");
}

#[test]
fn one_flv_after_another_is_read_as_one() {
    let flv = fixture!("h264-aac.flv");
    let (once, twice) = (items(flv, None).0, items(&[flv, flv].concat()[..], None).0);
    assert_eq!([once.clone(), once].concat(), twice);
}

/// Gives so many bytes, and fails if it is asked for one more.
struct UpTo<'a>(&'a [u8]);

impl Read for UpTo<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::Error::other("it has to wait"));
        }
        self.0.read(buffer)
    }
}

/// A frame waits for nothing behind its own last byte; in FLV not even for the size of its tag, which comes after it.
#[test]
fn no_frame_waits_for_the_next() {
    for (input, behind) in [(fixture!("vp8.ivf"), 0), (fixture!("h264-aac.flv"), 4), (fixture!("hevc.mp4"), 0)] {
        let (whole, _) = items(input, None);
        let Some(Item::Frame(last)) = whole.last() else { panic!("it ends with a frame") };
        let end = input.windows(last.payload.len()).rposition(|window| window == last.payload).unwrap() + last.payload.len();
        assert!(end + behind <= input.len());
        let (read, _) = items(UpTo(&input[..end]), None);
        assert_eq!(read.len(), whole.len());
    }
}

#[test]
fn what_cannot_be_published_is_refused_with_what_can() {
    for (input, wanted) in [
        (fixture!("plain.mp4"), "-movflags empty_moov+default_base_moof+frag_every_frame"),
        (fixture!("flv1.flv"), "-c:v libx264"),
        (b"\x47\x40\x11\x10\0\x42\xf0\x25", "this is MPEG-TS; write FLV; with ffmpeg: -f flv"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0", "-f ivf"),
        (b"\0\0\0\x01\x67\x42\xc0\x0a", "-f flv"),
        (b"DKIF\0\0\x20\0H264\x40\0\x24\0\x1e\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0", "use -f flv"),
        (b"hello\n", "neither FLV, fragmented MP4 nor IVF"),
        (b"", "the input is empty"),
    ] {
        let error = refusal(input);
        assert!(error.starts_with("standard input, byte ") && error.contains(wanted), "{error}");
    }
}

#[test]
fn an_error_says_where_it_is() {
    let flv = fixture!("h264-aac.flv");
    let cut = refusal(&flv[..flv.len() - 10]);
    assert!(cut.contains("the input ends inside a tag"), "{cut}");
    let mut ivf = fixture!("vp8.ivf").to_vec();
    ivf[35] = 0xff;
    let size = u32::from_le_bytes([ivf[32], ivf[33], ivf[34], ivf[35]]);
    let expected = format!("standard input, byte 44: a frame of {size} bytes, at most 33554424 accepted");
    assert_eq!(refusal(&ivf), expected);
    let mut mp4 = fixture!("hevc.mp4").to_vec();
    let moof = mp4.windows(4).position(|kind| kind == b"moof").unwrap();
    mp4[moof - 4..moof].copy_from_slice(&[0, 0, 0, 7]);
    let error = refusal(&mp4);
    assert!(error.starts_with(&format!("standard input, byte {}: a box that is smaller", moof - 4)), "{error}");
}

/// An input with these bytes in place of the first ones like `there`, counted from those.
fn changed(input: &[u8], there: &[u8], from: usize, bytes: &[u8]) -> Vec<u8> {
    let mut input = input.to_vec();
    let at = input.windows(there.len()).position(|window| window == there).unwrap() + from;
    input[at..at + bytes.len()].copy_from_slice(bytes);
    input
}

/// A box of this kind around others.
fn around(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
}

#[test]
fn what_would_take_too_much_is_refused() {
    let mp4 = fixture!("hevc.mp4");
    let moov = mp4.windows(4).position(|kind| kind == b"moov").unwrap();
    let size = u32::from_be_bytes(mp4[moov - 4..moov].try_into().unwrap()) as usize;
    let many = around(b"moov", &mp4[moov + 4..moov - 4 + size].repeat(17));
    for (input, expected) in [
        (many, "more than 16 tracks"),
        (around(b"moov", &vec![0; 5 << 20]), "a box that describes media of 5242880 bytes, at most 4194304 accepted"),
        (changed(mp4, b"trun", 8, &[0, 0, 0x40, 1]), "more than 16384 frames in a fragment"),
        (changed(fixture!("vp8.ivf"), b"DKIF", 32, &[0xff; 4]), "a frame of 4294967295 bytes, at most 33554424 accepted"),
        (changed(fixture!("h264-aac.flv"), b"FLV", 5, &[0, 1, 0, 0]), "a header of such a size"),
        (changed(fixture!("vp8.ivf"), b"DKIF", 16, &[0; 4]), "a clock that stands still"),
    ] {
        let error = refusal(&input);
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

/// Boxes of this kind within each other, as many as go into this many bytes.
fn nested(kind: &[u8; 4], bytes: u32) -> Vec<u8> {
    (1..=bytes / 8).rev().flat_map(|inside| [(inside * 8).to_be_bytes(), *kind]).flatten().collect()
}

#[test]
fn boxes_within_boxes_take_no_stack() {
    let deepest = 4 << 20;
    for kind in [b"moov", b"trak", b"mdia", b"stsd", b"avc1", b"esds"] {
        let error = refusal(&around(b"moov", &nested(kind, deepest)));
        assert!(error.contains("an MP4 without fragments"), "{kind:?}: {error}");
    }
    let fragment = [fixture!("hevc.mp4"), &around(b"moof", &nested(b"moof", deepest))].concat();
    let (read, ended) = items(&fragment[..], None);
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(read, items(fixture!("hevc.mp4"), None).0);
}

#[test]
fn what_is_encrypted_or_in_another_codec_is_refused() {
    for (input, expected) in [
        (changed(fixture!("h264-opus.mp4"), b"avc1\0\0\0\0\0\0", 0, b"encv"), "encrypted media; decrypt"),
        (changed(fixture!("h264-opus.mp4"), b"Opus\0\0\0\0\0\0", 0, b"fLaC"), "-c:a aac"),
        (changed(fixture!("h264-opus.mp4"), b"avc1\0\0\0\0\0\0", 0, b"mp4v"), "-c:v libx264"),
        (changed(fixture!("h264-aac.flv"), b"FLV", 13, &[0x29]), "an encrypted tag"),
        (changed(fixture!("h264-aac.flv"), b"FLV", 13, &[0x49]), "what should be a tag is none"),
    ] {
        let error = refusal(&input);
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn what_the_input_is_can_be_said() {
    let error = items(fixture!("vp8.ivf"), Some(Format::Mp4)).1.unwrap_err().to_string();
    assert!(error.contains("the input ends inside a box"), "{error}");
    assert!(items(fixture!("h264-aac.flv"), Some(Format::Flv)).1.is_ok());
}

/// Bytes that all frames of an input have together.
fn published(items: &[Item]) -> usize {
    items.iter().map(|item| if let Item::Frame(frame) = item { frame.payload.len() } else { 0 }).sum()
}

proptest! {
    #[test]
    fn no_bytes_can_panic(format in select(vec![Format::Flv, Format::Mp4, Format::Ivf]), bytes in vec(any::<u8>(), 0..512)) {
        let _ = items(&bytes[..], Some(format));
    }

    /// Damage anywhere is an error or is not noticed, and no more comes out than went in.
    #[test]
    fn damaged_inputs_do_no_harm(
        input in select(INPUTS.to_vec()),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut input = input.to_vec();
        if is_cut {
            input.truncate(end.index(input.len()));
        }
        for (index, byte) in damage {
            if !input.is_empty() {
                let index = index.index(input.len());
                input[index] = byte;
            }
        }
        let (items, _) = items(&input[..], None);
        prop_assert!(published(&items) <= input.len());
    }
}
