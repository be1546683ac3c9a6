//! Silence: what is sent beyond the congestion window while nothing is acknowledged, and when something is again.
//!
//! While a path is silent, loss recovery probes it in intervals that double: after two seconds it may take two more until it
//! finds that the path is back. A packet every now and then, if there is something to send, finds it out in time; they are few,
//! and end with the connection's idle timeout.
//!
//! The first sign of life may be an acknowledgement of what was sent long before. It tells nothing of the packets after, which
//! fill the window, so that nothing can be sent that would tell more; and loss recovery takes the silence for a round trip, so
//! that its own probe is due only seconds later. Such a late acknowledgement therefore opens the window for a few packets: one
//! round trip later it is known what was lost.
//!
//! If that was all of it, nothing is known of the path any more, and congestion control begins anew: like that of a connection
//! which the peer would open by dialling again, rather than with the two packets of a path known to be congested.
//!
//! Decides only. Spec: RFC 9002, sections 6.2 (probe timeout), 7.2 (initial window), 7.5 (probes may exceed the congestion window)
//! and 7.6 (persistent congestion), from whose doubling and minimum this departs as said, and only in and after a silence.

use std::time::{Duration, Instant};

/// Age from which an acknowledged packet may tell of silence, and how long nothing is acknowledged in one. Shorter ones end
/// without help.
const LATE: Duration = Duration::from_millis(500);

/// And how many round trips it has to be, so that a path with a long one is not taken for silent.
const LATE_ROUND_TRIPS: u32 = 4;

/// Packets sent beyond the window: as many as loss recovery's own probes.
const PROBES: u64 = 2;

/// From one packet to the next on a silent path. Four a second are less than the sound of a call.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// What was heard and sent last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    mtu: u16,
    round_trip: Duration,
    heard: Instant,
    sent: Instant,
    /// Bytes in flight, at most.
    in_flight: u64,
    /// Whether some packet of the acknowledgement under way was late.
    is_late: bool,
    /// Whether the acknowledgement under way ends a silence.
    is_back: bool,
    /// Bytes that may be in flight until the next acknowledgement, whatever the window.
    opening: u64,
}

impl Silence {
    pub(super) fn new(now: Instant, mtu: u16) -> Self {
        Self { mtu, round_trip: Duration::ZERO, heard: now, sent: now, in_flight: 0, is_late: false, is_back: false, opening: 0 }
    }

    pub(super) fn mtu(&self) -> u16 {
        self.mtu
    }

    pub(super) fn set_mtu(&mut self, mtu: u16) {
        self.mtu = mtu;
    }

    pub(super) fn sent(&mut self, now: Instant, bytes: u64) {
        self.sent = now;
        self.in_flight += bytes;
    }

    /// A packet of this age was acknowledged.
    pub(super) fn acked(&mut self, age: Duration, round_trip: Duration) {
        self.round_trip = round_trip;
        self.is_late |= self.is_long(age);
    }

    /// These were all, and so many bytes are still in flight.
    pub(super) fn acked_all(&mut self, now: Instant, in_flight: u64) {
        self.is_back = self.is_long(now.saturating_duration_since(self.heard));
        self.opening = if self.is_late { in_flight + PROBES * u64::from(self.mtu) } else { 0 };
        (self.heard, self.in_flight, self.is_late) = (now, in_flight, false);
    }

    pub(super) fn lost(&mut self, bytes: u64) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// Whether the acknowledgement under way ends a silence.
    pub(super) fn is_over(&self) -> bool {
        self.is_back
    }

    /// The controller's window, or more. The clock is asked only if that window is full.
    pub(super) fn widen(&self, window: u64, now: impl FnOnce() -> Instant) -> u64 {
        let window = window.max(self.opening);
        let probe = self.in_flight + PROBES * u64::from(self.mtu);
        if probe <= window {
            return window;
        }
        let now = now();
        let is_silent = self.is_long(now.saturating_duration_since(self.heard));
        let is_due = now.saturating_duration_since(self.sent) >= PROBE_INTERVAL;
        if is_silent && is_due { probe } else { window }
    }

    fn is_long(&self, time: Duration) -> bool {
        time >= LATE && time >= self.round_trip * LATE_ROUND_TRIPS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);
    const PACKET: u64 = 1_200;

    /// What may be in flight `millis` after `begun`, of a full window of this size.
    fn allowed(silence: &Silence, window: u64, begun: Instant, millis: u32) -> u64 {
        silence.widen(window, || begun + MILLI * millis)
    }

    #[test]
    fn a_late_acknowledgement_opens_the_window_until_the_next_one() {
        let now = Instant::now();
        let mut silence = Silence::new(now, 1_200);
        for (age, round_trip, in_flight, opening) in [
            (40, 40, 50_000, 52_400 - 2_400),
            (2_000, 40, 50_000, 52_400),
            (41, 90, 52_400, 50_000),
            (499, 40, 50_000, 50_000),
            // A path that takes as long.
            (2_000, 700, 50_000, 50_000),
        ] {
            silence.acked(MILLI, MILLI * round_trip);
            silence.acked(MILLI * age, MILLI * round_trip);
            silence.acked_all(now, in_flight);
            assert_eq!(allowed(&silence, 50_000, now, 0), opening, "{age} ms, {in_flight} bytes");
        }
    }

    #[test]
    fn a_silent_path_with_a_full_window_gets_a_packet_four_times_a_second() {
        let begun = Instant::now();
        let mut silence = Silence::new(begun, 1_200);
        silence.acked(MILLI, 40 * MILLI);
        silence.acked_all(begun, 10 * PACKET);
        let mut packets = Vec::new();
        for millis in 0..2_000 {
            let window = allowed(&silence, 11 * PACKET, begun, millis);
            if silence.in_flight + PACKET < window {
                silence.sent(begun + MILLI * millis, PACKET);
                packets.push(millis);
            }
        }
        assert_eq!(packets, [500, 750, 1_000, 1_250, 1_500, 1_750]);
        silence.acked(MILLI, 40 * MILLI);
        silence.acked_all(begun + 2_000 * MILLI, 10 * PACKET);
        assert_eq!(allowed(&silence, 11 * PACKET, begun, 2_300), 11 * PACKET, "heard of again");
    }

    #[test]
    fn a_window_that_has_room_asks_no_clock() {
        let silence = Silence::new(Instant::now(), 1_200);
        assert_eq!(silence.widen(10 * PACKET, || unreachable!()), 10 * PACKET);
    }

    #[test]
    fn a_silence_is_over_with_the_next_acknowledgement() {
        let begun = Instant::now();
        let mut silence = Silence::new(begun, 1_200);
        for (millis, round_trip, is_over) in [(499, 40, false), (999, 40, true), (1_039, 40, false), (2_039, 300, false)] {
            silence.acked(MILLI, MILLI * round_trip);
            silence.acked_all(begun + MILLI * millis, 0);
            assert_eq!(silence.is_over(), is_over, "{millis} ms");
        }
    }
}
