//! Configuration records: what containers keep of a decoder's configuration. `None`: it is cut off, or something else.
//!
//! Texts: ISO/IEC 14496-15 (`avcC`, `hvcC`), the AV1 and VP9 bindings to ISO media (`av1C`, `vpcC`), ISO/IEC 14496-3
//! (AudioSpecificConfig), RFC 7845 and the Opus binding to ISO media (`OpusHead`, `dOps`).

use bytes::Bytes;

use super::{
    super::media::{Audio, Video},
    bits::Bits,
};

/// Samples a second, by AAC's index.
const AAC_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// Samples a second that Opus decoders make, whatever went in.
const OPUS_RATE: u32 = 48_000;

/// H.264, by its AVCDecoderConfigurationRecord.
pub(in crate::import) fn avc(record: Bytes) -> Option<Video> {
    let [1, profile, constraints, level, _, _, ..] = record[..] else { return None };
    Some(described(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"), record))
}

/// H.265, by its HEVCDecoderConfigurationRecord; `entry` is `hvc1` or `hev1`.
pub(in crate::import) fn hevc(entry: &str, record: Bytes) -> Option<Video> {
    let head: [u8; 13] = record.get(..13)?.try_into().ok()?;
    let [1, profile, a, b, c, d, constraints @ .., level] = head else { return None };
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    // Compatibility flags are told with the first one least significant.
    let compatible = u32::from_be_bytes([a, b, c, d]).reverse_bits();
    let mut codec = format!("{entry}.{space}{}.{compatible:x}.{tier}{level}", profile & 0x1f);
    let told = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    codec.extend(constraints[..told].iter().map(|byte| format!(".{byte:x}")));
    Some(described(codec, record))
}

/// AV1, by its AV1CodecConfigurationRecord.
pub(in crate::import) fn av1(record: Bytes) -> Option<Video> {
    let [0x81, profile_level, flags, _, ..] = record[..] else { return None };
    let depth = match (flags & 0x40 != 0, flags & 0x20 != 0) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    let codec = av1_codec((profile_level >> 5).into(), (profile_level & 0x1f).into(), flags & 0x80 != 0, depth);
    Some(described(codec, record))
}

/// The name of AV1 with this `seq_level_idx` and bits per sample.
pub(super) fn av1_codec(profile: u32, level: u32, is_high_tier: bool, depth: u32) -> String {
    format!("av01.{profile}.{level:02}{}.{depth:02}", if is_high_tier { 'H' } else { 'M' })
}

/// VP9, by its VPCodecConfigurationRecord, without the version and flags that `vpcC` has before it.
pub(in crate::import) fn vp9(record: &[u8]) -> Option<Video> {
    let [profile, level, depth, ..] = *record else { return None };
    Some(Video { codec: vp9_codec(profile.into(), level.into(), (depth >> 4).into()), ..Video::default() })
}

/// The name of VP9 with ten times this level and bits per sample. An unknown level is the lowest.
pub(super) fn vp9_codec(profile: u32, level: u32, depth: u32) -> String {
    format!("vp09.{profile:02}.{:02}.{depth:02}", level.max(10))
}

/// VP8, which has nothing to configure.
pub(in crate::import) fn vp8() -> Video {
    Video { codec: "vp8".into(), ..Video::default() }
}

/// AAC, by its AudioSpecificConfig. `channels`: what the container says, for streams that say it in a place of their own.
pub(in crate::import) fn aac(record: Bytes, channels: u32) -> Option<Audio> {
    let mut bits = Bits::new(&record);
    let object = aac_object(&mut bits)?;
    let core = aac_rate(&mut bits)?;
    let channels = match bits.take(4)? {
        0 => channels,
        7 => 8,
        layout => layout,
    };
    // Spectral band replication: the rate that comes out is told after the one that it begins with.
    let rate = if matches!(object, 5 | 29) { aac_rate(&mut bits)? } else { core };
    (rate > 0 && channels > 0).then(|| Audio {
        codec: format!("mp4a.40.{object}"),
        description: Some(record.clone()),
        rate,
        channels,
    })
}

fn aac_object(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.take(5)? {
        31 => Some(32 + bits.take(6)?),
        object => Some(object),
    }
}

fn aac_rate(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.take(4)? {
        15 => bits.take(24),
        index => AAC_RATES.get(index as usize).copied(),
    }
}

/// Opus, by its OpusHead, or a `dOps`, which begins after the magic of that.
pub(in crate::import) fn opus(record: &[u8]) -> Option<Audio> {
    let record = record.strip_prefix(b"OpusHead").unwrap_or(record);
    let [_, channels @ 1..=255, ..] = *record else { return None };
    Some(Audio { codec: "opus".into(), description: None, rate: OPUS_RATE, channels: channels.into() })
}

fn described(codec: String, record: Bytes) -> Video {
    Video { codec, description: Some(record), ..Video::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_names_that_browsers_know() {
        let bytes = Bytes::from_static;
        let avc_record = bytes(b"\x01\x42\xc0\x1e\xff\xe1\x00");
        assert_eq!(avc(avc_record.clone()).unwrap(), described("avc1.42c01e".into(), avc_record));
        let hevc_record = bytes(b"\x01\x01\x60\x00\x00\x00\xb0\x00\x00\x00\x00\x00\x5d\xf0");
        assert_eq!(hevc("hvc1", hevc_record).unwrap().codec, "hvc1.1.6.L93.b0");
        let hevc_record = bytes(b"\x01\x62\x20\x00\x00\x00\x90\x00\x01\x00\x00\x00\x99");
        assert_eq!(hevc("hev1", hevc_record).unwrap().codec, "hev1.A2.4.H153.90.0.1");
        assert_eq!(av1(bytes(b"\x81\x08\x0c\x00")).unwrap().codec, "av01.0.08M.08");
        assert_eq!(av1(bytes(b"\x81\x4d\xec\x00")).unwrap().codec, "av01.2.13H.12");
        assert_eq!(vp9(b"\x02\x29\xa0\0\0\0\0\0").unwrap().codec, "vp09.02.41.10");
        assert_eq!(vp9(b"\0\0\x80\0\0\0\0\0").unwrap().codec, "vp09.00.10.08");
    }

    #[test]
    fn sound_has_its_rate_and_channels() {
        let heard = |record: &'static [u8], channels| {
            let audio = aac(Bytes::from_static(record), channels).unwrap();
            (audio.codec, audio.rate, audio.channels)
        };
        assert_eq!(heard(b"\x11\x90", 0), ("mp4a.40.2".into(), 48_000, 2));
        assert_eq!(heard(b"\x12\x00", 6), ("mp4a.40.2".into(), 44_100, 6));
        assert_eq!(heard(b"\x2b\x11\x88\x00", 0), ("mp4a.40.5".into(), 48_000, 2));
        for record in [&b""[..], b"\x11", b"\x12\x00", b"\x16\x90"] {
            assert_eq!(aac(Bytes::from_static(record), 0), None, "{record:?}");
        }

        let audio = opus(b"OpusHead\x01\x02\0\0\x80\xbb\0\0\0\0\0").unwrap();
        assert_eq!((audio.codec.as_str(), audio.rate, audio.channels), ("opus", 48_000, 2));
        assert_eq!(opus(b"\0\x01\0\0").unwrap().channels, 1);
        assert_eq!(opus(b"\0\0\0\0"), None);
    }
}
