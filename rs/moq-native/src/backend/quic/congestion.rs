//! Congestion control: Cubic, with an eye for losses that are no congestion, and a way through silence.
//!
//! Cubic takes each loss for a full queue. On a path that loses 2 % by itself its window soon holds less than a video needs. So
//! losses are passed on to it only when they come with a queue, which shows in the round trips, or are more than what radio
//! loses; both are what a full queue looks like, whether deep or shallow.
//!
//! Beside a flow of plain Cubic, on a line of 17 Mbit/s with a round trip of 40 ms, one of these gets its half: 42 to 55 %
//! measured with queues of 100 and of 20 ms, where two of plain Cubic part at 46 to 54 %; the 99th percentile of the round trip is
//! the full queue's in each case (140 and 70 ms). At 1 % loss it takes what Cubic leaves: 9.6 Mbit/s beside 3.0, where each of two
//! has 2.8. A queue of 10 ms or less it cannot tell from jitter, and takes about four fifths there. Half of [`JITTER`] would tell
//! them apart, and fail a video on a path with 1 % loss and a jitter of 5 ms.
//!
//! What silence does is in `silence`. That a loss without a queue is none of congestion's is the idea of TCP Veno (Fu and Liew,
//! 2003). Spec: RFC 9438 (Cubic, which is quinn's).

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;

use super::silence::Silence;

/// What a path may lose without that being congestion: one byte in so many.
const TOLERATED: u64 = 12;

/// Bytes of which the tolerated part is, at least: a handful of packets says nothing yet.
const SAMPLE: u64 = 64 * 1024;

/// How long what was lost and what arrived counts in full.
const MEMORY: Duration = Duration::from_secs(1);

/// How much longer than the shortest round trip the usual one is without there being a queue: a quarter, or this.
const JITTER: Duration = Duration::from_millis(10);

/// Makes the controllers of connections.
#[derive(Debug)]
pub(crate) struct Congestion;

impl ControllerFactory for Congestion {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Watched {
            inner: cubic(now, current_mtu),
            losses: Losses::new(now),
            silence: Silence::new(now, current_mtu),
            began: now,
        })
    }
}

fn cubic(now: Instant, mtu: u16) -> Box<dyn Controller> {
    Arc::new(CubicConfig::default()).build(now, mtu)
}

/// A controller that hears of the losses that matter, and is helped out of silence.
struct Watched {
    inner: Box<dyn Controller>,
    losses: Losses,
    silence: Silence,
    /// When `inner` was new.
    began: Instant,
}

/// What was lost of late, and whether there is a queue.
#[derive(Clone, Copy, Debug)]
struct Losses {
    /// Bytes, halved every [`MEMORY`].
    arrived: u64,
    lost: u64,
    halved: Instant,
    is_queueing: bool,
}

impl Losses {
    fn new(now: Instant) -> Self {
        Self { arrived: 0, lost: 0, halved: now, is_queueing: false }
    }

    fn age(&mut self, now: Instant) {
        if now.saturating_duration_since(self.halved) >= MEMORY {
            (self.arrived, self.lost, self.halved) = (self.arrived / 2, self.lost / 2, now);
        }
    }

    /// So many bytes arrived, on a path with this usual and this shortest round trip.
    fn arrived(&mut self, now: Instant, bytes: u64, usual: Duration, shortest: Duration) {
        self.age(now);
        self.arrived += bytes;
        self.is_queueing = usual > shortest + JITTER.max(shortest / 4);
    }

    /// So many bytes were lost. Returns whether that is congestion.
    fn lost(&mut self, now: Instant, bytes: u64) -> bool {
        self.age(now);
        self.lost += bytes;
        self.is_queueing || self.lost * TOLERATED > (self.arrived + self.lost).max(SAMPLE)
    }
}

impl Controller for Watched {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.silence.sent(now, bytes);
        self.inner.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.losses.arrived(now, bytes, rtt.get(), rtt.min());
        self.silence.acked(now.saturating_duration_since(sent), rtt.get());
        self.inner.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest_packet_num_acked: Option<u64>) {
        self.silence.acked_all(now, in_flight);
        self.inner.on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent_congestion: bool, lost_bytes: u64) {
        self.silence.lost(lost_bytes);
        if sent < self.began {
            // Of before the silence.
        } else if is_persistent_congestion && self.silence.is_over() {
            (self.inner, self.losses, self.began) = (cubic(now, self.silence.mtu()), Losses::new(now), now);
        } else if lost_bytes == 0 || self.losses.lost(now, lost_bytes) || is_persistent_congestion {
            // Without a loss it is the network itself that tells of a queue.
            self.inner.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.silence.set_mtu(new_mtu);
        self.inner.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.silence.widen(self.inner.window(), Instant::now)
    }

    fn metrics(&self) -> ControllerMetrics {
        self.inner.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self { inner: self.inner.clone_box(), losses: self.losses, silence: self.silence, began: self.began })
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);
    const PACKET: u64 = 1_200;

    /// Of 2,000 packets in 10 s one in `every` is lost, on a path of 40 ms with a queue of `queue`: which of the losses count?
    fn counted(every: u64, queue: Duration) -> (u64, u64) {
        let began = Instant::now();
        let (mut losses, mut counted, mut lost) = (Losses::new(began), 0, 0);
        for packet in 0..2_000 {
            let now = began + 5 * MILLI * packet as u32;
            if packet % every == every - 1 {
                lost += 1;
                counted += u64::from(losses.lost(now, PACKET));
            } else {
                losses.arrived(now, PACKET, 40 * MILLI + queue, 40 * MILLI);
            }
        }
        (counted, lost)
    }

    #[test]
    fn losses_count_when_there_is_a_queue_or_they_are_many() {
        let (short, long) = (5 * MILLI, 11 * MILLI);
        assert_eq!(counted(50, short), (0, 40), "2 %");
        assert_eq!(counted(20, short), (0, 100), "5 %");
        assert_eq!(counted(50, long), (40, 40), "2 % and a queue");
        let (counted, lost) = counted(8, short);
        assert!(counted > lost * 9 / 10, "12 %: {counted} of {lost}");
    }

    #[test]
    fn what_was_lost_long_ago_is_forgotten() {
        let began = Instant::now();
        let mut losses = Losses::new(began);
        assert!(losses.lost(began, SAMPLE));
        for second in 1..=20 {
            losses.arrived(began + MEMORY * second, PACKET, MILLI, MILLI);
        }
        assert!(!losses.lost(began + MEMORY * 21, PACKET));
    }

    #[test]
    fn cubic_hears_of_congestion_and_of_nothing_else() {
        let (now, mtu) = (Instant::now(), 1_200);
        for (is_persistent, lost_bytes, is_heard) in
            [(false, PACKET, false), (false, SAMPLE, true), (true, PACKET, true), (false, 0, true)]
        {
            let mut controller = Arc::new(Congestion).build(now, mtu);
            let before = controller.window();
            controller.on_congestion_event(now + MILLI, now, is_persistent, lost_bytes);
            assert_eq!(controller.window() < before, is_heard, "{lost_bytes} bytes");
            assert_eq!(controller.clone_box().window(), controller.window());
        }
    }

    #[test]
    fn after_a_silence_that_lost_everything_it_begins_anew() {
        let (began, mtu) = (Instant::now(), 1_200);
        let at = |millis| began + MILLI * millis;
        let mut controller = Arc::new(Congestion).build(began, mtu);
        let anew = controller.window();
        controller.on_end_acks(at(100), 0, false, None);
        controller.on_congestion_event(at(100), at(50), true, PACKET);
        assert!(controller.window() < anew, "congestion without silence");

        controller.on_end_acks(at(2_000), 0, false, None);
        controller.on_congestion_event(at(2_000), at(1_500), true, SAMPLE);
        assert_eq!(controller.window(), anew);
        controller.on_congestion_event(at(2_010), at(1_900), false, SAMPLE);
        assert_eq!(controller.window(), anew, "what was lost in the silence counts once");
        controller.on_end_acks(at(2_040), 0, false, None);
        controller.on_congestion_event(at(2_040), at(2_001), true, PACKET);
        assert!(controller.window() < anew, "congestion after it");
    }
}
