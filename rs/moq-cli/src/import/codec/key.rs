//! Key frames: which frames a decoder can begin with, and what such a frame says of its track, for codecs that keep their
//! configuration there.
//!
//! Texts: RFC 6386, section 9.1 (VP8); the VP9 bitstream specification, section 6.2; the AV1 bitstream specification,
//! sections 5.3 to 5.5.

use super::{
    super::media::Video,
    bits::Bits,
    record::{av1_codec, vp8, vp9_codec},
};

/// The most pixels of a picture, for ten times each of VP9's levels. Rates are not known, so a level is a guess from below.
const VP9_LEVELS: [(u32, u32); 9] = [
    (36_864, 10),
    (73_728, 11),
    (122_880, 20),
    (245_760, 21),
    (552_960, 30),
    (983_040, 31),
    (2_228_224, 40),
    (8_912_896, 50),
    (35_651_584, 60),
];

/// A codec whose key frames say all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) enum InBand {
    Vp8,
    Vp9,
    Av1,
}

impl InBand {
    /// What the frame says of its track. `None`: it is no key frame, or damaged.
    fn key(self, frame: &[u8]) -> Option<Video> {
        match self {
            Self::Vp8 => vp8_key(frame),
            Self::Vp9 => vp9_key(frame),
            Self::Av1 => av1_key(frame),
        }
    }
}

/// Looks at a track's frames for what its key frames say.
#[derive(Debug)]
pub(in crate::import) struct KeyReader {
    codec: InBand,
    told: Option<Video>,
}

/// What a frame says.
#[derive(Debug, PartialEq)]
pub(in crate::import) enum Says {
    /// Nothing: a decoder cannot begin with it.
    Nothing,
    /// What the key frame before it said.
    Same,
    Changed(Video),
}

impl KeyReader {
    pub(in crate::import) fn new(codec: InBand) -> Self {
        Self { codec, told: None }
    }

    pub(in crate::import) fn codec(&self) -> InBand {
        self.codec
    }

    pub(in crate::import) fn look(&mut self, frame: &[u8]) -> Says {
        match self.codec.key(frame) {
            None => Says::Nothing,
            key if key == self.told => Says::Same,
            Some(video) => {
                self.told = Some(video.clone());
                Says::Changed(video)
            }
        }
    }
}

fn vp8_key(frame: &[u8]) -> Option<Video> {
    let [head, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] = *frame else { return None };
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    (head & 1 == 0).then(|| Video { size: Some((side(w0, w1), side(h0, h1))), ..vp8() })
}

fn vp9_key(frame: &[u8]) -> Option<Video> {
    let mut bits = Bits::new(frame);
    if bits.take(2)? != 2 {
        return None;
    }
    let profile = bits.take(1)? | bits.take(1)? << 1;
    if profile == 3 {
        bits.skip(1)?;
    }
    let (is_shown_again, is_inter) = (bits.flag()?, bits.flag()?);
    bits.skip(2)?;
    if is_shown_again || is_inter || bits.take(24)? != 0x49_83_42 {
        return None;
    }
    let depth = match profile {
        0 | 1 => 8,
        _ if bits.flag()? => 12,
        _ => 10,
    };
    let is_rgb = bits.take(3)? == 7;
    if !is_rgb {
        bits.skip(1)?;
    }
    if profile & 1 == 1 {
        bits.skip(if is_rgb { 1 } else { 3 })?;
    }
    let size @ (width, height) = (bits.take(16)? + 1, bits.take(16)? + 1);
    let pixels = width.saturating_mul(height);
    let level = VP9_LEVELS.iter().find(|(most, _)| pixels <= *most).map_or(62, |(_, level)| *level);
    Some(Video { codec: vp9_codec(profile, level, depth), size: Some(size), ..Video::default() })
}

/// A temporal unit that a decoder can begin with has a sequence header in it.
fn av1_key(unit: &[u8]) -> Option<Video> {
    const SEQUENCE_HEADER: u8 = 1;
    let mut rest = unit;
    loop {
        let (&head, after) = rest.split_first()?;
        rest = if head & 4 == 0 { after } else { after.get(1..)? };
        // Where a unit does not say its size, it is the last one.
        let size = if head & 2 == 0 { rest.len() } else { leb128(&mut rest)? };
        let body = rest.get(..size)?;
        if head >> 3 & 0xf == SEQUENCE_HEADER {
            return av1_sequence(body);
        }
        rest = &rest[size..];
    }
}

fn leb128(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for place in 0..4 {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn av1_sequence(header: &[u8]) -> Option<Video> {
    let mut bits = Bits::new(header);
    let profile = bits.take(3)?;
    bits.skip(1)?;
    let is_reduced = bits.flag()?;
    let (level, is_high_tier) = if is_reduced { (bits.take(5)?, false) } else { av1_operating_points(&mut bits)? };
    let (width_bits, height_bits) = (bits.take(4)? + 1, bits.take(4)? + 1);
    let size = (bits.take(width_bits)? + 1, bits.take(height_bits)? + 1);
    if !is_reduced && bits.flag()? {
        bits.skip(4 + 3)?;
    }
    // Blocks of 128, filters within and across their edges.
    bits.skip(3)?;
    if !is_reduced {
        bits.skip(4)?;
        let has_order_hint = bits.flag()?;
        if has_order_hint {
            bits.skip(2)?;
        }
        let chooses_screen_tools = bits.flag()?;
        if chooses_screen_tools || bits.flag()? {
            let chooses_integer_motion = bits.flag()?;
            if !chooses_integer_motion {
                bits.skip(1)?;
            }
        }
        if has_order_hint {
            bits.skip(3)?;
        }
    }
    // Three more tools.
    bits.skip(3)?;
    let is_deep = bits.flag()?;
    let depth = match (is_deep, profile) {
        (false, _) => 8,
        (true, 2) if bits.flag()? => 12,
        (true, _) => 10,
    };
    Some(Video { codec: av1_codec(profile, level, is_high_tier, depth), size: Some(size), ..Video::default() })
}

/// Level and tier of the first operating point, which is the whole stream.
fn av1_operating_points(bits: &mut Bits<'_>) -> Option<(u32, bool)> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.skip(64)?;
        if bits.flag()? {
            skip_exp_golomb(bits)?;
        }
        if bits.flag()? {
            delay_bits = Some(bits.take(5)? + 1);
            bits.skip(32 + 5 + 5)?;
        }
    }
    let has_display_delay = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.take(5)? {
        bits.skip(12)?;
        let level = bits.take(5)?;
        let is_high_tier = level > 7 && bits.flag()?;
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.skip(2 * delay_bits + 1)?;
        }
        if has_display_delay && bits.flag()? {
            bits.skip(4)?;
        }
        first.get_or_insert((level, is_high_tier));
    }
    first
}

/// A number as long as the noughts before it say.
fn skip_exp_golomb(bits: &mut Bits<'_>) -> Option<()> {
    let mut length = 0;
    while !bits.flag()? {
        length += 1;
    }
    if length < 32 { bits.skip(length) } else { Some(()) }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn a_key_frame_says_what_it_is() {
        let vp8 = InBand::Vp8.key(b"\x10\x02\0\x9d\x01\x2a\x80\x02\x68\x41rest").unwrap();
        assert_eq!((vp8.codec.as_str(), vp8.size), ("vp8", Some((640, 360))));
        assert_eq!(InBand::Vp8.key(b"\x11\x02\0\x9d\x01\x2a\x80\x02\x68\x01rest"), None, "an inter frame");

        let vp9 = InBand::Vp9.key(b"\x82\x49\x83\x42\x20\x27\xf0\x16\x70\0").unwrap();
        assert_eq!((vp9.codec.as_str(), vp9.size), ("vp09.00.21.08", Some((640, 360))));
        assert_eq!(InBand::Vp9.key(b"\x86\0\0\0\0\0\0\0\0\0"), None, "an inter frame");
    }

    proptest! {
        #[test]
        fn no_bytes_can_panic(bytes in vec(any::<u8>(), 0..256)) {
            for codec in [InBand::Vp8, InBand::Vp9, InBand::Av1] {
                let _ = codec.key(&bytes);
            }
            // Past the marks that few bytes have by chance.
            let _ = vp9_key(&[&b"\x82\x49\x83\x42"[..], &bytes].concat());
            let _ = av1_sequence(&bytes);
        }
    }
}
