use std::time::Duration;

use futures::FutureExt;

use super::*;
use crate::model::{cache::Budget, demand::Ask};

fn broadcast() -> (Producer, Consumer) {
    let producer = Producer::new(Budget::new(1 << 30).account());
    let consumer = producer.consume();
    (producer, consumer)
}

fn requested(producer: &Producer) -> Option<track::Request> {
    producer.requested().now_or_never().flatten()
}

fn code_of(lookup: Lookup) -> Option<CloseCode> {
    lookup.now_or_never().expect("answered").err().map(|error| error.code)
}

#[tokio::test]
async fn a_track_is_made_when_somebody_asks_for_it() {
    let (publisher, viewer) = broadcast();
    let mut lookup = viewer.track("video");
    assert!((&mut lookup).now_or_never().is_none());

    let request = publisher.requested().await.unwrap();
    assert_eq!(request.name(), "video");
    let track = request.accept(track::Info::default(), Instant::now());
    let found = lookup.await.unwrap();
    assert_eq!(found.id(), track.consume().id());
    assert_eq!(viewer.track("video").await.unwrap().id(), found.id(), "and is there for the next");
}

#[tokio::test]
async fn those_who_ask_for_the_same_share_one_request() {
    let (publisher, viewer) = broadcast();
    let lookups: Vec<_> = (0..5).map(|_| viewer.track("video")).collect();
    let request = publisher.requested().await.unwrap();
    assert!(requested(&publisher).is_none());
    let later = viewer.track("video");
    let _track = request.accept(track::Info::default(), Instant::now());
    for lookup in lookups.into_iter().chain([later]) {
        assert!(lookup.await.is_ok());
    }
}

#[tokio::test]
async fn the_publishers_refusal_is_told() {
    let (publisher, viewer) = broadcast();
    let (first, second) = (viewer.track("video"), viewer.track("video"));
    publisher.requested().await.unwrap().reject(CloseCode::new(70));
    assert_eq!(code_of(first), Some(CloseCode::new(70)));
    assert_eq!(code_of(second), Some(CloseCode::new(70)));

    let again = viewer.track("video");
    drop(publisher.requested().await.unwrap());
    assert_eq!(code_of(again), Some(close::stream::NOT_FOUND), "no answer is one");
}

#[tokio::test]
async fn a_track_can_be_made_before_or_after_it_is_asked_for() {
    let (publisher, viewer) = broadcast();
    let audio = publisher.create_track("audio", track::Info::default()).unwrap();
    assert_eq!(viewer.track("audio").await.unwrap().id(), audio.consume().id());

    let lookup = viewer.track("video");
    let _video = publisher.create_track("video", track::Info::default()).unwrap();
    assert!(lookup.await.is_ok());
    assert!(requested(&publisher).is_none(), "there is nothing left to ask");
    assert_eq!(publisher.create_track("video", track::Info::default()).unwrap_err(), CreateError::Duplicate);
}

#[tokio::test]
async fn a_request_nobody_waits_for_is_withdrawn() {
    let (publisher, viewer) = broadcast();
    let (one, two) = (viewer.track("video"), viewer.track("video"));
    drop(one);
    assert_eq!(publisher.shared.state.lock().questions.len(), 1, "somebody still waits");
    drop(two);
    assert!(requested(&publisher).is_none());
    assert_eq!(publisher.shared.state.lock().questions.len(), 0);

    let lookup = viewer.track("video");
    let request = publisher.requested().await.unwrap();
    drop(lookup);
    let _track = request.accept(track::Info::default(), Instant::now());
    assert!(viewer.track("video").now_or_never().is_some(), "what the publisher is busy with goes on");
}

#[tokio::test]
async fn a_track_that_failed_is_asked_for_anew() {
    let (publisher, viewer) = broadcast();
    let track = publisher.create_track("video", track::Info::default()).unwrap();
    drop(track);
    let lookup = viewer.track("video");
    let request = publisher.requested().await.unwrap();
    let _track = request.accept(track::Info::default(), Instant::now());
    assert!(lookup.await.is_ok());
}

#[tokio::test]
async fn a_late_answer_does_not_replace_a_track_made_meanwhile() {
    let (publisher, viewer) = broadcast();
    let lookup = viewer.track("video");
    let request = publisher.requested().await.unwrap();
    let made = publisher.create_track("video", track::Info::default()).unwrap();
    let _late = request.accept(track::Info::default(), Instant::now());
    assert_eq!(lookup.await.unwrap().id(), made.consume().id());
    assert_eq!(viewer.track("video").await.unwrap().id(), made.consume().id());
}

#[tokio::test]
async fn requests_end_with_the_last_who_could_ask() {
    let (publisher, viewer) = broadcast();
    let other = viewer.clone();
    let mut waiting = Box::pin(publisher.requested());
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(viewer);
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(other);
    assert!(waiting.await.is_none());
}

#[tokio::test]
async fn an_aborted_broadcast_takes_everything_along() {
    let (publisher, viewer) = broadcast();
    let track = publisher.create_track("audio", track::Info::default()).unwrap();
    let lookup = viewer.track("video");
    let mut closed = Box::pin(viewer.closed());
    assert!(closed.as_mut().now_or_never().is_none());

    publisher.abort(CloseCode::new(70));
    assert_eq!(closed.await, CloseCode::new(70));
    assert_eq!(viewer.ended(), Some(CloseCode::new(70)));
    assert_eq!(track.consume().ended(), Some(Err(CloseCode::new(70))));
    assert_eq!(code_of(lookup), Some(CloseCode::new(70)));
    assert_eq!(code_of(viewer.track("audio")), Some(CloseCode::new(70)));
}

#[tokio::test]
async fn tracks_outlive_a_broadcast_that_was_only_dropped() {
    let (publisher, viewer) = broadcast();
    let track = publisher.create_track("audio", track::Info::default()).unwrap();
    drop(publisher);
    assert_eq!(viewer.closed().await, close::stream::CANCELLED);
    assert_eq!(track.consume().ended(), None);
}

#[test]
fn a_broadcast_has_so_many_tracks_and_no_more() {
    let (publisher, viewer) = broadcast();
    let name = |at: usize| format!("track {at}");
    let mut tracks: Vec<_> =
        (0..TRACKS_MAX).map(|at| publisher.create_track(&name(at), track::Info::default()).unwrap()).collect();
    let refused = publisher.create_track("one more", track::Info::default()).unwrap_err();
    assert_eq!(refused, CreateError::TooMany { max: TRACKS_MAX });
    assert_eq!(code_of(viewer.track("one more")), Some(close::stream::NO_CAPACITY));

    tracks.pop();
    assert!(publisher.create_track("one more", track::Info::default()).is_ok(), "one that failed makes room");
}

#[test]
fn so_many_tracks_are_asked_for_and_no_more() {
    let (publisher, viewer) = broadcast();
    let mut lookups: Vec<_> = (0..REQUESTS_MAX).map(|at| viewer.track(&format!("track {at}"))).collect();
    assert_eq!(code_of(viewer.track("one more")), Some(close::stream::NO_CAPACITY));
    assert!(viewer.track("track 0").now_or_never().is_none(), "one of those can be joined");

    lookups.pop();
    assert!(viewer.track("one more").now_or_never().is_none());
    requested(&publisher).unwrap().reject(CloseCode::new(70));
    assert!(viewer.track("and another").now_or_never().is_none(), "an answer makes room");
}

#[test]
fn names_have_a_longest_length() {
    let (publisher, viewer) = broadcast();
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    let refused = publisher.create_track(&long, track::Info::default()).unwrap_err();
    assert_eq!(refused, CreateError::NameTooLong { length: NAME_BYTES_MAX + 1, max: NAME_BYTES_MAX });
    assert_eq!(code_of(viewer.track(&long)), Some(close::stream::NOT_FOUND));
    assert!(publisher.create_track(&long[1..], track::Info::default()).is_ok());
}

#[tokio::test]
async fn tracks_that_nobody_reads_are_forgotten_in_time() {
    let (publisher, viewer) = broadcast();
    let [read, unread] = ["read", "unread"].map(|name| publisher.create_track(name, track::Info::default()).unwrap());
    let _reader = viewer.track("read").await.unwrap().subscribe(Ask::default());
    let began = Instant::now();
    for seconds in 0..=30 {
        publisher.tend(began + Duration::from_secs(seconds));
    }
    unread.unused().await;
    assert!(read.unused().now_or_never().is_none());
    assert!(viewer.track("read").now_or_never().is_some());
    assert!(viewer.track("unread").now_or_never().is_none(), "it is asked for anew");
}

// ---- heirs ----

fn orphan(name: &str) -> track::Producer {
    track::Producer::new(name, track::Info::default(), &Budget::new(1 << 30).account())
}

#[tokio::test]
async fn a_track_is_handed_over_to_whoever_takes_them() {
    let (publisher, viewer) = broadcast();
    let track = viewer.hand_over(orphan("video")).unwrap_err();
    let mut heir = publisher.heir();
    let asked = viewer.track("video");
    let id = track.consume().id();
    viewer.hand_over(track).unwrap();
    assert_eq!(asked.await.unwrap().id(), id, "whoever asked for one of its name has it");
    assert_eq!(viewer.track("video").await.unwrap().id(), id);

    let taken = heir.next().await;
    assert_eq!(taken.consume().id(), id);
    assert!(requested(&publisher).is_none(), "nothing is left to be asked for");

    viewer.hand_over(orphan("audio")).unwrap();
    assert_eq!(heir.resign().len(), 1, "what was not taken comes back");
    assert!(viewer.hand_over(orphan("audio")).is_err());
}

#[tokio::test]
async fn a_track_of_the_name_that_is_there_stays_the_one_to_be_found() {
    let (publisher, viewer) = broadcast();
    let heir = publisher.heir();
    let own = publisher.create_track("video", track::Info::default()).unwrap();
    let other = orphan("video");
    viewer.hand_over(other).unwrap();
    assert_eq!(viewer.track("video").await.unwrap().id(), own.consume().id());
    assert_ne!(heir.next().await.consume().id(), own.consume().id(), "it is fed all the same");
}

#[test]
fn so_many_tracks_wait_to_be_taken_over_and_no_more() {
    let (publisher, viewer) = broadcast();
    let _heir = publisher.heir();
    for _ in 0..TRACKS_MAX {
        viewer.hand_over(orphan("video")).unwrap();
    }
    assert!(viewer.hand_over(orphan("video")).is_err());
    drop(publisher);
}

// ---- further down ----

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn prefix() -> (Producer, Consumer) {
    let producer = Producer::for_prefix(Budget::new(1 << 30).account());
    let consumer = producer.consume();
    (producer, consumer)
}

#[tokio::test]
async fn a_track_further_down_is_asked_for_with_how_far_that_is() {
    let (publisher, viewer) = prefix();
    let here = publisher.create_track("video", track::Info::default()).unwrap();
    let [alice, cam] = ["alice", "alice/cam"].map(|at| viewer.below(&path(at)).unwrap());
    let (lookup, joined) = (cam.track("video"), alice.below(&path("cam")).unwrap().track("video"));
    let other = alice.track("video");
    let request = publisher.requested().await.unwrap();
    assert_eq!((request.below(), request.name()), (&path("alice/cam"), "video"));
    let track = request.accept(track::Info::default(), Instant::now());
    assert_eq!(track.below(), &path("alice/cam"));
    for found in [lookup.await, joined.await, cam.track("video").await] {
        assert_eq!(found.unwrap().id(), track.consume().id());
    }
    publisher.requested().await.unwrap().reject(CloseCode::new(70));
    assert_eq!(code_of(other), Some(CloseCode::new(70)));
    assert_eq!(viewer.track("video").await.unwrap().id(), here.consume().id(), "neither stands for the other");
}

#[test]
fn a_broadcast_of_one_path_has_nothing_below() {
    let (_publisher, viewer) = broadcast();
    assert!(viewer.below(&path("alice")).is_none());
    assert_eq!(viewer.below(&Path::root()).map(|same| same.id()), Some(viewer.id()));
}

#[test]
fn limits_are_shared_with_what_lies_below() {
    let (publisher, viewer) = prefix();
    let below = |at: usize| viewer.below(&path(&at.to_string())).unwrap();
    let mut lookups: Vec<_> = (0..REQUESTS_MAX).map(|at| below(at).track("video")).collect();
    assert_eq!(code_of(viewer.track("video")), Some(close::stream::NO_CAPACITY));
    assert_eq!(code_of(below(REQUESTS_MAX).track("video")), Some(close::stream::NO_CAPACITY));
    lookups.pop();
    assert!(below(REQUESTS_MAX).track("video").now_or_never().is_none(), "a request withdrawn makes room");
    drop(lookups);

    let mut tracks = Vec::new();
    for at in 0..TRACKS_MAX {
        let _lookup = below(at).track("video");
        tracks.push(requested(&publisher).unwrap().accept(track::Info::default(), Instant::now()));
    }
    let refused = publisher.create_track("video", track::Info::default()).unwrap_err();
    assert_eq!(refused, CreateError::TooMany { max: TRACKS_MAX });
    assert_eq!(code_of(below(TRACKS_MAX).track("video")), Some(close::stream::NO_CAPACITY));
}

#[tokio::test]
async fn tracks_further_down_are_forgotten_in_time_too() {
    let (publisher, viewer) = prefix();
    let below = viewer.below(&path("alice")).unwrap();
    let lookup = below.track("video");
    let track = publisher.requested().await.unwrap().accept(track::Info::default(), Instant::now());
    drop(lookup);
    let now = Instant::now();
    publisher.tend(now);
    publisher.tend(now + Duration::from_secs(3600));
    assert!(track.unused().now_or_never().is_some());
    assert!(below.track("video").now_or_never().is_none(), "asked for anew");
}

#[tokio::test]
async fn a_track_further_down_is_handed_over_to_who_serves_it_and_is_found_there() {
    let (publisher, viewer) = prefix();
    let lookup = viewer.below(&path("alice")).unwrap().track("video");
    let track = publisher.requested().await.unwrap().accept(track::Info::default(), Instant::now());
    let id = lookup.await.unwrap().id();

    let (exact, elsewhere) = broadcast();
    let _heir = exact.heir();
    let track = elsewhere.hand_over(track).unwrap_err();
    let (twin, there) = prefix();
    let heir = twin.heir();
    there.hand_over(track).unwrap();
    let taken = heir.next().await;
    assert_eq!(taken.below(), &path("alice"));
    assert_eq!(there.below(&path("alice")).unwrap().track("video").await.unwrap().id(), id);
    assert!(there.track("video").now_or_never().is_none());
}
