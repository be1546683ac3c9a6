use std::sync::Weak;

use moq_proto::{FrameHead, Writer};
use proptest::prelude::*;

use super::*;
use crate::model::{
    cache::{Budget, Evict},
    log::Ending,
};

struct Nothing;

impl Evict for Nothing {
    fn evict(&self) {}
}

fn producer(framing: Framing) -> Producer {
    producer_on(&Budget::new(1 << 30), framing)
}

fn producer_on(budget: &Budget, framing: Framing) -> Producer {
    let feed = Feed { tower: Arc::default(), clock: Clock::default(), timescale: Timescale::MILLIS };
    let charge = budget.account().charge(Weak::<Nothing>::new());
    Producer::new(Info::whole(framing), Arc::new(feed), Arc::new(Extent::new()), Arc::new(charge))
}

fn head(framing: Framing, delta: i64, size: u64) -> Bytes {
    let mut wire = Writer::new();
    framing.write_head(FrameHead { delta: Some(delta), size }, &mut wire);
    wire.into_bytes()
}

/// `frames` of (delta, size of payload) on the wire.
fn wire(framing: Framing, frames: &[(i64, usize)]) -> Bytes {
    let mut wire = Vec::new();
    for &(delta, size) in frames {
        wire.extend_from_slice(&head(framing, delta, size as u64));
        wire.extend((0..size).map(|at| at as u8));
    }
    wire.into()
}

fn spans(subgroup: &Subgroup) -> Vec<FrameSpan> {
    (0..).map_while(|index| subgroup.frames().get(index)).collect()
}

fn bytes(subgroup: &Subgroup) -> Vec<u8> {
    let mut all: Vec<u8> = Vec::new();
    while subgroup.log().unread(all.len() as u64, None, |slice| all.extend_from_slice(&slice)) > 0 {}
    all
}

fn millis(units: u64) -> Timestamp {
    Timestamp::try_from(units).unwrap()
}

#[test]
fn a_frame_is_known_from_its_head_on() {
    let mut timed = producer(Framing::Timed);
    let wire = wire(Framing::Timed, &[(1000, 100)]);
    let now = Instant::now();
    timed.append([wire.slice(..1)], now).unwrap();
    assert_eq!(spans(timed.subgroup()), []);
    assert_eq!(timed.subgroup().log().len(), 1, "though its first bytes are passed on");

    timed.append([wire.slice(1..10)], now).unwrap();
    let payload = wire.len() as u64 - 100;
    let span = FrameSpan { start: 0, payload, end: wire.len() as u64, timestamp: millis(1000) };
    assert_eq!(spans(timed.subgroup()), [span]);
    assert_eq!(timed.subgroup().log().len(), 10);

    timed.append([wire.slice(10..)], now).unwrap();
    let subgroup = timed.subgroup().clone();
    timed.finish().unwrap();
    assert_eq!(bytes(&subgroup), wire);
    assert_eq!(subgroup.log().ending(), Some(Ending::Finished));
}

#[test]
fn frames_without_a_time_are_stamped_as_they_arrive() {
    let mut sized = producer(Framing::Sized);
    let frame = wire(Framing::Sized, &[(0, 3)]);
    let began = Instant::now();
    for after in [0, 20, 45] {
        sized.append([frame.clone()], began + Duration::from_millis(after)).unwrap();
    }
    let stamps: Vec<_> = spans(sized.subgroup()).iter().map(|span| span.timestamp.get()).collect();
    assert_eq!(stamps, [0, 20, 45], "counted from the track's beginning");
    assert_eq!((sized.extent.first(), sized.extent.newest()), (Some(millis(0)), Some(millis(45))));
}

#[test]
fn the_newest_time_is_the_latest_shown_not_the_last_sent() {
    let mut timed = producer(Framing::Timed);
    timed.append([wire(Framing::Timed, &[(100, 1), (80, 1), (-40, 1)])], Instant::now()).unwrap();
    assert_eq!((timed.extent.first(), timed.extent.newest()), (Some(millis(100)), Some(millis(180))));
}

#[test]
fn time_does_not_begin_before_zero() {
    let mut timed = producer(Framing::Timed);
    let error = timed.append([wire(Framing::Timed, &[(5, 0), (-6, 0)])], Instant::now()).unwrap_err();
    assert_eq!(error, AppendError::Timestamp { previous: millis(5), delta: -6 });
    assert_eq!(bytes(timed.subgroup()), b"", "nothing of the burst is kept");
    assert_eq!(timed.append([head(Framing::Timed, 0, 0)], Instant::now()).unwrap_err(), error, "nor of any later one");
    let subgroup = timed.subgroup().clone();
    assert_eq!(timed.finish(), Err(error));
    assert_eq!(subgroup.log().ending(), Some(Ending::Aborted(close::stream::MALFORMED_TRACK)));
}

#[test]
fn an_end_inside_a_frame_is_a_failure() {
    for cut in [1, 2, 5] {
        let mut timed = producer(Framing::Timed);
        timed.append([wire(Framing::Timed, &[(0, 10)]).slice(..cut)], Instant::now()).unwrap();
        let subgroup = timed.subgroup().clone();
        assert_eq!(timed.finish(), Err(AppendError::Truncated), "after {cut} bytes");
        assert_eq!(subgroup.log().ending(), Some(Ending::Aborted(close::stream::MALFORMED_TRACK)));
    }
}

#[test]
fn frames_have_a_largest_size() {
    for framing in [Framing::Sized, Framing::Timed] {
        let mut fits = producer(framing);
        fits.append([head(framing, 0, FRAME_BYTES_MAX)], Instant::now()).unwrap();
        let mut exceeds = producer(framing);
        let error = exceeds.append([head(framing, 0, FRAME_BYTES_MAX + 1)], Instant::now());
        assert_eq!(error, Err(AppendError::FrameTooLarge { size: FRAME_BYTES_MAX + 1, max: FRAME_BYTES_MAX }));
    }
}

#[test]
fn groups_have_a_largest_size() {
    let mut sized = producer(Framing::Sized);
    let now = Instant::now();
    let payload = Bytes::from(vec![0; 1 << 20]);
    let fits = GROUP_BYTES_MAX / (payload.len() as u64 + 4);
    for _ in 0..fits {
        sized.append([head(Framing::Sized, 0, payload.len() as u64), payload.clone()], now).unwrap();
    }
    let error = sized.append([head(Framing::Sized, 0, payload.len() as u64), payload.clone()], now);
    assert_eq!(error, Err(AppendError::GroupTooLarge { max: GROUP_BYTES_MAX }));
}

#[test]
fn groups_have_a_most_of_frames() {
    let mut sized = producer(Framing::Sized);
    let empty = Bytes::from_static(&[0; 4096]);
    for _ in 0..FRAMES_MAX / empty.len() {
        sized.append([empty.clone()], Instant::now()).unwrap();
    }
    let error = sized.append([empty.slice(..1)], Instant::now());
    assert_eq!(error, Err(AppendError::TooManyFrames { max: FRAMES_MAX }));
    assert_eq!(spans(sized.subgroup()).len(), FRAMES_MAX);
}

#[test]
fn what_is_kept_is_charged_and_what_does_not_fit_is_refused() {
    let budget = Budget::new(4000);
    let mut sized = producer_on(&budget, Framing::Sized);
    sized.append([wire(Framing::Sized, &[(0, 60)])], Instant::now()).unwrap();
    assert_eq!(budget.used(), 61 + 32, "the bytes and the frame");
    let error = sized.append([wire(Framing::Sized, &[(0, 900)])], Instant::now());
    assert_eq!(error, Err(AppendError::NoCapacity));
    assert_eq!((budget.used(), bytes(sized.subgroup()).len()), (61 + 32, 61));
}

fn any_framing() -> impl Strategy<Value = Framing> {
    prop_oneof![Just(Framing::Sized), Just(Framing::Timed)]
}

proptest! {
    #[test]
    fn however_it_arrives_it_is_the_same_group(
        framing in any_framing(),
        frames in prop::collection::vec((0i64..100_000, prop_oneof![0usize..100, 60usize..20_000]), 0..10),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..20),
    ) {
        let wire = wire(framing, &frames);
        let now = Instant::now();
        let mut whole = producer(framing);
        whole.append([wire.clone()], now).unwrap();
        prop_assert_eq!(spans(whole.subgroup()).len(), frames.len());

        // Cut into chunks anywhere, some of them in a burst of their own.
        let mut cuts: Vec<_> = cuts.into_iter().map(|(at, burst)| (at.index(wire.len() + 1), burst)).collect();
        cuts.push((wire.len(), true));
        cuts.sort();
        let (mut pieces, mut burst, mut from) = (producer(framing), Vec::new(), 0);
        for (to, ends_burst) in cuts {
            burst.push(wire.slice(from..to));
            from = to;
            if ends_burst {
                pieces.append(burst.drain(..), now).unwrap();
            }
        }
        pieces.append(burst, now).unwrap();

        prop_assert_eq!(spans(pieces.subgroup()), spans(whole.subgroup()));
        prop_assert_eq!(bytes(pieces.subgroup()), wire);
        prop_assert!(pieces.finish().is_ok());
    }

    #[test]
    fn no_bytes_can_panic_it(framing in any_framing(), chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..8)) {
        let mut any = producer(framing);
        let _ = any.append(chunks.into_iter().map(Bytes::from), Instant::now());
        let _ = any.finish();
    }
}

// ---- repeats ----

/// Cuts `bytes` into chunks at these places, modulo what is left.
fn chunks(mut bytes: Bytes, cuts: &[usize]) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    for cut in cuts {
        let at = cut % (bytes.len() + 1);
        chunks.push(bytes.split_to(at));
    }
    chunks.push(bytes);
    chunks
}

proptest! {
    #[test]
    fn what_comes_again_continues_what_is_held(
        held in 0..3000usize,
        first in prop::collection::vec(0..400usize, 0..8),
        again in prop::collection::vec(0..400usize, 0..8),
    ) {
        let whole = wire(Framing::Timed, &[(0, 900), (20, 0), (20, 2000), (20, 90)]);
        let held = held.min(whole.len());
        let mut writer = producer(Framing::Timed);
        for chunk in chunks(whole.slice(..held), &first) {
            writer.append([chunk], Instant::now()).unwrap();
        }
        let mut repeat = writer.repeat();
        for chunk in chunks(whole.clone(), &again) {
            let mut burst = vec![chunk];
            repeat.skip(&mut burst).unwrap();
            prop_assert!(burst.is_empty() || repeat.is_over());
            writer.append(burst, Instant::now()).unwrap();
        }
        let subgroup = writer.subgroup().clone();
        writer.finish().unwrap();
        prop_assert_eq!(bytes(&subgroup), whole.to_vec());
        prop_assert_eq!(spans(&subgroup).len(), 4);
    }

    #[test]
    fn what_differs_is_noticed_before_anything_is_appended(at in 0..1000usize, cuts in prop::collection::vec(0..400usize, 0..8)) {
        let whole = wire(Framing::Sized, &[(0, 998)]);
        let mut writer = producer(Framing::Sized);
        writer.append([whole.clone()], Instant::now()).unwrap();
        let mut other = whole.to_vec();
        let at = at.min(whole.len() - 1);
        other[at] ^= 1;
        let mut repeat = writer.repeat();
        let compared = chunks(other.into(), &cuts).into_iter().try_for_each(|chunk| repeat.skip(&mut vec![chunk]));
        prop_assert!(compared.is_err_and(|differs| differs.at <= at as u64));
        prop_assert!(!repeat.is_over());
    }
}
