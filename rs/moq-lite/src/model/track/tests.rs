use bytes::Bytes;
use futures::{FutureExt, task::noop_waker_ref};
use moq_proto::Framing;

use super::*;
use crate::model::expiry::Timeline;
use crate::model::{
    bell::tests::counting_waker,
    cache::{Budget, Policy},
    demand::{Ask, Start},
    expiry,
    log::Ending,
    subgroup,
};

/// A track whose groups are kept for five seconds.
fn track() -> Producer {
    Producer::new("video", Info::default(), &Budget::new(1 << 30).account())
}

fn millis(units: u64) -> Timestamp {
    Timestamp::try_from(units).unwrap()
}

/// A whole group with one frame at this time.
fn group_at(track: &Producer, sequence: u64, timestamp: u64) {
    let mut group = track.create_group(sequence).unwrap();
    group.write_frame("frame", Some(millis(timestamp))).unwrap();
    group.finish();
}

fn sequences(groups: &[group::Consumer]) -> Vec<u64> {
    groups.iter().map(group::Consumer::sequence).collect()
}

fn any_age() -> Ask {
    Ask { max_age: None, start: Start::At(0), ..Ask::default() }
}

fn demand(track: &Producer, seen: &mut u64) -> Poll<Option<Demand>> {
    track.poll_demand(&mut Context::from_waker(noop_waker_ref()), seen)
}

// ---- groups ----

#[tokio::test]
async fn where_the_source_is_takes_somebody_who_asks_for_all_that_comes_and_something_that_came_since() {
    let track = track();
    let reading = track.consume();
    group_at(&track, 3, 0);
    assert_eq!(reading.present_sequence(), None, "nobody asks");

    let one = reading.subscribe(Ask { end: Some(4), ..any_age() });
    group_at(&track, 4, 0);
    assert_eq!(reading.present_sequence(), None, "no more than the fourth was asked for");
    let all = reading.subscribe(Ask::default());
    assert_eq!(reading.present_sequence(), None, "that was there before");
    assert_eq!(reading.present().now_or_never(), None);
    assert!(track.create_group(4).is_err());
    assert_eq!(reading.present_sequence(), Some(4), "what is here already tells as well");
    group_at(&track, 5, 0);
    assert_eq!(reading.present().now_or_never(), Some(5));

    all.update(Ask { priority: 1, ..Ask::default() });
    assert_eq!(reading.present_sequence(), Some(5), "it was asked for all along");
    drop(all);
    assert_eq!(reading.present_sequence(), None);
    one.update(Ask::default());
    assert_eq!(reading.present_sequence(), None);
    let coming = reading.clone();
    let (present, ()) = tokio::join!(coming.present(), async { drop(track.create_group(5)) });
    assert_eq!(present, 5);
}

#[test]
fn groups_are_found_by_sequence_and_in_order_of_arrival() {
    let track = track();
    for sequence in [5, 3, 9] {
        group_at(&track, sequence, 0);
    }
    let reading = track.consume();
    assert_eq!(sequences(&reading.cached()), [3, 5, 9]);
    assert_eq!(reading.latest_sequence(), Some(9));
    assert_eq!(reading.group(3).unwrap().arrival(), 2);
    assert!(reading.group(4).is_none());

    let mut fresh = Vec::new();
    assert_eq!(reading.arrivals_since(1, &mut fresh), 3);
    assert_eq!(sequences(&fresh), [3, 9]);
    fresh.clear();
    assert_eq!(reading.arrivals_since(3, &mut fresh), 3);
    assert!(fresh.is_empty());
    assert_eq!(track.append_group().sequence(), 10);
}

#[test]
fn a_group_is_taken_once() {
    let track = track();
    let _group = track.create_group(4).unwrap();
    assert_eq!(track.create_group(4).unwrap_err(), TrackError::Duplicate { sequence: 4 });
}

#[test]
fn the_end_is_where_the_publisher_says() {
    let track = track();
    group_at(&track, 4, 0);
    track.finish(Some(6));
    track.finish(Some(9));
    assert_eq!(track.consume().ended(), Some(Ok(6)), "the first end stands");
    assert_eq!(track.create_group(6).unwrap_err(), TrackError::Ended { end: 6 });
    assert!(track.create_group(5).is_ok(), "a late one below the end still comes");
    track.abort(CloseCode::new(70));
    assert_eq!(track.consume().ended(), Some(Ok(6)));
}

#[test]
fn a_track_can_end_after_the_last_group_or_without_any() {
    let track = track();
    group_at(&track, 4, 0);
    track.finish(None);
    assert_eq!(track.consume().ended(), Some(Ok(5)));

    let empty = self::track();
    empty.finish(None);
    assert_eq!(empty.consume().ended(), Some(Ok(0)));
}

#[test]
fn an_aborted_track_takes_no_more() {
    let track = track();
    track.abort(CloseCode::new(70));
    track.finish(None);
    assert_eq!(track.consume().ended(), Some(Err(CloseCode::new(70))));
    assert_eq!(track.create_group(0).unwrap_err(), TrackError::Closed { code: CloseCode::new(70) });
    track.append_group().write_all(["for nobody"]);
    assert!(track.consume().cached().is_empty());
}

#[test]
fn the_last_producer_to_leave_aborts_an_unfinished_track() {
    let track = track();
    let reading = track.consume();
    let other = track.clone();
    drop(track);
    assert_eq!(reading.ended(), None);
    drop(other);
    assert_eq!(reading.ended(), Some(Err(close::stream::CANCELLED)));
}

#[test]
fn a_datagram_is_a_group_of_one_frame() {
    let track = track();
    track.datagram(3, millis(40), "ping".into(), Instant::now()).unwrap();
    let mut group = track.consume().latest().unwrap();
    let frame = group.next_frame().now_or_never().unwrap().unwrap().unwrap();
    assert_eq!((frame.timestamp, frame.payload), (millis(40), Bytes::from("ping")));
    assert_eq!(group.next_frame().now_or_never(), Some(Ok(None)));
    let again = track.datagram(3, millis(40), "ping".into(), Instant::now());
    assert_eq!(again, Err(TrackError::Duplicate { sequence: 3 }));
}

// ---- keeping ----

#[test]
fn groups_are_kept_for_as_long_as_the_track_says_by_media_time() {
    let track = track();
    let began = Instant::now();
    track.tend(began);
    for (sequence, timestamp) in [(0, 0), (1, 1000), (2, 2000), (3, 5999)] {
        group_at(&track, sequence, timestamp);
    }
    track.tend(began + Duration::from_secs(1));
    assert_eq!(sequences(&track.consume().cached()), [0, 1, 2, 3], "group 0 ended 4.999 s before the edge");
    group_at(&track, 4, 6000);
    track.tend(began + Duration::from_secs(1));
    assert_eq!(sequences(&track.consume().cached()), [1, 2, 3, 4]);
    assert_eq!(track.create_group(0).unwrap_err(), TrackError::Old { sequence: 0 });
}

#[test]
fn a_backlog_sent_at_once_can_be_found_for_a_moment() {
    let track = Producer::new("events", Info { max_age: Duration::ZERO, ..Info::default() }, &Budget::new(1 << 30).account());
    let began = Instant::now();
    track.tend(began);
    for sequence in 0..5 {
        group_at(&track, sequence, sequence * 60_000);
    }
    track.tend(began + Duration::from_millis(999));
    assert_eq!(track.consume().cached().len(), 5);
    track.tend(began + Duration::from_secs(1));
    assert_eq!(sequences(&track.consume().cached()), [4]);
}

#[test]
fn groups_without_times_get_old_as_told() {
    let track = track();
    let began = Instant::now();
    for (sequence, after) in [(0, 0), (1, 1000), (2, 2000)] {
        track.tend(began + Duration::from_millis(after));
        group_at(&track, sequence, 0);
    }
    let kept_after = |after| {
        track.tend(began + Duration::from_millis(after));
        sequences(&track.consume().cached())
    };
    assert_eq!(kept_after(5999), [0, 1, 2]);
    group_at(&track, 3, 0);
    assert_eq!(kept_after(6000), [0, 1, 2, 3]);
    group_at(&track, 4, 0);
    assert_eq!(kept_after(6000), [1, 2, 3, 4], "five seconds after group 1 came");
    assert_eq!(kept_after(60_000), [1, 2, 3, 4], "nothing came since");
    group_at(&track, 5, 0);
    assert_eq!(kept_after(60_000), [4, 5], "what came before them is an old story");
}

#[test]
fn silence_makes_no_group_old() {
    let track = track();
    let began = Instant::now();
    for sequence in 0..3 {
        track.tend(began + Duration::from_secs(sequence));
        group_at(&track, sequence, sequence * 1000);
    }
    track.tend(began + Duration::from_secs(3600));
    assert_eq!(sequences(&track.consume().cached()), [0, 1, 2]);
    group_at(&track, 3, 3_600_000);
    track.tend(began + Duration::from_secs(3601));
    assert_eq!(sequences(&track.consume().cached()), [2, 3], "group 2 goes on until group 3 begins");
}

#[test]
fn times_that_creep_or_jump_back_are_no_times() {
    let began = Instant::now();
    // Seconds, told as if they were milliseconds; and a clock that was set back.
    for time_of in [|second| second, |second| if second < 10 { 1_000_000 + second * 1000 } else { second * 1000 }] {
        let track = track();
        for second in 0..20 {
            track.tend(began + Duration::from_secs(second));
            group_at(&track, second, time_of(second));
        }
        track.tend(began + Duration::from_secs(19));
        let kept = sequences(&track.consume().cached());
        assert!(kept.len() < 8 && kept.last() == Some(&19), "{kept:?}");
    }
}

#[test]
fn readers_keep_what_the_track_lets_go_of() {
    let budget = Budget::new(1 << 30);
    let track = Producer::new("video", Info::default(), &budget.account());
    group_at(&track, 0, 0);
    let held = track.consume().group(0).unwrap();
    let used = budget.used();
    group_at(&track, 1, 5000);
    group_at(&track, 2, 10_000);
    let began = Instant::now();
    track.tend(began);
    track.tend(began + Duration::from_secs(1));
    assert_eq!(sequences(&track.consume().cached()), [1, 2]);
    assert!(budget.used() > used);
    assert_eq!(held.frames().now_or_never(), Some(vec![Bytes::from("frame")]));
    drop(track);
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_track_keeps_so_many_groups_and_no_more() {
    let track = track();
    for _ in 0..GROUPS_MAX + 10 {
        track.append_group();
    }
    let kept = track.consume().cached();
    assert_eq!(kept.len(), GROUPS_MAX);
    assert_eq!(kept[0].sequence(), 10, "the oldest went");
}

#[test]
fn the_cache_evicts_old_groups_and_never_the_newest() {
    let budget = Budget::with_policy(Policy { capacity: 16_000, per_broadcast: 16_000, ..Policy::default() });
    let account = budget.account();
    let (busy, quiet) = (Producer::new("busy", Info::default(), &account), Producer::new("quiet", Info::default(), &account));
    group_at(&quiet, 0, 0);
    let ringer = Ringer::new();
    let _bell = busy.consume().attach(&ringer, 3);
    for _ in 0..20 {
        busy.append_group().write_all([vec![0; 1000]]);
    }
    let kept = sequences(&busy.consume().cached());
    assert!(kept.len() < 20 && kept.ends_with(&[18, 19]), "{kept:?}");
    assert_eq!(quiet.consume().cached().len(), 1, "used least recently, but the newest of its track");
    assert!(budget.used() <= 16_000);
}

#[test]
fn a_cache_full_of_newest_groups_takes_no_more() {
    let budget = Budget::with_policy(Policy { capacity: 4000, per_broadcast: 4000, ..Policy::default() });
    let account = budget.account();
    let [first, second] = [(); 2].map(|()| Producer::new("any", Info::default(), &account));
    first.append_group();
    assert_eq!(second.create_group(0).unwrap_err(), TrackError::NoCapacity);
    assert!(second.consume().cached().is_empty());
    first.append_group();
    assert_eq!(sequences(&first.consume().cached()), [1], "which replaced the one before");
    drop(first);
    assert!(second.create_group(0).is_ok());
}

#[test]
fn an_evicted_group_may_come_again() {
    let budget = Budget::with_policy(Policy { capacity: 7000, per_broadcast: 7000, ..Policy::default() });
    let track = Producer::new("video", Info::default(), &budget.account());
    for sequence in [0, 2, 3] {
        track.create_group(sequence).unwrap().write_all(["frame"]);
    }
    let first = track.consume().group(0).unwrap();
    assert!(first.view(moq_proto::Framing::Timed).is_some(), "somebody reads the first");
    track.create_group(4).unwrap().write_all(["frame"]);
    assert_eq!(sequences(&track.consume().cached()), [0, 3, 4], "so the second goes");
    track.create_group(2).unwrap().write_all(["again"]);
    let again = track.consume().group(2).unwrap();
    assert_eq!(again.frames().now_or_never(), Some(vec![Bytes::from("again")]));
    assert_eq!(track.create_group(4).unwrap_err(), TrackError::Duplicate { sequence: 4 });
}

// ---- expiry ----

#[test]
fn behind_a_long_run_of_empty_groups_only_the_clock_counts() {
    let (track, began) = (track(), Instant::now());
    track.tend(began);
    group_at(&track, 0, 0);
    for _ in 0..100 {
        track.append_group();
    }
    group_at(&track, 200, 60_000);
    assert_eq!(track.consume().edge().behind(0), None);
    assert_eq!(track.consume().edge().behind(90), Some(Duration::ZERO));
    track.tend(began + Duration::from_secs(1));
    assert_eq!(track.consume().cached()[0].sequence(), 0);
    track.tend(began + Duration::from_secs(5));
    track.append_group();
    assert_eq!(sequences(&track.consume().cached()), [200, 201]);
}

#[test]
fn a_group_ends_where_the_next_one_with_a_frame_begins() {
    let track = track();
    for (sequence, timestamp) in [(0, 0), (1, 1000)] {
        group_at(&track, sequence, timestamp);
    }
    let edge = track.consume().edge();
    assert_eq!(edge.behind(0), Some(Duration::ZERO));
    assert_eq!(edge.behind(1), None, "the newest");

    let _empty = track.create_group(2).unwrap();
    assert_eq!(edge.behind(1), None, "nothing with a frame follows");
    group_at(&track, 3, 2500);
    assert_eq!(edge.behind(0), Some(Duration::from_millis(1500)));
    assert_eq!(edge.behind(1), Some(Duration::ZERO));
    assert_eq!(edge.behind(2), Some(Duration::ZERO));
    assert_eq!(edge.behind(3), None);
    assert!(expiry::is_expired(&edge, 0, Some(Duration::from_millis(1500))));
    assert!(!expiry::is_expired(&edge, 0, None));
}

// ---- demand ----

#[test]
fn the_source_hears_what_all_readers_together_ask() {
    let (track, mut seen) = (track(), 0);
    assert_eq!(demand(&track, &mut seen), Poll::Ready(None));
    assert_eq!(demand(&track, &mut seen), Poll::Pending);

    let first = track.consume().subscribe(Ask { priority: 3, ..Ask::default() });
    let asked = |poll| match poll {
        Poll::Ready(demand) => demand,
        Poll::Pending => panic!("nothing changed"),
    };
    assert_eq!(asked(demand(&track, &mut seen)).unwrap().priority, 3);
    let same = track.consume().subscribe(Ask { priority: 1, ..Ask::default() });
    assert_eq!(demand(&track, &mut seen), Poll::Pending, "there is enough for it already");
    same.update(Ask { priority: 9, max_age: None, ..Ask::default() });
    let merged = asked(demand(&track, &mut seen)).unwrap();
    assert_eq!((merged.priority, merged.max_age), (9, None));
    drop(same);
    assert_eq!(asked(demand(&track, &mut seen)).unwrap().priority, 3);
    drop(first);
    assert_eq!(asked(demand(&track, &mut seen)), None);
}

#[test]
fn a_change_of_demand_wakes_the_source() {
    let (track, mut seen) = (track(), 0);
    let _ = demand(&track, &mut seen);
    let (waker, wakes) = counting_waker();
    assert!(track.poll_demand(&mut Context::from_waker(&waker), &mut seen).is_pending());
    let _subscription = track.consume().subscribe(Ask::default());
    assert_eq!(wakes.get(), 1);
}

#[tokio::test]
async fn a_track_lingers_after_its_last_reader() {
    let track = track();
    let began = Instant::now();
    let after = |seconds| began + Duration::from_secs(seconds);
    assert!(!track.tend(began));
    let reader = track.consume().subscribe(Ask::default());
    assert!(!track.tend(after(100)));
    assert!(!track.tend(after(200)), "it is read");
    drop(reader);
    assert!(!track.tend(after(201)));
    assert!(!track.tend(after(230)));
    assert!(track.unused().now_or_never().is_none());
    assert!(track.tend(after(231)), "thirty seconds since it was found idle");
    track.unused().await;

    let _reader = track.consume().subscribe(Ask::default());
    assert!(!track.tend(after(232)), "somebody came back");
    assert!(track.unused().now_or_never().is_none());
}

#[tokio::test]
async fn a_track_is_complete_once_each_of_its_groups_has_ended() {
    let track = track();
    let ranges = [0..1, 1..2];
    let mut complete = Box::pin(track.complete(&ranges));
    assert!(complete.as_mut().now_or_never().is_none());
    let mut last = track.create_group(1).unwrap();
    assert!(complete.as_mut().now_or_never().is_none());
    group_at(&track, 0, 0);
    assert!(complete.as_mut().now_or_never().is_none());
    last.write_frame("end", None).unwrap();
    assert!(complete.as_mut().now_or_never().is_none());
    last.finish();
    complete.await;
}

#[test]
fn an_end_that_is_announced_refuses_groups_and_may_move_up_until_it_is_reached() {
    let track = track();
    let reading = track.consume();
    group_at(&track, 3, 0);
    track.announce_end(2);
    assert_eq!((reading.ending(), reading.ended()), (Some(End::Announced(4)), None), "there is a group 3");
    assert_eq!(track.create_group(4).err(), Some(TrackError::Ended { end: 4 }));
    track.announce_end(6);
    track.announce_end(5);
    assert_eq!(reading.ending(), Some(End::Announced(6)));
    group_at(&track, 5, 0);
    assert!(!track.is_over(), "groups are on their way");
    track.finish(Some(2));
    track.announce_end(9);
    assert_eq!(reading.ended(), Some(Ok(6)));
    assert!(track.is_over());
    track.abort(close::stream::CANCELLED);
    assert_eq!(reading.ended(), Some(Ok(6)));
}

#[test]
fn a_track_whose_end_was_announced_can_be_aborted() {
    let track = track();
    track.announce_end(2);
    track.abort(close::stream::CANCELLED);
    track.finish(None);
    assert_eq!(track.consume().ended(), Some(Err(close::stream::CANCELLED)));
}

#[test]
fn groups_that_were_let_go_of_are_not_missing_at_the_end() {
    let (track, began) = (track(), Instant::now());
    track.tend(began);
    (0..20).for_each(|sequence| group_at(&track, sequence, sequence * 1000));
    track.tend(began + Duration::from_secs(2));
    assert!(track.consume().group(0).is_none());
    assert!(track.is_complete(&[0..10, 10..20]));
    assert!(!track.is_complete(&[0..10, 10..21]));
    // What a publisher says of its groups may make no sense.
    let nonsense = Range { start: 25, end: 23 };
    assert!(track.is_complete(&[nonsense, 23..23]));
}

// ---- bells ----

#[test]
fn everything_that_happens_rings() {
    let (track, ringer) = (track(), Ringer::new());
    let _bell = track.consume().attach(&ringer, 8);
    let rings = |what: &str| {
        let mut rung = Vec::new();
        ringer.take_rung(&mut rung);
        assert_eq!(rung, [8], "{what}");
    };
    let began = Instant::now();
    track.tend(began);
    let mut group = track.append_group();
    rings("a new group");
    group.write_frame("one", None).unwrap();
    rings("bytes");
    group.finish();
    rings("the end of a group");
    drop(track.append_group());
    rings("the abort of a group");
    group_at(&track, 2, 0);
    group_at(&track, 3, 10_000);
    rings("whole groups");
    track.tend(began + Duration::from_secs(60));
    rings("an expiry");
    track.finish(None);
    rings("the end of the track");
}

// ---- an application's reader ----

#[tokio::test]
async fn who_comes_late_starts_with_the_newest_group_from_its_first_frame() {
    let track = track();
    track.append_group().write_all(["old"]);
    let mut newest = track.append_group();
    newest.write_frame("key", None).unwrap();

    let mut reading = track.consume().subscribe(Ask::default());
    let mut group = reading.next().await.unwrap();
    assert_eq!(group.sequence(), 1);
    assert_eq!(group.next_frame().await.unwrap().unwrap().payload, "key");
    assert!(reading.next().now_or_never().is_none());
    newest.write_frame("delta", None).unwrap();
    assert_eq!(group.next_frame().await.unwrap().unwrap().payload, "delta");

    track.append_group().write_all(["next"]);
    assert_eq!(reading.next().await.unwrap().frames().await, ["next"]);
    track.finish(None);
    assert!(reading.next().await.is_none());
}

#[tokio::test]
async fn who_comes_first_starts_with_the_first_group() {
    let track = track();
    let mut reading = track.consume().subscribe(Ask::default());
    assert!(reading.next().now_or_never().is_none());
    group_at(&track, 40, 0);
    assert_eq!(reading.next().await.unwrap().sequence(), 40);
}

#[tokio::test]
async fn groups_come_in_order_of_arrival_within_what_was_asked() {
    let track = track();
    let ask = Ask { start: Start::At(3), end: Some(6), ..any_age() };
    let mut reading = track.consume().subscribe(ask);
    for sequence in [2, 5, 4, 7, 3] {
        group_at(&track, sequence, 0);
    }
    track.finish(None);
    let mut read = Vec::new();
    while let Some(group) = reading.next().await {
        read.push(group.sequence());
    }
    assert_eq!(read, [5, 4, 3]);
}

#[tokio::test]
async fn what_has_expired_is_skipped() {
    let track = track();
    let mut reading = track.consume().subscribe(Ask { max_age: Some(Duration::from_secs(2)), ..any_age() });
    for (sequence, timestamp) in [(0, 0), (1, 1000), (2, 2000), (3, 3000)] {
        group_at(&track, sequence, timestamp);
    }
    assert_eq!(reading.next().await.unwrap().sequence(), 1, "group 0 ended two seconds before the edge");
    assert_eq!(reading.next().await.unwrap().sequence(), 2);
    group_at(&track, 4, 9000);
    assert_eq!(reading.next().await.unwrap().sequence(), 3, "its successor is the newest");
    assert_eq!(reading.next().await.unwrap().sequence(), 4);
}

#[tokio::test]
async fn readers_of_an_aborted_track_are_told() {
    let track = track();
    let mut reading = track.consume().subscribe(Ask::default());
    let mut waiting = Box::pin(reading.next());
    assert!(waiting.as_mut().now_or_never().is_none());
    track.abort(CloseCode::new(70));
    assert!(waiting.await.is_none());
    assert_eq!(reading.track().ended(), Some(Err(CloseCode::new(70))));
}

// ---- fetching ----

fn code_of(fetch: Fetch) -> Option<CloseCode> {
    fetch.now_or_never().expect("answered").err().map(|error| error.code)
}

#[tokio::test]
async fn what_is_kept_is_given_at_once_and_as_it_grows() {
    let track = track();
    let mut growing = track.create_group(4).unwrap();
    growing.write_frame("key", None).unwrap();
    let mut fetched = track.consume().fetch(4).await.unwrap();
    assert_eq!(fetched.next_frame().await.unwrap().unwrap().payload, "key");
    growing.write_frame("delta", None).unwrap();
    assert_eq!(fetched.next_frame().await.unwrap().unwrap().payload, "delta");
}

#[tokio::test]
async fn what_is_not_kept_is_fetched_once_for_all_who_want_it() {
    let track = track();
    let reading = track.consume();
    group_at(&track, 9, 0);
    let fetcher = track.fetcher();
    let (first, second) = (reading.fetch(3), reading.fetch(3));
    let mut wanted = fetcher.next().await;
    assert_eq!(wanted.sequence(), 3);
    assert!(fetcher.next().now_or_never().is_none(), "it is one request");

    wanted.accept().unwrap().write_all(["then"]);
    for fetch in [first, second, reading.fetch(3)] {
        assert_eq!(fetch.await.unwrap().frames().await, ["then"]);
    }
    assert_eq!(sequences(&reading.cached()), [9], "subscriptions do not see it");
    assert_eq!(reading.arrived(), 1);
}

#[tokio::test]
async fn without_a_fetcher_only_what_is_kept_is_found() {
    let track = track();
    assert_eq!(code_of(track.consume().fetch(3)), Some(close::stream::NOT_FOUND));

    let (fetcher, began) = (track.fetcher(), Instant::now());
    track.tend(began);
    let mut fetch = track.consume().fetch(3);
    drop(fetcher);
    track.tend(began + Duration::from_millis(2999));
    assert!((&mut fetch).now_or_never().is_none(), "another may come");
    track.tend(began + Duration::from_secs(3));
    assert_eq!(code_of(fetch), Some(close::stream::CANCELLED));
    assert_eq!(code_of(track.consume().fetch(3)), Some(close::stream::NOT_FOUND));
}

#[tokio::test]
async fn what_a_fetcher_is_dropped_with_goes_to_the_next() {
    let track = track();
    let (fetcher, reading) = (track.fetcher(), track.consume());
    let (fetch, left) = (reading.fetch(3), reading.fetch(4));
    let mut wanted = [fetcher.next().await, fetcher.next().await];
    wanted.iter_mut().for_each(Wanted::pass_on_if_dropped);
    drop((fetcher, left, wanted));
    let (joined, late) = (reading.fetch(3), reading.fetch(5));

    let fetcher = track.fetcher();
    for sequence in [3, 5] {
        let mut wanted = fetcher.next().await;
        assert_eq!(wanted.sequence(), sequence);
        wanted.accept().unwrap().write_all(["then"]);
    }
    for fetch in [fetch, joined, late] {
        assert_eq!(fetch.await.unwrap().frames().await, ["then"]);
    }
    assert!(fetcher.next().now_or_never().is_none(), "nobody waits for the other");
}

#[tokio::test]
async fn a_group_that_is_waited_for_answers_when_it_arrives_or_never_will() {
    let track = track();
    let (fetcher, reading) = (track.fetcher(), track.consume());
    let (fetch, beyond) = (reading.fetch(0), reading.fetch(7));
    let (mut first, mut second) = (fetcher.next().await, fetcher.next().await);
    assert!(first.arrived().now_or_never().is_none());
    track.append_group().write_all(["live"]);
    first.arrived().await;
    assert_eq!(fetch.await.unwrap().frames().await, ["live"]);
    track.finish(None);
    second.arrived().await;
    assert_eq!(code_of(beyond), Some(close::stream::NOT_FOUND));
}

#[tokio::test]
async fn beyond_the_end_there_is_nothing_to_fetch() {
    let track = track();
    let _fetcher = track.fetcher();
    track.finish(Some(3));
    assert_eq!(code_of(track.consume().fetch(3)), Some(close::stream::NOT_FOUND));
    assert!(track.consume().fetch(2).now_or_never().is_none());
}

#[tokio::test]
async fn the_sources_refusal_is_told() {
    let track = track();
    let fetcher = track.fetcher();
    let (refused, unanswered, aborted) = (track.consume().fetch(1), track.consume().fetch(2), track.consume().fetch(3));
    fetcher.next().await.reject(CloseCode::new(70));
    drop(fetcher.next().await);
    assert_eq!(code_of(refused), Some(CloseCode::new(70)));
    assert_eq!(code_of(unanswered), Some(close::stream::NOT_FOUND));
    track.abort(CloseCode::new(71));
    assert_eq!(code_of(aborted), Some(CloseCode::new(71)));
    assert_eq!(code_of(track.consume().fetch(4)), Some(CloseCode::new(71)));
}

#[tokio::test]
async fn a_source_notices_that_nobody_waits() {
    let track = track();
    let fetcher = track.fetcher();
    let fetch = track.consume().fetch(1);
    let wanted = fetcher.next().await;
    assert!(wanted.unwanted().now_or_never().is_none());
    drop(fetch);
    wanted.unwanted().await;
}

#[tokio::test]
async fn a_group_that_arrives_meanwhile_answers_the_fetch() {
    let track = track();
    let fetcher = track.fetcher();
    let fetch = track.consume().fetch(0);
    let mut wanted = fetcher.next().await;
    track.append_group().write_all(["live"]);
    assert_eq!(wanted.accept().unwrap_err(), TrackError::Duplicate { sequence: 0 });
    assert_eq!(fetch.await.unwrap().frames().await, ["live"]);
}

#[tokio::test]
async fn an_incomplete_group_is_fetched_anew() {
    let track = track();
    let fetcher = track.fetcher();
    drop(track.append_group());
    let fetch = track.consume().fetch(0);
    fetcher.next().await.accept().unwrap().write_all(["whole"]);
    assert_eq!(fetch.await.unwrap().frames().await, ["whole"]);
}

#[tokio::test]
async fn fetched_groups_are_kept_for_a_while() {
    let track = track();
    let fetcher = track.fetcher();
    let began = Instant::now();
    track.tend(began);
    let fetch = track.consume().fetch(3);
    fetcher.next().await.accept().unwrap().write_all(["then"]);
    drop(fetch);
    track.tend(began + Duration::from_millis(4999));
    assert!(track.consume().fetch(3).now_or_never().is_some());
    track.tend(began + Duration::from_secs(5));
    assert!(track.consume().fetch(3).now_or_never().is_none());
}

#[tokio::test]
async fn so_many_groups_are_fetched_and_kept_and_no_more() {
    let track = track();
    let fetcher = track.fetcher();
    let mut fetches: Vec<_> = (0..FETCHES_MAX as u64).map(|sequence| track.consume().fetch(sequence)).collect();
    assert_eq!(code_of(track.consume().fetch(1000)), Some(close::stream::NO_CAPACITY));
    assert!(track.consume().fetch(0).now_or_never().is_none(), "one of those can be joined");
    fetches.pop();
    assert!(track.consume().fetch(1000).now_or_never().is_none());
    drop(fetches);

    for sequence in 0..=FETCHED_MAX as u64 {
        let fetch = track.consume().fetch(sequence);
        fetcher.next().await.accept().unwrap().write_all(["then"]);
        drop(fetch);
    }
    track.tend(Instant::now());
    assert!(track.consume().fetch(0).now_or_never().is_none());
    assert!(track.consume().fetch(1).now_or_never().is_some());
}

#[test]
fn a_track_is_in_use_while_a_group_is_fetched() {
    let track = track();
    let fetcher = track.fetcher();
    let began = Instant::now();
    let fetch = track.consume().fetch(0);
    assert!(!track.tend(began));
    assert!(!track.tend(began + Duration::from_secs(100)));
    drop(fetch);
    assert!(!track.tend(began + Duration::from_secs(101)));
    assert!(track.tend(began + Duration::from_secs(131)));
    drop(fetcher);
}

// ---- from source to source ----

fn begun(track: &Producer, sequence: u64, framing: Framing) -> (group::Consumer, subgroup::Producer) {
    let mut group = track.create_group(sequence).unwrap();
    let mut subgroup = group.subgroup(subgroup::Info::whole(framing)).unwrap();
    let head = Bytes::from_static(&[5]);
    subgroup.append([head, Bytes::from_static(b"ab")], Instant::now()).unwrap();
    (group.consume(), subgroup)
}

#[test]
fn a_group_set_aside_waits_for_its_rest() {
    let track = track();
    let (reading, subgroup) = begun(&track, 3, Framing::Sized);
    track.set_aside(3, subgroup);
    assert_eq!(track.incomplete(), Some(3));
    assert!(!reading.is_ended());
    assert_eq!(track.create_group(3).unwrap_err(), TrackError::Duplicate { sequence: 3 });

    let mut subgroup = track.take_up(3, &subgroup::Info::whole(Framing::Sized)).unwrap();
    assert_eq!(track.incomplete(), None);
    subgroup.append([Bytes::from_static(b"cde")], Instant::now()).unwrap();
    subgroup.finish().unwrap();
    assert_eq!(reading.frames().now_or_never().unwrap(), ["abcde"]);
}

#[test]
fn a_stream_of_another_kind_does_not_continue_a_group() {
    let track = track();
    let (reading, subgroup) = begun(&track, 3, Framing::Sized);
    track.set_aside(3, subgroup);
    assert!(track.take_up(3, &subgroup::Info::whole(Framing::Timed)).is_none());
    assert!(reading.is_cut());
    assert!(track.create_group(3).is_ok(), "it may arrive anew");
}

#[test]
fn nothing_waits_forever_to_be_continued() {
    let track = track();
    let began = Instant::now();
    track.tend(began);
    let (reading, subgroup) = begun(&track, 3, Framing::Sized);
    track.set_aside(3, subgroup);
    track.tend(began + Duration::from_secs(2));
    assert!(!reading.is_ended());
    track.tend(began + Duration::from_secs(4));
    assert_eq!(reading.ending(), Some(Ending::Aborted(close::stream::SESSION_CLOSED)));

    let (reading, subgroup) = begun(&track, 4, Framing::Sized);
    track.set_aside(4, subgroup);
    track.give_up_below(4);
    track.tend(began + Duration::from_secs(6));
    assert!(!reading.is_ended());
    track.give_up_below(5);
    assert!(!reading.is_ended(), "it may have been overtaken");
    track.tend(began + Duration::from_millis(6900));
    assert!(!reading.is_ended());
    track.tend(began + Duration::from_secs(7));
    assert!(reading.is_cut(), "a source said that it begins later");

    let (reading, subgroup) = begun(&track, 5, Framing::Sized);
    let (late, latest) = begun(&track, 6, Framing::Sized);
    track.set_aside(5, subgroup);
    track.abort(CloseCode::new(70));
    track.set_aside(6, latest);
    assert_eq!(reading.ending(), Some(Ending::Aborted(CloseCode::new(70))));
    assert!(late.is_cut(), "there is nobody left to continue it");
}

#[test]
fn without_a_source_groups_wait_as_long_as_the_track() {
    let track = track();
    let began = Instant::now();
    track.tend(began);
    let (reading, subgroup) = begun(&track, 3, Framing::Sized);
    track.hold_aside(true);
    track.set_aside(3, subgroup);
    track.tend(began + Duration::from_secs(60));
    assert!(!reading.is_ended());
    track.hold_aside(false);
    track.tend(began + Duration::from_secs(62));
    assert!(!reading.is_ended(), "the next source has its time too");
    track.tend(began + Duration::from_secs(63));
    assert!(reading.is_cut());
}

#[test]
fn so_many_groups_wait_to_be_continued_and_no_more() {
    let track = track();
    let waiting: Vec<_> = (0..=ASIDE_MAX as u64).map(|sequence| begun(&track, sequence, Framing::Sized)).collect();
    let readings: Vec<_> = waiting
        .into_iter()
        .enumerate()
        .map(|(at, (reading, subgroup))| {
            track.set_aside(at as u64, subgroup);
            reading
        })
        .collect();
    assert!(readings[0].is_cut(), "the oldest goes first");
    assert!(readings[1..].iter().all(|reading| !reading.is_ended()));
    assert_eq!(track.incomplete(), Some(1));
}

#[test]
fn a_track_is_over_when_its_last_group_is() {
    let track = track();
    let (_reading, subgroup) = begun(&track, 0, Framing::Sized);
    track.finish(Some(1));
    assert!(!track.is_over(), "somebody may bring the rest");
    drop(subgroup);
    assert!(track.is_over());
}

#[test]
fn the_newest_of_a_range_are_found_without_the_rest() {
    let track = track();
    for sequence in 0..10 {
        group_at(&track, sequence, 0);
    }
    let reading = track.consume();
    assert_eq!(sequences(&reading.newest_within(2..=8, 3, |sequence| sequence != 7)), [5, 6, 8]);
    assert_eq!(sequences(&reading.newest_within(8..=u64::MAX, 9, |_| true)), [8, 9]);
    #[expect(clippy::reversed_empty_ranges, reason = "what a peer may ask for")]
    let nothing = reading.newest_within(8..=2, 9, |_| true);
    assert!(nothing.is_empty());
}

#[test]
fn what_later_groups_have_overtaken_is_where_another_source_goes_on() {
    let (track, began) = (track(), Instant::now());
    let at = |millis| began + Duration::from_millis(millis);
    let come = |sequence: u64, millis| {
        track.tend(at(millis));
        track.create_group(sequence).unwrap().finish();
    };
    for (sequence, millis) in [(1, 0), (4, 100), (5, 3000), (6, 3100)] {
        come(sequence, millis);
    }
    assert_eq!(track.incomplete(), None, "so long ago that it will not come");
    come(9, 3200);
    assert_eq!(track.incomplete(), Some(7));
    come(7, 3300);
    assert_eq!(track.incomplete(), Some(8));
    come(8, 3400);
    assert_eq!(track.incomplete(), None);
    come(12, 9000);
    assert_eq!(track.incomplete(), Some(10), "also when it was quiet before");
}
