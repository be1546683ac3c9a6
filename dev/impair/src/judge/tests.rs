use std::time::Duration;

use proptest::prelude::*;

use super::*;

const PACKETS: u64 = 100_000;
const MILLI: Duration = Duration::from_millis(1);

/// The verdicts on packets of 1,200 bytes, one a millisecond.
fn verdicts(profile: &str, seed: u64, packets: u64) -> Vec<Verdict> {
    let mut judge = Judge::new(profile.parse().unwrap(), seed);
    (0..packets).map(|packet| judge.judge(MILLI * packet as u32, 1_200)).collect()
}

fn passages(verdicts: &[Verdict]) -> impl Iterator<Item = (usize, Passage)> {
    let passed = |(at, verdict): (usize, &Verdict)| match verdict {
        Verdict::Passed(passage) => Some((at, *passage)),
        Verdict::Lost(_) => None,
    };
    verdicts.iter().enumerate().filter_map(passed)
}

fn share(verdicts: &[Verdict], of: impl Fn(&Verdict) -> bool) -> f64 {
    verdicts.iter().filter(|verdict| of(verdict)).count() as f64 / verdicts.len() as f64
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < expected * 0.1, "{found} instead of about {expected}");
}

#[test]
fn a_good_network_passes_everything_at_once() {
    for (at, verdict) in verdicts("", 7, 1_000).into_iter().enumerate() {
        let at_once = Passage { due: MILLI * at as u32, is_queued: false, is_twice: false, flipped: None };
        assert_eq!(verdict, Verdict::Passed(at_once));
    }
}

#[test]
fn every_share_is_what_was_asked_for() {
    let seen = verdicts("loss=2%,reorder=3%x50ms,duplicate=4%,corrupt=1%,delay=20ms", 7, PACKETS);
    let passed =
        |test: fn(&Passage) -> bool| passages(&seen).filter(|(_, passage)| test(passage)).count() as f64 / PACKETS as f64;
    close(share(&seen, |verdict| *verdict == Verdict::Lost(Cause::Loss)), 0.02);
    close(passed(|passage| passage.is_twice), 0.98 * 0.04);
    close(passed(|passage| passage.flipped.is_some()), 0.98 * 0.01);
    let held_back = passages(&seen).filter(|(at, passage)| passage.due > MILLI * (*at as u32 + 20)).count();
    close(held_back as f64 / PACKETS as f64, 0.98 * 0.03);
    assert!(passages(&seen).all(|(_, passage)| passage.flipped.is_none_or(|bit| bit < 9_600)));
}

#[test]
fn bursts_have_their_share_and_their_length() {
    let seen = verdicts("burst=5%x6", 7, PACKETS);
    let is_burst = |verdict: &Verdict| *verdict == Verdict::Lost(Cause::Burst);
    close(share(&seen, is_burst), 0.05);
    let bursts = seen.windows(2).filter(|pair| !is_burst(&pair[0]) && is_burst(&pair[1])).count();
    close(share(&seen, is_burst) * PACKETS as f64 / bursts as f64, 6.0);
}

#[test]
fn a_burst_passes_with_time_too() {
    // Bursts of a thousand packets, in half of all time: whatever is lost now comes through 200 ms later.
    let mut judge = Judge::new("burst=50%x1000".parse().unwrap(), 7);
    let mut lost = 0;
    for second in 0..200_000 {
        let verdict = judge.judge(Duration::from_secs(second), 1_200);
        if verdict == Verdict::Lost(Cause::Burst) {
            lost += 1;
            let again = judge.judge(Duration::from_secs(second) + BURST_MAX, 1_200);
            assert_ne!(again, Verdict::Lost(Cause::Burst), "{second}");
        }
    }
    assert!(lost > 100, "{lost}");
}

#[test]
fn jitter_spreads_and_keeps_order() {
    let seen = verdicts("delay=20ms,jitter=10ms", 7, 10_000);
    let dues: Vec<_> = passages(&seen).map(|(_, passage)| passage.due).collect();
    assert!(dues.is_sorted());
    let delays = || dues.iter().enumerate().map(|(at, due)| *due - MILLI * at as u32);
    assert!(delays().all(|delay| (20 * MILLI..=30 * MILLI).contains(&delay)));
    assert!(delays().any(|delay| delay < 25 * MILLI) && delays().any(|delay| delay > 29 * MILLI));
}

#[test]
fn a_line_takes_its_rate_and_its_queue_is_bounded() {
    // 9.6 Mbit/s are offered.
    let seen = verdicts("rate=4800k,queue=50ms", 7, 10_000);
    close(share(&seen, |verdict| *verdict == Verdict::Lost(Cause::Overflow)), 0.5);
    for (at, passage) in passages(&seen) {
        let waited = passage.due - MILLI * at as u32;
        assert!(waited <= 52 * MILLI, "packet {at} waits {waited:?}");
    }
    assert_eq!(passages(&seen).filter(|(_, passage)| !passage.is_queued).count(), 1, "only the first finds the line free");

    // Half of what it takes.
    let seen = verdicts("rate=19200k,queue=50ms", 7, 10_000);
    assert!(passages(&seen).all(|(at, passage)| !passage.is_queued && passage.due == MILLI * at as u32 + MILLI / 2));
}

#[test]
fn nothing_passes_a_blackhole_and_everything_before_and_after() {
    let mut judge = Judge::new("blackhole=100ms+50ms".parse().unwrap(), 7);
    judge.blackhole("300ms+10ms".parse().unwrap());
    for at in 0..400u32 {
        let lost = judge.judge(MILLI * at, 1_200) == Verdict::Lost(Cause::Blackhole);
        assert_eq!(lost, (100..150).contains(&at) || (300..310).contains(&at), "at {at} ms");
    }
}

#[test]
fn a_seed_replays_and_another_does_not() {
    let all = "loss=2%,burst=5%x6,delay=20ms,jitter=5ms,reorder=1%,duplicate=1%,corrupt=1%,rate=8M,blackhole=1s+1s";
    assert_eq!(verdicts(all, 7, 10_000), verdicts(all, 7, 10_000));
    assert_ne!(verdicts(all, 7, 10_000), verdicts(all, 8, 10_000));
}

#[test]
fn one_impairment_more_leaves_the_decisions_of_the_others() {
    let lost = |profile: &str| -> Vec<bool> {
        let seen = verdicts(profile, 7, 10_000);
        seen.iter().map(|verdict| *verdict == Verdict::Lost(Cause::Loss)).collect()
    };
    assert_eq!(lost("loss=2%"), lost("loss=2%,jitter=5ms,corrupt=10%,duplicate=10%,reorder=10%"));
}

proptest! {
    /// Whatever the profile and the packets, what passes comes out after it came in, and not too late.
    #[test]
    fn no_packet_is_early_or_waits_beyond_its_bounds(
        seed: u64,
        delay in 0..100u64,
        jitter in 0..100u64,
        queue in 0..100u64,
        gaps in proptest::collection::vec((0..5_000u64, 0..1_500usize), 1..200),
    ) {
        let profile = format!("loss=5%,burst=5%,delay={delay}ms,jitter={jitter}ms,reorder=5%x40ms,rate=1M,queue={queue}ms");
        let mut judge = Judge::new(profile.parse().unwrap(), seed);
        let mut now = Duration::ZERO;
        for (gap, bytes) in gaps {
            now += Duration::from_micros(gap);
            if let Verdict::Passed(passage) = judge.judge(now, bytes) {
                prop_assert!(passage.due >= now + MILLI * delay as u32);
                // 1,500 bytes take the line 12 ms.
                prop_assert!(passage.due <= now + MILLI * (delay + jitter + queue + 12 + 40) as u32);
            }
        }
    }
}
