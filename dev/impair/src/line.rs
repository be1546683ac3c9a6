//! Line: packets on their way, in the order in which they come out.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    time::Duration,
};

/// Most packets on their way at a time: a second of 300 Mbit/s.
const PACKETS_MAX: usize = 32 * 1024;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From a client to the relay.
    Up,
    /// From the relay to a client.
    Down,
}

/// A packet on its way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Whose it is.
    pub(crate) flow: u64,
    pub(crate) way: Way,
    /// Its place among those that came in on this flow this way.
    pub(crate) number: u64,
    pub(crate) payload: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct Line {
    /// By due time; at equal times in order of arrival.
    packets: BinaryHeap<Reverse<Due>>,
    pushed: u64,
}

#[derive(Debug)]
struct Due {
    key: (Duration, u64),
    packet: Packet,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl Line {
    /// Takes a packet that comes out at `due`. `false`: there is no room.
    pub(crate) fn push(&mut self, due: Duration, packet: Packet) -> bool {
        if self.packets.len() == PACKETS_MAX {
            return false;
        }
        self.packets.push(Reverse(Due { key: (due, self.pushed), packet }));
        self.pushed += 1;
        true
    }

    /// When the next packet comes out.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.packets.peek().map(|Reverse(due)| due.key.0)
    }

    /// The next packet that has come out by `now`.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<Packet> {
        let next = self.packets.peek_mut().filter(|next| next.0.key.0 <= now)?;
        Some(PeekMut::pop(next).0.packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u64) -> Packet {
        Packet { flow: 0, way: Way::Up, number, payload: Vec::new() }
    }

    #[test]
    fn packets_come_out_when_they_are_due_and_in_order_of_arrival() {
        let mut line = Line::default();
        for (number, due) in [(0, 30), (1, 10), (2, 10), (3, 20)] {
            assert!(line.push(Duration::from_millis(due), packet(number)));
        }
        let mut out =
            |now| std::iter::from_fn(|| line.pop(Duration::from_millis(now))).map(|packet| packet.number).collect::<Vec<_>>();
        assert_eq!((out(9), out(10), out(40)), (vec![], vec![1, 2], vec![3, 0]));
        assert_eq!(line.next_due(), None);
    }

    #[test]
    fn a_full_line_takes_no_more_until_something_has_come_out() {
        let mut line = Line::default();
        for number in 0..PACKETS_MAX as u64 {
            assert!(line.push(Duration::from_secs(1), packet(number)));
        }
        assert!(!line.push(Duration::ZERO, packet(0)));
        assert!(line.pop(Duration::from_secs(1)).is_some());
        assert!(line.push(Duration::ZERO, packet(0)));
    }
}
