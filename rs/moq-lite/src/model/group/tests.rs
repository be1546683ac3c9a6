use std::time::{Duration, Instant};

use futures::FutureExt;

use super::*;
use crate::model::{cache::Budget, clock::Clock};

fn group_on(account: &Account) -> Arc<Group> {
    let feed = Feed { tower: Arc::default(), clock: Clock::default(), timescale: moq_proto::Timescale::MILLIS };
    let group = Group::new(7, 1, Arc::new(feed), account);
    group.admit().unwrap();
    group
}

fn group() -> (Producer, Consumer) {
    let group = Producer::new(group_on(&Budget::new(1 << 30).account()));
    let consumer = group.consume();
    (group, consumer)
}

fn millis(units: u64) -> Timestamp {
    Timestamp::try_from(units).unwrap()
}

fn frame(timestamp: u64, payload: &'static str) -> Frame {
    Frame { timestamp: millis(timestamp), payload: payload.into() }
}

#[tokio::test]
async fn frames_are_read_as_they_were_written() {
    let (mut writing, mut reading) = group();
    assert!(reading.next_frame().now_or_never().is_none());
    writing.write_frame("key", Some(millis(100))).unwrap();
    assert_eq!(reading.next_frame().await, Ok(Some(frame(100, "key"))));

    let mut late = reading.clone();
    writing.write_frame("b", Some(millis(60))).unwrap();
    writing.write_frame("p", None).unwrap();
    writing.finish();
    for reader in [&mut reading, &mut late] {
        assert_eq!(reader.next_frame().await, Ok(Some(frame(60, "b"))));
        assert_eq!(reader.next_frame().await, Ok(Some(frame(60, "p"))), "not before the frame before");
        assert_eq!(reader.next_frame().await, Ok(None));
    }
    assert_eq!((reading.first_timestamp(), reading.newest_timestamp()), (Some(millis(100)), Some(millis(100))));
}

#[tokio::test]
async fn frames_without_a_time_get_that_of_the_tracks_clock() {
    let (mut writing, mut reading) = group();
    let began = Instant::now();
    for after in [0, 1500] {
        writing.group.feed.clock.tell(began + Duration::from_millis(after));
        writing.write_frame("tick", None).unwrap();
        assert_eq!(reading.next_frame().await, Ok(Some(frame(after, "tick"))));
    }
}

#[tokio::test]
async fn a_reader_waits_for_the_whole_frame() {
    let (mut writing, mut reading) = group();
    let mut subgroup = writing.subgroup(subgroup::Info::whole(Framing::Sized)).unwrap();
    subgroup.append(["\x06hal".into()], Instant::now()).unwrap();
    let mut waiting = Box::pin(reading.next_frame());
    assert!(waiting.as_mut().now_or_never().is_none());
    subgroup.append(["ves\x01".into()], Instant::now()).unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().payload, "halves");
}

#[tokio::test]
async fn chunks_are_payloads_as_they_arrive() {
    let (mut writing, mut reading) = group();
    let mut subgroup = writing.subgroup(subgroup::Info::whole(Framing::Sized)).unwrap();
    assert!(reading.next_chunk().now_or_never().is_none());
    for (arrives, read) in
        [("\x06hal", Some("hal")), ("ves", Some("ves")), ("\x00\x01", None), ("x\x02", Some("x")), ("y", Some("y"))]
    {
        subgroup.append([arrives.into()], Instant::now()).unwrap();
        if let Some(read) = read {
            assert_eq!(reading.next_chunk().await, Ok(Some(read.into())));
        }
        assert!(reading.next_chunk().now_or_never().is_none(), "{arrives:?}");
    }
    subgroup.append(["z\x03end".into()], Instant::now()).unwrap();
    assert_eq!(reading.next_chunk().await, Ok(Some("z".into())));
    assert_eq!(reading.next_frame().await.unwrap().unwrap().payload, "end", "frames go on where chunks ended");
    subgroup.append(["\x02".into()], Instant::now()).unwrap();
    subgroup.abort(CloseCode::new(99));
    drop(writing);
    assert!(matches!(reading.next_chunk().await, Err(GroupError::Reset { sequence: 7, .. })));
}

#[tokio::test]
async fn chunks_share_the_bytes_and_end_with_the_group() {
    let (mut writing, mut reading) = group();
    let payload: Bytes = (0..2_000_000).map(|at| at as u8).collect();
    writing.write_frame(payload.clone(), None).unwrap();
    writing.finish();
    let mut read = Vec::new();
    while let Some(chunk) = reading.next_chunk().await.unwrap() {
        assert!(chunk.len() <= crate::model::log::SLICE_BYTES_MAX);
        read.extend_from_slice(&chunk);
    }
    assert_eq!(read, payload);
    assert_eq!(reading.next_chunk().await, Ok(None));
}

#[tokio::test]
async fn a_frame_of_many_slices_is_read_as_one() {
    let (mut writing, reading) = group();
    let payload: Bytes = (0..2_000_000).map(|at| at as u8).collect();
    writing.write_frame(payload.clone(), None).unwrap();
    writing.finish();
    assert_eq!(reading.frames().await, [payload]);
}

#[tokio::test]
async fn an_empty_group_is_a_group() {
    let (writing, mut reading) = group();
    writing.finish();
    assert_eq!(reading.next_frame().await, Ok(None));
    assert!(reading.view(Framing::Sized).is_some(), "viewers get an empty stream");
    assert_eq!(reading.ending(), Some(Ending::Finished));
}

#[tokio::test]
async fn readers_hear_that_the_publisher_gave_up() {
    let (mut writing, mut reading) = group();
    writing.write_frame("one", None).unwrap();
    writing.abort(CloseCode::new(99));
    assert_eq!(reading.next_frame().await, Ok(Some(frame(0, "one"))), "what was written stays");
    let reset = GroupError::Reset { sequence: 7, code: CloseCode::new(99) };
    assert_eq!(reading.next_frame().await, Err(reset));

    let (writing, mut reading) = group();
    drop(writing);
    let reset = GroupError::Reset { sequence: 7, code: close::stream::CANCELLED };
    assert_eq!(reading.next_frame().await, Err(reset));
}

#[tokio::test]
async fn readers_of_an_evicted_group_are_told_what_they_lost() {
    let budget = Budget::new(1 << 30);
    let group = group_on(&budget.account());
    let mut writing = Producer::new(group.clone());
    let (mut reading, mut done) = (writing.consume(), writing.consume());
    writing.write_frame("one", None).unwrap();
    writing.write_frame("two", None).unwrap();
    writing.finish();
    reading.next_frame().await.unwrap();
    done.next_frame().await.unwrap();
    done.next_frame().await.unwrap();

    group.evict();
    assert_eq!(budget.used(), 0);
    assert_eq!(reading.next_frame().await, Err(GroupError::Evicted { sequence: 7, frame: 1 }));
    assert_eq!(done.next_frame().await, Ok(None), "it had everything");
    assert_eq!(group.ending(), Some(Ending::Aborted(close::stream::EVICTED)));
}

#[test]
fn eviction_ends_the_writing() {
    let group = group_on(&Budget::new(1 << 30).account());
    let mut writing = Producer::new(group.clone());
    let mut open = writing.subgroup(subgroup::Info::whole(Framing::Sized)).unwrap();
    group.evict();
    assert_eq!(open.append(["\x00".into()], Instant::now()), Err(AppendError::Evicted));
    assert_eq!(
        writing.subgroup(subgroup::Info { id: 1, ..subgroup::Info::whole(Framing::Sized) }).unwrap_err(),
        SubgroupError::Ended
    );
}

#[test]
fn viewers_of_one_framing_share_one_image() {
    let (mut writing, reading) = group();
    assert!(reading.view(Framing::Timed).is_none(), "there is nothing to see yet");
    writing.write_frame("key", Some(millis(5))).unwrap();
    let native = reading.view(Framing::Timed).unwrap();
    let (first, second) = (reading.view(Framing::Sized).unwrap(), reading.view(Framing::Sized).unwrap());
    first.sync();
    assert_eq!((native.log().len(), second.log().len()), (5, 4), "what one has caught up the other reads");
    assert_eq!(writing.group.state.lock().images.len(), 1);
}

#[test]
fn a_stream_that_starts_inside_a_group_tells_its_first_time_from_zero() {
    let (mut writing, reading) = group();
    for (timestamp, payload) in [(1000, "key"), (1040, "delta")] {
        writing.write_frame(payload, Some(millis(timestamp))).unwrap();
    }
    for (framing, head) in [(Framing::Timed, &b"\x48\x20\x05"[..]), (Framing::Sized, b"\x05")] {
        let view = reading.view(framing).unwrap();
        view.sync();
        assert_eq!(view.first_head(1).unwrap(), head);
        let span = view.frame(1).unwrap();
        let mut payload = Vec::new();
        view.log().unread(span.payload, Some(span.end), |slice| payload.extend_from_slice(&slice));
        assert_eq!(payload, b"delta");
        assert_eq!(span.timestamp, millis(1040));
        assert_eq!((view.frame(2), view.first_head(2)), (None, None));
    }
}

#[test]
fn moq_lite_sees_the_subgroup_that_has_the_first_frame() {
    let (mut writing, reading) = group();
    let later = subgroup::Info { id: 0, framing: Framing::Timed, first_object: 3 };
    let _later = writing.subgroup(later).unwrap();
    assert!(reading.view(Framing::Timed).is_none());
    let whole = subgroup::Info { id: 4, framing: Framing::Timed, first_object: 0 };
    let mut whole = writing.subgroup(whole).unwrap();
    whole.append(["\x00\x01x".into()], Instant::now()).unwrap();
    assert_eq!(reading.view(Framing::Timed).unwrap().log().len(), 3);
    assert!(!reading.is_ended());
}

#[test]
fn a_group_ends_with_the_last_of_its_subgroups() {
    let (mut writing, reading) = group();
    let [first, second] =
        [0, 1].map(|id| writing.subgroup(subgroup::Info { id, ..subgroup::Info::whole(Framing::Timed) }).unwrap());
    first.finish().unwrap();
    drop(writing);
    assert_eq!(reading.ending(), None);
    second.abort(CloseCode::new(70));
    assert_eq!(reading.ending(), Some(Ending::Aborted(CloseCode::new(70))));
}

#[test]
fn subgroups_are_told_apart_and_counted() {
    let (mut writing, _) = group();
    let info = |id| subgroup::Info { id, ..subgroup::Info::whole(Framing::Timed) };
    let mut open: Vec<_> = (0..SUBGROUPS_MAX as u64).map(|id| writing.subgroup(info(id)).unwrap()).collect();
    assert_eq!(writing.subgroup(info(64)).unwrap_err(), SubgroupError::TooMany { max: SUBGROUPS_MAX });
    open.pop();
    assert_eq!(writing.subgroup(info(64)).unwrap_err(), SubgroupError::TooMany { max: SUBGROUPS_MAX });

    let (mut writing, _) = group();
    let _open = writing.subgroup(info(3)).unwrap();
    assert_eq!(writing.subgroup(info(3)).unwrap_err(), SubgroupError::Duplicate { id: 3 });
}

#[test]
fn a_group_without_room_is_ended() {
    let budget = Budget::new(100);
    let feed = Feed { tower: Arc::default(), clock: Clock::default(), timescale: moq_proto::Timescale::MILLIS };
    let group = Group::new(0, 1, Arc::new(feed), &budget.account());
    assert_eq!(group.admit(), Err(ChargeError::Full));
    assert_eq!(group.ending(), Some(Ending::Aborted(close::stream::NO_CAPACITY)));
    assert_eq!(budget.used(), 0);
}
