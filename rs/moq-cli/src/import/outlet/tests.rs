//! What comes out for whoever watches: groups, times, and the catalog of a broadcast that changes.

use bytes::Bytes;
use futures::FutureExt as _;
use moq_lite::model::cache::Budget;

use super::{
    super::{
        codec::record,
        media::{Audio, FRAME_BYTES_MAX, Video},
    },
    *,
};

const VIDEO: u32 = 0;
const AUDIO: u32 = 1;

fn broadcast() -> broadcast::Producer {
    broadcast::Producer::new(Budget::new(256 << 20).account())
}

fn outlet(broadcast: &broadcast::Producer) -> Outlet<'_> {
    Outlet::new(broadcast, Duration::from_secs(30)).unwrap()
}

fn camera(width: u32) -> Config {
    Config::Video(Video { size: Some((width, 36)), ..record::vp8() })
}

fn microphone() -> Config {
    Config::Audio(Audio { codec: "opus".into(), description: None, rate: 48_000, channels: 2 })
}

/// A frame at so many milliseconds, whose first byte tells it.
fn frame(track: u32, millis: i64, is_key: bool) -> Frame {
    let payload = Bytes::copy_from_slice(&[millis as u8]);
    Frame { track, decode: millis * 1000, offset: 0, is_key, payload }
}

/// All groups of a track, each as its frames: their milliseconds and payloads.
fn groups(broadcast: &broadcast::Producer, track: &str) -> Vec<Vec<(u64, Bytes)>> {
    let track = broadcast.consume().track(track).now_or_never().unwrap().unwrap();
    let groups = track.cached().into_iter().map(|mut group| {
        let mut frames = Vec::new();
        while let Some(Ok(Some(frame))) = group.next_frame().now_or_never() {
            let mut payload = frame.payload;
            let time = payload.split_to(8);
            let time = u64::from_be_bytes(time[..].try_into().unwrap()) & (u64::MAX >> 2);
            frames.push((time / 1000, payload));
        }
        frames
    });
    groups.collect()
}

/// When the frames are of each group.
fn times(broadcast: &broadcast::Producer, track: &str) -> Vec<Vec<u64>> {
    groups(broadcast, track).iter().map(|group| group.iter().map(|(time, _)| *time).collect()).collect()
}

fn catalogs(broadcast: &broadcast::Producer) -> Vec<String> {
    let track = broadcast.consume().track(catalog::TRACK).now_or_never().unwrap().unwrap();
    let text = |mut group: group::Consumer| {
        let frame = group.next_frame().now_or_never().unwrap().unwrap().unwrap();
        String::from_utf8(frame.payload.to_vec()).unwrap()
    };
    track.cached().into_iter().map(text).collect()
}

#[test]
fn a_group_of_pictures_begins_with_a_key_frame() {
    let broadcast = broadcast();
    let mut outlet = outlet(&broadcast);
    outlet.track(VIDEO, camera(64));
    for (millis, is_key) in [(0, false), (33, true), (67, false), (100, true), (133, false)] {
        let published = outlet.frame(&frame(VIDEO, millis, is_key)).unwrap();
        assert_eq!(published.is_published, millis > 0, "no decoder can begin with the first one");
        assert_eq!(published.has_begun_group, is_key);
        assert_eq!(published.track, (millis == 33).then(|| ("video".into(), "vp8".into())));
    }
    outlet.finish();
    assert_eq!(times(&broadcast, "video"), [[33, 67], [100, 133]]);
    assert_eq!(groups(&broadcast, "video")[1][0].1, [100u8][..]);
}

#[test]
fn a_group_of_sound_is_half_a_second() {
    let broadcast = broadcast();
    let mut outlet = outlet(&broadcast);
    outlet.track(AUDIO, microphone());
    (0..60).for_each(|number| drop(outlet.frame(&frame(AUDIO, 20 * number, true)).unwrap()));
    outlet.finish();
    let times = times(&broadcast, "audio");
    assert_eq!(times.iter().map(Vec::len).collect::<Vec<_>>(), [25, 25, 10]);
    assert_eq!((times[1][0], times[2][0]), (500, 1000));
}

#[test]
fn frames_that_are_shown_later_have_that_time_and_are_kept_in_hand_so_long() {
    let broadcast = broadcast();
    let mut outlet = outlet(&broadcast);
    outlet.track(VIDEO, camera(64));
    for (decode, shown) in [(0, 67), (33, 167), (67, 100)] {
        let offset = (shown - decode) * 1000;
        outlet.frame(&Frame { offset, ..frame(VIDEO, decode, decode == 0) }).unwrap();
    }
    assert_eq!(times(&broadcast, "video"), [[67, 167, 100]]);
    assert!(catalogs(&broadcast)[0].contains(r#""jitter":67"#));
}

#[test]
fn the_catalog_tells_what_is_on_air_and_nothing_else() {
    let broadcast = broadcast();
    let mut outlet = outlet(&broadcast);
    outlet.track(VIDEO, camera(64));
    outlet.track(AUDIO, microphone());
    assert!(catalogs(&broadcast).is_empty());
    outlet.frame(&frame(VIDEO, 0, true)).unwrap();
    outlet.frame(&frame(AUDIO, 0, true)).unwrap();
    outlet.track(VIDEO, camera(64));
    outlet.frame(&frame(VIDEO, 33, false)).unwrap();
    let told = catalogs(&broadcast);
    assert_eq!(told.len(), 2, "what has not changed is not told again: {told:?}");
    assert!(!told[0].contains("audio") && told[1].contains(r#""audio":{"renditions":{"audio""#), "{told:?}");

    // The camera is turned.
    outlet.track(VIDEO, camera(96));
    outlet.frame(&frame(VIDEO, 67, false)).unwrap();
    assert_eq!(catalogs(&broadcast).len(), 2, "not before a frame that a decoder can begin with");
    let published = outlet.frame(&frame(VIDEO, 100, true)).unwrap();
    assert_eq!(published.track.unwrap().0, "video2");
    let told = catalogs(&broadcast);
    assert!(told[2].contains(r#""video2""#) && !told[2].contains(r#""video":{"codec""#), "{}", told[2]);
    assert_eq!((times(&broadcast, "video"), times(&broadcast, "video2")), (vec![vec![0, 33]], vec![vec![100]]));
    let ended = broadcast.consume().track("video").now_or_never().unwrap().unwrap().ended();
    assert_eq!(ended, Some(Ok(1)), "whoever watched the first one hears that it is over");
}

#[test]
fn a_film_without_key_frames_ends_with_the_way_out() {
    let broadcast = broadcast();
    let mut outlet = outlet(&broadcast);
    outlet.track(VIDEO, camera(64));
    let large = Bytes::from(vec![0; FRAME_BYTES_MAX as usize]);
    let mut publish = |number| outlet.frame(&Frame { payload: large.clone(), ..frame(VIDEO, number, number == 0) });
    publish(0).unwrap();
    let error = (1..3).find_map(|number| publish(number).err()).unwrap();
    assert!(format!("{error:#}").starts_with("a key frame is wanted every second or two; with ffmpeg: -g 60: "), "{error:#}");
}
