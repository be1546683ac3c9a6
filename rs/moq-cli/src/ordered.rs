//! Ordered: a subscription, group after group and frame after frame.
//!
//! Groups arrive as the network has them; here each is read whole before the next one, in the order of their sequences. What
//! is late is waited for, but not forever. Time is passed to the waiting room, [`Queue`], which decides.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use moq_lite::model::{
    group::{self, Frame, GroupError},
    log::Ending,
    track::Subscription,
};
use tokio::time::{self, sleep_until};

/// How long a group is waited for that others have overtaken, at most: a few retransmissions, or a relay that sends what is
/// newest first.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most groups that wait their turn. Behind so many, the oldest is not worth having.
const WAITING_MAX: usize = 1024;

/// What comes next.
#[derive(Debug)]
pub(crate) enum Piece {
    /// A group begins.
    Group { group: u64 },
    /// A frame of the group that began last. `frame` is its index there.
    Frame { group: u64, frame: u64, content: Frame },
    /// That group ends; `whole`: nothing of it is missing.
    Ended { group: u64, frames: u64, whole: bool },
    /// The track is over, as its [`ended`](moq_lite::model::track::Consumer::ended) says.
    Over,
}

/// Reads a subscription in order.
pub(crate) struct Ordered {
    subscription: Subscription,
    queue: Queue<group::Consumer>,
    /// How long a group may take to end once later ones are here. `None`: as long as it likes.
    max_age: Option<Duration>,
    current: Option<Reading>,
    /// No more groups will come.
    over: bool,
}

struct Reading {
    group: group::Consumer,
    frames: u64,
}

impl Ordered {
    /// Reads on from the group `from`, or from the first that comes.
    pub(crate) fn new(subscription: Subscription, from: Option<u64>, max_age: Option<Duration>) -> Self {
        let patience = max_age.map_or(PATIENCE, |age| age.min(PATIENCE));
        Self { subscription, queue: Queue::new(from, patience), max_age, current: None, over: false }
    }

    /// Groups that were left out: they did not come, came too late, or took too long.
    pub(crate) fn skipped(&self) -> u64 {
        self.queue.skipped
    }

    pub(crate) fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// What comes next. After [`Piece::Over`] nothing does.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing.
    pub(crate) async fn next(&mut self) -> Piece {
        loop {
            if self.current.is_none() {
                if let Some((sequence, group)) = self.queue.take(now(), self.over) {
                    self.current = Some(Reading { group, frames: 0 });
                    return Piece::Group { group: sequence };
                }
                if self.over {
                    return Piece::Over;
                }
            }
            let overdue = match (&self.current, self.max_age) {
                (Some(_), Some(max_age)) => self.queue.oldest().map(|came| came + max_age),
                (Some(_), None) => None,
                (None, _) => self.queue.overdue(),
            };
            tokio::select! {
                biased;
                arrived = self.subscription.next(), if !self.over => match arrived {
                    Some(group) => self.queue.put(group.sequence(), group, now()),
                    None => self.over = true,
                },
                read = read(&mut self.current), if self.current.is_some() => if let Some(piece) = self.advance(read) {
                    return piece;
                },
                () = until(overdue), if overdue.is_some() => {
                    // Without a group to be given up, somebody's turn has come.
                    if let Some(piece) = self.advance(Ok(None)) {
                        self.queue.skipped += 1;
                        return piece;
                    }
                }
            }
        }
    }

    fn advance(&mut self, read: Result<Option<Frame>, GroupError>) -> Option<Piece> {
        let current = self.current.as_mut()?;
        let group = current.group.sequence();
        if let Ok(Some(content)) = read {
            let frame = current.frames;
            current.frames += 1;
            return Some(Piece::Frame { group, frame, content });
        }
        // A group that was cut off between two frames has no error to tell, but an ending.
        let (frames, whole) = (current.frames, read.is_ok() && current.group.ending() == Some(Ending::Finished));
        self.current = None;
        Some(Piece::Ended { group, frames, whole })
    }
}

async fn read(current: &mut Option<Reading>) -> Result<Option<Frame>, GroupError> {
    match current {
        Some(reading) => reading.group.next_frame().await,
        None => Ok(None),
    }
}

/// As the runtime has it, so that tests can let it pass.
fn now() -> Instant {
    time::Instant::now().into()
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// Where groups wait for their turn.
#[derive(Debug)]
struct Queue<G> {
    /// The group whose turn it is. `None`: that of the first to come.
    next: Option<u64>,
    /// With when each came.
    waiting: BTreeMap<u64, (Instant, G)>,
    patience: Duration,
    skipped: u64,
}

impl<G> Queue<G> {
    fn new(next: Option<u64>, patience: Duration) -> Self {
        Self { next, waiting: BTreeMap::new(), patience, skipped: 0 }
    }

    /// Takes in a group, unless its turn is over.
    fn put(&mut self, sequence: u64, group: G, now: Instant) {
        if self.next.is_some_and(|next| sequence < next) {
            // It was counted when its turn was given to another.
            return;
        }
        self.waiting.insert(sequence, (now, group));
        if self.waiting.len() > WAITING_MAX {
            self.waiting.pop_first();
        }
    }

    /// The group whose turn it is, or the first of the others once they have waited long enough or, `over`, all are here.
    fn take(&mut self, now: Instant, over: bool) -> Option<(u64, G)> {
        let first = *self.waiting.first_key_value()?.0;
        let is_next = self.next.is_none_or(|next| first == next);
        if !is_next && !over && self.overdue().is_some_and(|moment| now < moment) {
            return None;
        }
        let (_, group) = self.waiting.remove(&first)?;
        self.skipped += first - self.next.unwrap_or(first);
        self.next = Some(first + 1);
        Some((first, group))
    }

    /// When those that wait have waited long enough. `None`: nobody waits.
    fn overdue(&self) -> Option<Instant> {
        self.oldest().map(|came| came + self.patience)
    }

    /// When the first of those that wait came.
    fn oldest(&self) -> Option<Instant> {
        self.waiting.values().map(|(came, _)| *came).min()
    }
}

#[cfg(test)]
mod tests;
