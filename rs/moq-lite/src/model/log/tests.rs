use std::{sync::Weak, thread};

use proptest::prelude::*;

use super::*;
use crate::model::{
    bell::{Ringer, Tower},
    cache::{Budget, Evict},
};

struct Nothing;

impl Evict for Nothing {
    fn evict(&self) {}
}

fn writer() -> Writer {
    let account = Budget::new(1 << 30).account();
    Writer::new(Arc::new(account.charge(Weak::<Nothing>::new())))
}

fn slices(log: &Log, cursor: u64, until: Option<u64>) -> Vec<Bytes> {
    let mut slices = Vec::new();
    let read = log.unread(cursor, until, |slice| slices.push(slice));
    assert_eq!(read, slices.iter().map(|slice| slice.len() as u64).sum::<u64>());
    assert!(slices.len() <= SLICES_MAX);
    assert!(slices.iter().all(|slice| (1..=SLICE_BYTES_MAX).contains(&slice.len())));
    slices
}

/// Everything from `cursor` on, however many reads that takes.
fn rest(log: &Log, mut cursor: u64) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let read = slices(log, cursor, None).concat();
        if read.is_empty() {
            return all;
        }
        cursor += read.len() as u64;
        all.extend(read);
    }
}

/// `len` bytes that differ from their neighbours.
fn pattern(len: usize) -> Bytes {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[test]
fn bytes_can_be_read_as_soon_as_they_are_appended() {
    let mut writer = writer();
    let log = writer.log();
    assert!(log.is_empty());
    writer.append(&["ab".into(), "c".into()]).unwrap();
    assert_eq!(slices(&log, 0, None).concat(), b"abc");
    writer.append(&["def".into()]).unwrap();
    assert_eq!(slices(&log, 3, None).concat(), b"def");
    assert_eq!(slices(&log, 2, Some(5)).concat(), b"cde");
    assert!(slices(&log, 6, None).is_empty(), "caught up");
    assert!(slices(&log, 4, Some(4)).is_empty(), "that is all it wants");
}

#[test]
fn the_end_is_the_end_for_those_who_have_it_all() {
    let mut writer = writer();
    let log = writer.log();
    writer.append(&["abc".into()]).unwrap();
    assert_eq!((log.ending(), log.ending_at(3)), (None, None));
    writer.finish().unwrap();
    assert_eq!(log.ending(), Some(Ending::Finished));
    assert_eq!((log.ending_at(2), log.ending_at(3)), (None, Some(Ending::Finished)));
}

#[test]
fn an_abort_leaves_what_was_said() {
    let mut aborted = writer();
    let log = aborted.log();
    aborted.append(&["abc".into()]).unwrap();
    aborted.abort(CloseCode::new(70));
    assert_eq!(rest(&log, 0), b"abc");
    assert_eq!(log.ending_at(3), Some(Ending::Aborted(CloseCode::new(70))));

    let dropped = writer();
    let log = dropped.log();
    drop(dropped);
    assert_eq!(log.ending(), Some(Ending::Aborted(close::stream::CANCELLED)));
}

#[test]
fn eviction_cuts_those_who_lack_something() {
    let mut open = writer();
    let log = open.log();
    open.append(&["abc".into()]).unwrap();
    log.evict();
    assert!(slices(&log, 0, None).is_empty());
    assert_eq!(log.ending_at(3), Some(Ending::Aborted(close::stream::EVICTED)), "there could have been more");
    assert_eq!(open.append(&["d".into()]), Err(Evicted));
    assert_eq!(open.finish(), Err(Evicted));

    let mut finished = writer();
    let log = finished.log();
    finished.append(&["abc".into()]).unwrap();
    finished.finish().unwrap();
    log.evict();
    assert_eq!(log.ending_at(3), Some(Ending::Finished));
    assert_eq!(log.ending_at(2), Some(Ending::Aborted(close::stream::EVICTED)));
}

#[test]
fn who_comes_late_reads_few_large_slices() {
    let mut writer = writer();
    let log = writer.log();
    let sent = pattern(300_000);
    for packet in sent.chunks(1200) {
        writer.append(&[Bytes::copy_from_slice(packet)]).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(rest(&log, 0), sent);
    let whole: Vec<_> = slices(&log, 0, None);
    assert!(whole.concat().len() > 256 * 1024, "one read of 250 packets");
}

#[test]
fn an_open_page_is_read_as_it_grows_and_again_once_it_is_full() {
    let mut writer = writer();
    let log = writer.log();
    let sent = pattern(2 * SLICE_BYTES_MAX);
    let mut seen = Vec::new();
    for packet in sent.chunks(100) {
        writer.append(&[Bytes::copy_from_slice(packet)]).unwrap();
        seen.extend(rest(&log, seen.len() as u64));
        assert_eq!(log.len(), seen.len() as u64);
    }
    assert_eq!(seen, sent);
    assert_eq!(rest(&log, 0), sent);
}

#[test]
fn one_read_hands_out_so_many_slices_and_no_more() {
    let mut writer = writer();
    let chunk = pattern(KEEP_BYTES_MIN);
    for _ in 0..20 {
        writer.append(std::slice::from_ref(&chunk)).unwrap();
    }
    let log = writer.log();
    assert_eq!(slices(&log, 0, None).len(), SLICES_MAX);
    assert_eq!(slices(&log, (SLICES_MAX * KEEP_BYTES_MIN) as u64, None).len(), 20 - SLICES_MAX);
}

#[test]
fn large_chunks_are_not_copied() {
    let mut writer = writer();
    let large = pattern(80_000);
    writer.append(&["head".into(), large.clone(), "tail".into()]).unwrap();
    let read = slices(&writer.log(), 0, None);
    let lengths: Vec<_> = read.iter().map(Bytes::len).collect();
    assert_eq!(lengths, [4, SLICE_BYTES_MAX, SLICE_BYTES_MAX, 80_000 - 2 * SLICE_BYTES_MAX, 4]);
    assert_eq!(read[1].as_ptr(), large.as_ptr());
}

#[test]
fn the_charge_ends_with_the_last_reader() {
    let budget = Budget::new(4000);
    let charge = budget.account().charge(Weak::<Nothing>::new());
    charge.grow(900).unwrap();
    let writer = Writer::new(Arc::new(charge));
    let log = writer.log();
    drop(writer);
    assert_eq!(budget.used(), 900);
    drop(log);
    assert_eq!(budget.used(), 0);
}

#[test]
fn an_open_page_has_so_many_pieces_and_no_more() {
    let mut writer = writer();
    let log = writer.log();
    let sent = pattern(10_000);
    let mut seen = Vec::new();
    for at in 0..sent.len() {
        writer.append(&[sent.slice(at..=at)]).unwrap();
        seen.extend(rest(&log, at as u64));
        assert!(writer.shared.slices.lock().len() <= 20 + OPEN_PIECES_MAX, "at byte {at}");
    }
    assert_eq!(seen, sent);
    assert_eq!(rest(&log, 0), sent);
}

proptest! {
    #[test]
    fn any_chunks_read_from_anywhere_are_the_bytes_appended(
        bursts in prop::collection::vec(prop::collection::vec(prop_oneof![9 => 0usize..3000, 1 => 8_000usize..70_000], 0..5), 0..12),
        from in any::<prop::sample::Index>(),
        finished: bool,
    ) {
        let sent = pattern(bursts.iter().flatten().sum());
        let mut writer = writer();
        let log = writer.log();
        let (mut live, mut at) = (Vec::new(), 0);
        for burst in bursts {
            let chunks: Vec<_> = burst.iter().map(|&len| { at += len; sent.slice(at - len..at) }).collect();
            writer.append(&chunks).unwrap();
            live.extend(rest(&log, live.len() as u64));
            prop_assert_eq!(log.len(), at as u64);
        }
        if finished {
            writer.finish().unwrap();
        }
        prop_assert_eq!(&live, &sent);
        let from = from.index(sent.len() + 1);
        prop_assert_eq!(&rest(&log, from as u64), &sent[from..]);
    }
}

#[test]
fn readers_on_other_threads_get_every_byte_in_order() {
    const BYTES: usize = 1 << 20;
    let tower = Arc::new(Tower::default());
    let mut writer = writer();
    let log = writer.log();
    let sent = pattern(BYTES);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (log, ringer) = (log.clone(), Ringer::new());
                let bell = tower.attach(&ringer, 0);
                scope.spawn(move || {
                    let (mut seen, mut rung) = (Vec::new(), Vec::new());
                    let unpark = futures::task::waker(Arc::new(Unpark(thread::current())));
                    while !log.ends_at(seen.len() as u64) {
                        // Nothing is read unless it rings.
                        let cx = &mut std::task::Context::from_waker(&unpark);
                        while ringer.poll_rung(cx).is_pending() {
                            thread::park();
                        }
                        ringer.take_rung(&mut rung);
                        seen.extend(rest(&log, seen.len() as u64));
                    }
                    drop(bell);
                    seen
                })
            })
            .collect();
        for burst in sent.chunks(997) {
            writer.append(&[Bytes::copy_from_slice(burst)]).unwrap();
            tower.ring();
        }
        writer.finish().unwrap();
        tower.ring();
        for reader in readers {
            assert!(reader.join().unwrap() == sent);
        }
    });
}

struct Unpark(thread::Thread);

impl futures::task::ArcWake for Unpark {
    fn wake_by_ref(this: &Arc<Self>) {
        this.0.unpark();
    }
}

#[test]
fn eviction_on_another_thread_never_shows_wrong_bytes() {
    for _ in 0..50 {
        let mut writer = writer();
        let log = writer.log();
        let sent = pattern(200_000);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut seen = Vec::new();
                while log.ending_at(seen.len() as u64).is_none() {
                    seen.extend(rest(&log, seen.len() as u64));
                }
                seen
            });
            let evicted = log.clone();
            scope.spawn(move || evicted.evict());
            for burst in sent.chunks(5000) {
                if writer.append(&[Bytes::copy_from_slice(burst)]).is_err() {
                    break;
                }
            }
            let seen = reader.join().unwrap();
            assert!(sent.starts_with(&seen));
        });
        assert_eq!(log.ending(), Some(Ending::Aborted(close::stream::EVICTED)));
    }
}
