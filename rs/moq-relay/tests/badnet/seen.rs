//! What one viewer has seen: every frame, when it was sent and when it came.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc, time::Duration};

use moq_lite::model::{group, track};
use tokio::{sync::Notify, task::JoinSet, time::Instant};

use crate::video;

/// A frame, and its times since the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) group: u64,
    pub(crate) frame: u32,
    pub(crate) sent: Duration,
    pub(crate) came: Duration,
}

/// What has come so far, in order.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) arrivals: Vec<Arrival>,
    frames: BTreeSet<(u64, u32)>,
    /// What must never happen.
    pub(crate) faults: Vec<String>,
}

impl Seen {
    fn note(&mut self, arrival: Arrival) {
        if !self.frames.insert((arrival.group, arrival.frame)) {
            self.faults.push(format!("group {} frame {} came twice", arrival.group, arrival.frame));
        }
        self.arrivals.push(arrival);
    }

    /// How long each frame took, shortest first.
    pub(crate) fn delays(&self) -> Vec<Duration> {
        let mut delays: Vec<_> = self.arrivals.iter().map(|arrival| arrival.came.saturating_sub(arrival.sent)).collect();
        delays.sort_unstable();
        delays
    }

    /// The longest time in which playback did not get on: from one frame that is newer than all before it to the next.
    pub(crate) fn longest_stall(&self) -> Duration {
        let (mut longest, mut last) = (Duration::ZERO, None);
        for arrival in &self.arrivals {
            let place = (arrival.group, arrival.frame);
            match last {
                Some((newest, _)) if place < newest => {}
                Some((_, came)) => {
                    longest = longest.max(arrival.came - came);
                    last = Some((place, arrival.came));
                }
                None => last = Some((place, arrival.came)),
            }
        }
        longest
    }

    /// Frames that were sent between the first and the last group seen, and how many of them came.
    pub(crate) fn completeness(&self) -> (usize, usize) {
        let groups = || self.frames.iter().map(|(group, _)| *group);
        let (Some(first), Some(last)) = (groups().min(), groups().max()) else { return (0, 0) };
        let sent = (last - first) as usize * video::FRAMES as usize;
        (sent, groups().filter(|group| *group < last).count())
    }
}

/// Watches until it is dropped, or the track is over. Tells when the first group begins.
pub(crate) async fn watch(mut groups: track::Subscription, seen: Rc<RefCell<Seen>>, epoch: Instant, begun: Rc<Notify>) {
    let mut reading = JoinSet::new();
    while let Some(group) = groups.next().await {
        begun.notify_one();
        reading.spawn_local(read(group, seen.clone(), epoch));
        while reading.try_join_next().is_some() {}
    }
    seen.borrow_mut().faults.push("the track is over".to_owned());
}

/// Reads one group. One that is given up on its way is a loss and no fault.
async fn read(mut group: group::Consumer, seen: Rc<RefCell<Seen>>, epoch: Instant) {
    let sequence = group.sequence();
    let mut frame = 0;
    loop {
        match group.next_frame().await {
            Ok(Some(next)) => {
                let mut seen = seen.borrow_mut();
                match video::check(&next.payload, sequence, frame) {
                    Ok(sent) => seen.note(Arrival { group: sequence, frame, sent, came: epoch.elapsed() }),
                    Err(fault) => seen.faults.push(fault),
                }
                frame += 1;
            }
            Ok(None) if frame == video::FRAMES => return,
            Ok(None) => return seen.borrow_mut().faults.push(format!("group {sequence} finished after {frame} frames")),
            Err(_) => return,
        }
    }
}
