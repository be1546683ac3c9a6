use moq_lite::model::{
    cache::Budget,
    demand::{Ask, Start},
    track,
};

use super::*;

const SOON: Duration = Duration::from_millis(10);

fn queue(next: Option<u64>) -> (Queue<char>, Instant) {
    (Queue::new(next, PATIENCE), Instant::now())
}

#[test]
fn groups_take_turns_however_they_came() {
    let (mut queue, now) = queue(None);
    queue.put(7, 'a', now);
    assert_eq!(queue.take(now, false), Some((7, 'a')), "the first to come begins");
    queue.put(9, 'c', now);
    assert_eq!(queue.take(now, false), None, "8 may be on its way");
    queue.put(8, 'b', now);
    assert_eq!(queue.take(now, false), Some((8, 'b')));
    assert_eq!(queue.take(now, false), Some((9, 'c')));
    assert_eq!(queue.skipped, 0);
}

#[test]
fn a_group_that_does_not_come_is_waited_for_and_then_left_out() {
    let (mut queue, began) = queue(Some(3));
    queue.put(5, 'e', began);
    assert_eq!(queue.take(began + PATIENCE - SOON, false), None);
    assert_eq!(queue.take(began + PATIENCE, false), Some((5, 'e')));
    assert_eq!(queue.skipped, 2);
    queue.put(4, 'd', began + PATIENCE);
    assert_eq!(queue.take(began + 3 * PATIENCE, true), None, "it comes too late");
    assert_eq!(queue.skipped, 2, "and was counted before");
}

#[test]
fn at_the_end_nothing_is_waited_for() {
    let (mut queue, now) = queue(Some(0));
    queue.put(4, 'b', now);
    queue.put(2, 'a', now);
    assert_eq!(queue.take(now, true), Some((2, 'a')));
    assert_eq!(queue.take(now, true), Some((4, 'b')));
    assert_eq!(queue.take(now, true), None);
}

#[test]
fn no_more_wait_than_may() {
    let (mut queue, now) = queue(None);
    for sequence in 0..=WAITING_MAX as u64 {
        queue.put(sequence, 'x', now);
    }
    assert_eq!(queue.waiting.len(), WAITING_MAX);
    assert_eq!(queue.take(now, false), Some((1, 'x')));
}

fn subscribed(max_age: Option<Duration>) -> (track::Producer, Ordered) {
    let track = track::Producer::new("track", track::Info::default(), &Budget::new(1 << 20).account());
    let ask = Ask { start: Start::At(0), max_age: None, ..Ask::default() };
    let ordered = Ordered::new(track.consume().subscribe(ask), Some(0), max_age);
    (track, ordered)
}

/// All that comes, as a line each.
async fn all(ordered: &mut Ordered) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        told.push(match ordered.next().await {
            Piece::Group { group } => format!("group {group}"),
            Piece::Frame { group, frame, content } => {
                format!("{group}/{frame} {}", String::from_utf8_lossy(&content.payload))
            }
            Piece::Ended { group, frames, whole } => format!("end {group} {frames} {whole}"),
            Piece::Over => return told,
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_track_is_read_group_after_group_to_its_end() {
    let (track, mut ordered) = subscribed(None);
    track.create_group(1).unwrap().write_all(["c"]);
    track.create_group(0).unwrap().write_all(["a", "b"]);
    track.finish(None);

    let expected = ["group 0", "0/0 a", "0/1 b", "end 0 2 true", "group 1", "1/0 c", "end 1 1 true"];
    assert_eq!(all(&mut ordered).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_cut_off_is_not_whole() {
    let (track, mut ordered) = subscribed(None);
    let mut group = track.append_group();
    group.write_frame("a", None).unwrap();
    assert!(matches!(ordered.next().await, Piece::Group { group: 0 }));
    group.abort(moq_proto::CloseCode::new(77));
    track.finish(None);

    assert_eq!(all(&mut ordered).await, ["0/0 a", "end 0 1 false"]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_hangs_is_left_once_others_have_waited_for_it() {
    let (track, mut ordered) = subscribed(Some(Duration::from_secs(3)));
    let mut hangs = track.append_group();
    hangs.write_frame("a", None).unwrap();
    track.append_group().write_all(["b"]);
    track.finish(None);

    let began = tokio::time::Instant::now();
    assert_eq!(all(&mut ordered).await, ["group 0", "0/0 a", "end 0 1 false", "group 1", "1/0 b", "end 1 1 true"]);
    assert!(began.elapsed() >= Duration::from_secs(3) - SOON, "{:?}", began.elapsed());
    assert_eq!(ordered.skipped(), 1);
}
