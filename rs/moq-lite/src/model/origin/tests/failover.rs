//! From one source of a broadcast to the next.

use std::time::{Duration, Instant};

use super::*;
use crate::model::track;

fn lost(name: &str) -> track::Producer {
    track::Producer::new(name, track::Info::default(), &Budget::new(1 << 20).account())
}

#[test]
fn a_track_goes_to_the_best_source_of_the_same_publisher() {
    let origin = origin();
    let [failed, far, near, other] = [(); 4].map(|()| publisher(&origin));
    let broadcasts = [(); 4].map(|()| broadcast());
    let heirs = broadcasts.each_ref().map(broadcast::Producer::heir);
    let routes = [route(&[7]), route(&[7, 5, 6]), route(&[7, 5]), route(&[8])];
    let announced: Vec<_> = [&failed, &far, &near, &other]
        .into_iter()
        .zip(routes)
        .zip(&broadcasts)
        .map(|((door, route), broadcast)| door.publish(&path("room"), route, broadcast.consume()).unwrap())
        .collect();

    failed.hand_over(&path("room"), hop(7), lost("video")).unwrap();
    assert!(heirs[2].next().now_or_never().is_some(), "the nearest");
    drop(announced);
    assert!(failed.hand_over(&path("room"), hop(7), lost("video")).is_err());
}

#[test]
fn a_track_is_kept_until_its_publisher_is_back() {
    let origin = origin();
    let door = publisher(&origin);
    assert!(door.keep_orphan(&path("room"), hop(7), lost("video")).is_err(), "not unless told to");
    origin.keep_orphans(Duration::from_secs(10));
    let track = lost("video");
    let reading = track.consume();
    door.keep_orphan(&path("room"), hop(7), track).unwrap();

    let (stranger, elsewhere, back) = (broadcast(), broadcast(), broadcast());
    let heirs = [&stranger, &elsewhere, &back].map(broadcast::Producer::heir);
    let announce = |at, hops, broadcast: &broadcast::Producer| door.publish(&path(at), route(hops), broadcast.consume()).unwrap();
    let _stranger = announce("room", &[8], &stranger);
    let _elsewhere = announce("room/2", &[7], &elsewhere);
    let _back = announce("room", &[7, 5], &back);
    assert!(heirs[0].next().now_or_never().is_none());
    assert!(heirs[1].next().now_or_never().is_none());
    let taken = heirs[2].next().now_or_never().unwrap();
    assert_eq!(taken.consume().id(), reading.id());
    assert_eq!(reading.ended(), None);
}

#[test]
fn whoever_takes_the_name_of_a_publisher_does_not_get_its_tracks() {
    let origin = origin();
    let of = |identity: &[u8]| Horizon { principal: Some(Principal::new(identity)), ..Horizon::new() };
    let door = |peer: Horizon| origin.producer(Path::root(), vec![Path::root()], peer);
    origin.keep_orphans(Duration::from_secs(10));
    let (failed, thief, twin, back) = (door(of(b"alice")), door(of(b"mallory")), door(of(b"alice")), door(of(b"alice")));
    let broadcasts = [(); 3].map(|()| broadcast());
    let heirs = broadcasts.each_ref().map(broadcast::Producer::heir);
    let announce = |door: &Producer, at: usize| door.publish(&path("room"), route(&[7]), broadcasts[at].consume()).unwrap();

    let own = announce(&failed, 0);
    let _stolen = announce(&thief, 1);
    let second = announce(&twin, 2);
    failed.hand_over(&path("room"), hop(7), lost("video")).unwrap();
    assert!(heirs[2].next().now_or_never().is_some());
    drop((own, second));

    let track = failed.hand_over(&path("room"), hop(7), lost("video")).unwrap_err();
    failed.keep_orphan(&path("room"), hop(7), track).unwrap();
    let _again = announce(&thief, 1);
    assert!(heirs[1].next().now_or_never().is_none());
    let _back = announce(&back, 2);
    assert!(heirs[2].next().now_or_never().is_some());
}

#[test]
fn a_track_whose_publisher_stays_away_ends() {
    let origin = origin();
    let door = publisher(&origin);
    origin.keep_orphans(Duration::from_secs(10));
    let track = lost("video");
    let reading = track.consume();
    let _asked = reading.subscribe(crate::model::demand::Ask::default());
    door.keep_orphan(&path("room"), hop(7), track).unwrap();
    let began = Instant::now();
    origin.tend(began);
    origin.tend(began + Duration::from_secs(9));
    assert_eq!(reading.ended(), None);
    origin.tend(began + Duration::from_secs(10));
    assert_eq!(reading.ended(), Some(Err(close::stream::SESSION_CLOSED)));
}

#[test]
fn so_many_tracks_are_kept_and_no_more() {
    let origin = origin();
    let door = publisher(&origin);
    origin.keep_orphans(Duration::from_secs(10));
    for _ in 0..ORPHANS_MAX {
        door.keep_orphan(&path("room"), hop(7), lost("video")).unwrap();
    }
    assert!(door.keep_orphan(&path("room"), hop(7), lost("video")).is_err());
}

#[test]
fn whoever_waits_for_a_path_hears_of_each_that_serves_it_and_of_none_else() {
    let origin = origin();
    let (door, view) = (publisher(&origin), viewer(&origin));
    let at = path("room/2");
    let serves = |known| view.served_anew(&at, known).now_or_never().is_some();
    let waiting = |known| Box::pin(view.served_anew(&at, known));
    let (above, far, near) = (broadcast::Producer::for_prefix(Budget::new(1 << 20).account()), broadcast(), broadcast());
    let [top, first, second] = [&above, &far, &near].map(|broadcast| Some(broadcast.id()));

    let mut waits = waiting(None);
    assert!((&mut waits).now_or_never().is_none());
    let _aside = publish(&door, "room/3", route(&[7]));
    assert!((&mut waits).now_or_never().is_none(), "another path");
    let _above = door.publish(&path("room"), route(&[7]), above.consume()).unwrap();
    assert!(waits.now_or_never().is_some(), "from above");

    let mut waits = waiting(top);
    let mut _far = door.publish(&at, route(&[7, 5, 6]), far.consume()).unwrap();
    assert!((&mut waits).now_or_never().is_some(), "nearer");
    assert!(serves(top) && !serves(first));
    let mut waits = waiting(first);
    let near = door.publish(&at, route(&[7, 5]), near.consume()).unwrap();
    assert!((&mut waits).now_or_never().is_some(), "a better way");
    assert!(!serves(second));
    drop(near);
    assert!(serves(second) && !serves(first));
}
