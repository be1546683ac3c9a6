use std::{
    sync::Weak,
    time::{Duration, Instant},
};

use moq_proto::Timescale;
use proptest::prelude::*;

use super::*;
use crate::model::{
    cache::{Budget, Evict},
    clock::Clock,
    subgroup::{Extent, Feed, Info, Producer},
};

struct Nothing;

impl Evict for Nothing {
    fn evict(&self) {}
}

fn charge() -> Arc<Charge> {
    Arc::new(Budget::new(1 << 30).account().charge(Weak::<Nothing>::new()))
}

fn producer(framing: Framing) -> Producer {
    let feed = Feed { tower: Arc::default(), clock: Clock::default(), timescale: Timescale::MILLIS };
    Producer::new(Info::whole(framing), Arc::new(feed), Arc::new(Extent::new()), charge())
}

fn image(source: &Producer, framing: Framing) -> Image {
    Image::new(source.subgroup().clone(), framing, charge())
}

fn wire(framing: Framing, frames: &[(i64, Bytes)]) -> Bytes {
    let mut wire = Writer::new();
    for (delta, payload) in frames {
        framing.write_head(FrameHead { delta: Some(*delta), size: payload.len() as u64 }, &mut wire);
        wire.bytes(payload);
    }
    wire.into_bytes()
}

fn bytes(log: &Log) -> Bytes {
    let mut all: Vec<u8> = Vec::new();
    while log.unread(all.len() as u64, None, |slice| all.extend_from_slice(&slice)) > 0 {}
    all.into()
}

/// Payloads, as the image's own index has them.
fn payloads(image: &Image) -> Vec<Bytes> {
    let all = bytes(image.log());
    (0..).map_while(|index| image.frames().get(index)).map(|span| all.slice(span.payload as usize..span.end as usize)).collect()
}

#[test]
fn times_are_left_out_for_those_who_have_no_place_for_them() {
    let mut timed = producer(Framing::Timed);
    let frames = [(90, Bytes::from("key")), (33, "delta".into()), (-10, "b".into())];
    timed.append([wire(Framing::Timed, &frames)], Instant::now()).unwrap();
    let sized = image(&timed, Framing::Sized);
    sized.sync();
    assert_eq!(bytes(sized.log()), wire(Framing::Sized, &frames));
    assert_eq!(sized.log().ending(), None);
    timed.finish().unwrap();
    sized.sync();
    assert_eq!(sized.log().ending(), Some(Ending::Finished));
}

#[test]
fn times_of_arrival_are_put_in_for_those_who_need_some() {
    let mut sized = producer(Framing::Sized);
    let timed = image(&sized, Framing::Timed);
    let began = Instant::now();
    for (after, payload) in [(0, "a"), (40, "b"), (75, "c")] {
        let frame = wire(Framing::Sized, &[(0, payload.into())]);
        sized.append([frame], began + Duration::from_millis(after)).unwrap();
        timed.sync();
    }
    assert_eq!(bytes(timed.log()), wire(Framing::Timed, &[(0, "a".into()), (40, "b".into()), (35, "c".into())]));
}

#[test]
fn a_frame_is_passed_on_as_it_grows() {
    let mut timed = producer(Framing::Timed);
    let sized = image(&timed, Framing::Sized);
    let frames = [(7, Bytes::from(vec![1; 1000]))];
    let source = wire(Framing::Timed, &frames);
    let whole = wire(Framing::Sized, &frames);
    for chunk in source.chunks(100) {
        timed.append([Bytes::copy_from_slice(chunk)], Instant::now()).unwrap();
        sized.sync();
        let arrived = timed.subgroup().log().len();
        let missing = source.len() as u64 - arrived;
        assert_eq!(sized.log().len(), whole.len() as u64 - missing);
        assert_eq!(sized.frames().get(0).map(|span| span.end), Some(whole.len() as u64));
    }
    assert_eq!(bytes(sized.log()), whole);
}

#[test]
fn it_ends_as_its_source_does() {
    let mut timed = producer(Framing::Timed);
    timed.append([wire(Framing::Timed, &[(0, "half".into())]).slice(..4)], Instant::now()).unwrap();
    let sized = image(&timed, Framing::Sized);
    let late = image(&timed, Framing::Sized);
    sized.sync();
    timed.abort(moq_proto::CloseCode::new(77));
    sized.sync();
    late.sync();
    for image in [sized, late] {
        assert_eq!(bytes(image.log()), Bytes::from_static(b"\x04ha"));
        assert_eq!(image.log().ending(), Some(Ending::Aborted(moq_proto::CloseCode::new(77))));
    }
}

#[test]
fn an_evicted_source_has_no_image() {
    let mut timed = producer(Framing::Timed);
    timed.append([wire(Framing::Timed, &[(0, "gone".into())])], Instant::now()).unwrap();
    timed.subgroup().log().evict();
    let sized = image(&timed, Framing::Sized);
    sized.sync();
    assert_eq!(sized.log().ending(), Some(Ending::Aborted(close::stream::EVICTED)));
}

#[test]
fn large_payloads_are_shared_with_the_source() {
    let mut timed = producer(Framing::Timed);
    let payload = Bytes::from(vec![9; 20_000]);
    timed.append([wire(Framing::Timed, &[(0, payload)])], Instant::now()).unwrap();
    let sized = image(&timed, Framing::Sized);
    sized.sync();
    let span = timed.subgroup().frames().get(0).unwrap();
    let (mut from, mut to) = (Vec::new(), Vec::new());
    timed.subgroup().log().unread(span.payload, None, |slice| from.push(slice.as_ptr()));
    sized.log().unread(sized.frames().get(0).unwrap().payload, None, |slice| to.push(slice.as_ptr()));
    assert_eq!(from, to);
}

fn any_frames() -> impl Strategy<Value = Vec<(i64, Bytes)>> {
    let payload = prop_oneof![0usize..50, 60usize..20_000].prop_map(|len| Bytes::from(vec![len as u8; len]));
    prop::collection::vec((0i64..1000, payload), 0..10)
}

proptest! {
    #[test]
    fn however_often_it_is_caught_up_it_is_the_same(frames in any_frames(), bursts in prop::collection::vec((1usize..9000, any::<bool>()), 1..30)) {
        let source = wire(Framing::Timed, &frames);
        let mut timed = producer(Framing::Timed);
        let sized = image(&timed, Framing::Sized);
        let mut left = source.clone();
        for (len, sync) in bursts {
            let burst = left.split_to(len.min(left.len()));
            timed.append([burst], Instant::now()).unwrap();
            if sync {
                sized.sync();
            }
        }
        timed.append([left], Instant::now()).unwrap();
        timed.finish().unwrap();
        sized.sync();
        prop_assert_eq!(bytes(sized.log()), wire(Framing::Sized, &frames));
        prop_assert_eq!(sized.log().ending(), Some(Ending::Finished));
    }

    #[test]
    fn an_image_of_an_image_has_the_same_payloads(frames in any_frames(), first in prop_oneof![Just(Framing::Sized), Just(Framing::Timed)]) {
        let second = if first == Framing::Sized { Framing::Timed } else { Framing::Sized };
        let mut source = producer(first);
        source.append([wire(first, &frames)], Instant::now()).unwrap();
        let there = image(&source, second);
        there.sync();

        let mut again = producer(second);
        again.append([bytes(there.log())], Instant::now()).unwrap();
        let back = image(&again, first);
        back.sync();
        let sent: Vec<_> = frames.iter().map(|(_, payload)| payload.clone()).collect();
        prop_assert_eq!(&payloads(&there), &sent);
        prop_assert_eq!(&payloads(&back), &sent);
    }
}

#[test]
fn shards_that_catch_it_up_at_once_read_the_same() {
    let frames: Vec<_> = (0..2000).map(|at: u32| (33, Bytes::from(vec![at as u8; at as usize % 700]))).collect();
    let (source, expected) = (wire(Framing::Timed, &frames), wire(Framing::Sized, &frames));
    let mut timed = producer(Framing::Timed);
    let sized = image(&timed, Framing::Sized);
    std::thread::scope(|scope| {
        let readers = [(); 3].map(|()| {
            scope.spawn(|| {
                let mut seen: Vec<u8> = Vec::new();
                while sized.log().ending_at(seen.len() as u64).is_none() {
                    sized.sync();
                    while sized.log().unread(seen.len() as u64, None, |slice| seen.extend_from_slice(&slice)) > 0 {}
                }
                seen
            })
        });
        for burst in source.chunks(1431) {
            timed.append([Bytes::copy_from_slice(burst)], Instant::now()).unwrap();
        }
        timed.finish().unwrap();
        for reader in readers {
            assert!(reader.join().unwrap() == expected);
        }
    });
}
