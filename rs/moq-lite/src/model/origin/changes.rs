//! The numbered feed: which paths changed since a reader last looked.
//!
//! One log for all readers. A reader that keeps up has nothing here but the number of the first change it has not read, so
//! that a hundred thousand announcements times ten thousand readers are a hundred thousand entries. What the log must give up
//! is only *what is over*: what there is can be seen in the tree, with the number of the change that told it.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use moq_proto::Path;

use super::told::Told;
use crate::model::lock::Lock;

/// What a reader has in the log: its mail. Changed under the lock of the origin.
#[derive(Debug, Default)]
pub(super) struct Reader {
    mail: Lock<Mail>,
}

#[derive(Debug, Default)]
struct Mail {
    /// The last change before those that may concern this reader. `None`: it has read them all.
    behind: Option<u64>,
    waker: Option<Waker>,
}

impl Reader {
    /// Tells of a change, the first after `before`. Returns whom to wake: nobody, when it was told of another already.
    pub(super) fn ring(&self, before: u64) -> Option<Waker> {
        let mut mail = self.mail.lock();
        if mail.behind.is_some() {
            return None;
        }
        mail.behind = Some(before);
        mail.waker.take()
    }

    pub(super) fn behind(&self) -> Option<u64> {
        self.mail.lock().behind
    }

    /// Takes note that all is read.
    pub(super) fn caught_up(&self) {
        self.mail.lock().behind = None;
    }

    /// Ready while there is something to read.
    pub(super) fn poll_rung(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut mail = self.mail.lock();
        if mail.behind.is_some() {
            return Poll::Ready(());
        }
        mail.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// One change: an announcement was made, ended, or got another route.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) path: Path,
    /// What was told before and is over.
    pub(super) gone: Option<Arc<Told>>,
}

/// The log.
#[derive(Debug)]
pub(super) struct Changes {
    /// The newest changes, without gaps.
    recent: VecDeque<Entry>,
    recent_max: usize,
    /// Older ones, only those by which something is over.
    ends: VecDeque<Entry>,
    ends_max: usize,
    /// How many ends are kept before they are looked through for what nobody needs.
    ends_checked: usize,
    /// The last change.
    head: u64,
    /// The last end that is forgotten.
    forgotten: u64,
}

/// Fewer ends than these are not worth looking through.
const ENDS_CHECKED_MIN: usize = 1024;

impl Changes {
    /// Keeps `recent_max` changes, and of older ones at most `ends_max` ends.
    pub(super) fn new(recent_max: usize, ends_max: usize) -> Self {
        let (recent, ends) = (VecDeque::new(), VecDeque::new());
        Self { recent, recent_max, ends, ends_max, ends_checked: ENDS_CHECKED_MIN, head: 0, forgotten: 0 }
    }

    /// The number of the last change.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// The number of the change that comes next.
    pub(super) fn next(&self) -> u64 {
        self.head + 1
    }

    /// Numbers a change. Returns whether it is time to [forget](Self::forget).
    pub(super) fn push(&mut self, path: Path, gone: Option<Arc<Told>>) -> bool {
        self.head += 1;
        self.recent.push_back(Entry { number: self.head, path, gone });
        if self.recent.len() > self.recent_max {
            let oldest = self.recent.pop_front();
            self.ends.extend(oldest.filter(|entry| entry.gone.is_some()));
        }
        self.ends.len() > self.ends_checked.min(self.ends_max)
    }

    /// Forgets ends that nobody needs who has read all up to the change `read`; of too many, the older half in any case.
    pub(super) fn forget(&mut self, read: u64) {
        let unneeded = self.ends.partition_point(|entry| entry.number <= read);
        let too_many = if self.ends.len() > self.ends_max { self.ends.len() - self.ends_max / 2 } else { 0 };
        if let Some(last) = self.ends.drain(..unneeded.max(too_many)).next_back() {
            self.forgotten = last.number;
        }
        self.ends_checked = (2 * self.ends.len()).max(ENDS_CHECKED_MIN);
    }

    /// Whether every change after `read` is among the recent ones.
    pub(super) fn has_all_since(&self, read: u64) -> bool {
        self.head - self.recent.len() as u64 <= read
    }

    /// The changes after `read` that are still known: every end, and what else there is. `None`: some ends are forgotten.
    pub(super) fn since(&self, read: u64) -> Option<impl Iterator<Item = &Entry>> {
        if self.forgotten > read {
            return None;
        }
        let ends = self.ends.range(self.ends.partition_point(|entry| entry.number <= read)..);
        let recent = self.recent.range(self.recent.partition_point(|entry| entry.number <= read)..);
        Some(ends.chain(recent))
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.recent.len() + self.ends.len()
    }
}
