//! Watching files: that some have changed is noticed once their writer is done.
//!
//! Files are looked at rather than listened for: a look costs microseconds, and sees what the notifications of an operating
//! system do not, such as a change on a network volume or a mounted secret that is swapped behind a link. What is read then,
//! and what becomes of it, is the matter of whoever looks.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Interval, MissedTickBehavior, interval};

/// Time between two looks. A change is taken by the second look that finds it, so that its writer may finish, and by the third
/// even if he does not: a right that ends does so within a second.
const INTERVAL: Duration = Duration::from_millis(250);

/// Looks that find another state each, after which the files are read although somebody still writes.
const UNSETTLED_MAX: u8 = 3;

/// When to look.
pub(crate) fn looks() -> Interval {
    let mut looks = interval(INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

/// What files look like from outside. Two looks that differ mean that something was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look(BTreeMap<PathBuf, Option<Stamp>>);

/// Device, file, size, last change of the content, last change of anything; seconds with their nanoseconds.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

impl Look {
    /// Looks at these files without reading them. Links are followed. Blocks as long as the file system does.
    pub(crate) fn at(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let stamped = |path: PathBuf| {
            let stamp = stamp(&path).ok();
            (path, stamp)
        };
        Self(files.into_iter().map(stamped).collect())
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let found = fs::metadata(path)?;
    let (content, anything) = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
    Ok((found.dev(), found.ino(), found.size(), content, anything))
}

/// Tells from one look after the other when to read.
#[derive(Debug)]
pub(crate) struct Changes {
    last: Look,
    /// Looks since the change was first seen.
    unsettled: u8,
}

impl Changes {
    /// `read`: what the files looked like just before they were read.
    pub(crate) fn since(read: &Look) -> Self {
        Self { last: read.clone(), unsettled: 0 }
    }

    /// Whether to read files that look like `now`, and looked like `read` when they were last read; or since that `is_asked`.
    pub(crate) fn is_due(&mut self, now: Look, read: &Look, is_asked: bool) -> bool {
        let (is_changed, is_settled) = (now != *read, now == self.last);
        self.last = now;
        self.unsettled += 1;
        if !is_changed {
            self.unsettled = 0;
        }
        let is_due = is_asked || is_changed && (is_settled || self.unsettled == UNSETTLED_MAX);
        if is_due {
            self.unsettled = 0;
        }
        is_due
    }
}
