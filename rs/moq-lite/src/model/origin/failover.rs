//! From one source of a broadcast to the next.
//!
//! Finds who else has what a source had, and hands its tracks over: only the same publisher's groups continue each other. An
//! origin that is told to keeps the tracks for which there is nobody, until their publisher is announced again; otherwise
//! they end with their source. How a track goes on is up to whoever serves it. Spec: moq-lite-06, "Hops" and "Relay".

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use moq_proto::{CloseCode, HopId, Path, close};

use super::{Consumer, Origin, Principal, Producer, Shared, holder::counts, places::Source};
use crate::model::{
    broadcast::{self, LookupError},
    group, track,
};

/// Most tracks kept without a source, of all broadcasts together. A client watches a few dozen.
pub const ORPHANS_MAX: usize = 1024;

/// Most ways to a publisher that are tried for what it refuses: one that has not got it says so on every one.
const WAYS_MAX: usize = 4;

/// The tracks that wait for their publisher.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// How long each waits. Zero: none does.
    grace: Duration,
    waiting: Vec<Orphan>,
}

#[derive(Debug)]
struct Orphan {
    path: Path,
    publisher: HopId,
    /// On whose behalf its last source was announced.
    principal: Option<Principal>,
    track: track::Producer,
    /// `None` until the time is told.
    since: Option<Instant>,
}

impl Origin {
    /// Keeps tracks that have lost their only source for `grace`, in case their publisher is announced again, and the groups
    /// that were under way. Their readers notice nothing but the pause. Zero, the default, ends them with their source; no time passes but by [`tend`](Self::tend).
    pub fn keep_orphans(&self, grace: Duration) {
        self.shared.orphans.lock().grace = grace;
    }

    /// Tells the tracks without a source the time, to be called about once a second. Those that have waited long enough are
    /// aborted with SESSION_CLOSED.
    pub fn tend(&self, now: Instant) {
        let tracks: Vec<_> = self.shared.orphans.lock().waiting.iter().map(|orphan| orphan.track.consume()).collect();
        let unused: Vec<_> = tracks.into_iter().filter(|track| track.tend(now)).map(|track| track.id()).collect();
        let mut orphans = self.shared.orphans.lock();
        let grace = orphans.grace;
        let is_over = |orphan: &mut Orphan| {
            let since = *orphan.since.get_or_insert(now);
            now.saturating_duration_since(since) >= grace || unused.contains(&orphan.track.consume().id())
        };
        let over: Vec<_> = orphans.waiting.extract_if(.., is_over).collect();
        // Tended and aborted outside of the lock, since both ring.
        drop(orphans);
        over.into_iter().for_each(|orphan| orphan.track.abort(close::stream::SESSION_CLOSED));
    }
}

impl Producer {
    /// Other ways to the broadcast that `publisher` announced at exactly this path, best first: whatever has the same first
    /// hop, is of the same principal as this producer's peer or trusted, has not ended, and leads neither to nor through that
    /// peer.
    pub fn alternatives(&self, path: &Path, publisher: HopId) -> Vec<broadcast::Consumer> {
        let Some(path) = self.scope.resolve(path) else { return Vec::new() };
        self.others(&path, publisher).iter().map(|source| source.broadcast.clone()).collect()
    }

    fn others(&self, path: &Path, publisher: HopId) -> Vec<Arc<Source>> {
        let mut sources: Vec<Arc<Source>> = {
            let places = self.shared.read();
            let place = places.tree.get(path.as_str()).into_iter();
            let visible = place.flat_map(|place| place.visible(&self.peer));
            visible.filter(|source| continues(source, publisher, self.peer.principal.as_ref())).cloned().collect()
        };
        sources.retain(|source| source.is_alive());
        sources
    }

    /// Hands a track of what `publisher` announced at this path to the best of the [alternatives](Self::alternatives).
    ///
    /// # Errors
    /// Gives the track back when there is none that takes it.
    pub fn hand_over(&self, path: &Path, publisher: HopId, track: track::Producer) -> Result<(), track::Producer> {
        let mut others = self.alternatives(path, publisher).into_iter();
        others.try_fold(track, |track, other| other.hand_over(track).err().ok_or(())).map_or(Ok(()), Err)
    }

    /// Whether tracks without a source are [kept](Self::keep_orphan).
    pub fn keeps_orphans(&self) -> bool {
        !self.shared.orphans.lock().grace.is_zero()
    }

    /// Keeps a track whose only source is lost until its publisher is announced at this path again, for as long as the origin
    /// [keeps](Origin::keep_orphans) such tracks.
    ///
    /// # Errors
    /// Gives the track back when it keeps none, or [`ORPHANS_MAX`] wait already.
    pub fn keep_orphan(&self, path: &Path, publisher: HopId, track: track::Producer) -> Result<(), track::Producer> {
        let Some(path) = self.scope.resolve(path) else { return Err(track) };
        {
            let mut orphans = self.shared.orphans.lock();
            if orphans.grace.is_zero() || orphans.waiting.len() >= ORPHANS_MAX {
                return Err(track);
            }
            let principal = self.peer.principal.clone();
            track.hold_aside(true);
            orphans.waiting.push(Orphan { path: path.clone(), publisher, principal, track, since: None });
        }
        // The publisher may have come back before its track was lost, over the same peer even, which is none of the alternatives.
        let here: Vec<Arc<Source>> = {
            let places = self.shared.read();
            places.tree.get(path.as_str()).into_iter().flat_map(|place| place.sources()).cloned().collect()
        };
        here.iter().filter(|source| source.is_alive()).for_each(|source| self.shared.reunite(&path, source));
        Ok(())
    }
}

impl Consumer {
    /// Looks for a track of what [serves](Self::consume) `path`.
    ///
    /// A source that is lost before it has answered is passed over for the next in line. Nothing was seen of the track so far, so
    /// that may be another publisher's, as it would be for whoever asks now. One that refuses has spoken for its publisher, to
    /// whom there may be other ways: those are tried, each once and at most four in all, and other publishers are not.
    ///
    /// # Errors
    /// As [`broadcast::Consumer::track`], from the best of those that refuse; with UNROUTABLE when nothing serves the path.
    ///
    /// # Cancel safety
    /// As [`broadcast::Consumer::track`].
    pub async fn track(&self, path: &Path, name: &str) -> Result<track::Consumer, LookupError> {
        let mut ways = Ways::new(self, path);
        while let Some(broadcast) = ways.next() {
            match broadcast.track(name).await {
                Ok(track) => return Ok(track),
                Err(LookupError { code }) => ways.failed(code),
            }
        }
        Err(ways.answer())
    }

    /// Looks for one group of a track, as [`track`](Self::track) does for the track: of sources that have the same publisher's,
    /// one may keep what another does not. Returns the group with the track that it was found in.
    ///
    /// # Errors
    /// As [`track`](Self::track), and as [`track::Consumer::fetch`].
    ///
    /// # Cancel safety
    /// As [`broadcast::Consumer::track`] and [`track::Consumer::fetch`].
    pub async fn fetch(
        &self,
        path: &Path,
        name: &str,
        sequence: u64,
        priority: u8,
    ) -> Result<(track::Consumer, group::Consumer), LookupError> {
        let mut ways = Ways::new(self, path);
        while let Some(broadcast) = ways.next() {
            let track = match broadcast.track(name).await {
                Ok(track) => track,
                Err(LookupError { code }) => {
                    ways.failed(code);
                    continue;
                }
            };
            match track.fetch_with_priority(sequence, priority).await {
                Ok(group) => return Ok((track, group)),
                Err(track::FetchError { code }) => ways.failed(code),
            }
        }
        Err(ways.answer())
    }

    /// The best way to `path` of those that are `usable` and lead anywhere, as seen from the path.
    pub(super) fn way_to(&self, path: &Path, usable: impl Fn(&Source) -> bool) -> Option<(broadcast::Consumer, Arc<Source>)> {
        let (path, horizon) = (self.scope.resolve(path)?, self.horizon());
        let (source, below) = {
            let places = self.shared.read();
            let (at, source) = places.nearest(&path, &horizon, |source| usable(source) && source.is_alive())?;
            (source.clone(), path.strip_prefix(at)?)
        };
        // Outside the lock, since it may wake the publisher.
        Some((source.broadcast.below(&below)?, source))
    }
}

/// The ways to what is asked for, one after the other.
struct Ways<'a> {
    consumer: &'a Consumer,
    path: &'a Path,
    tried: Vec<Arc<Source>>,
    /// The first that has refused, and how.
    refused: Option<(Arc<Source>, CloseCode)>,
    refusals: usize,
    last: CloseCode,
}

impl<'a> Ways<'a> {
    fn new(consumer: &'a Consumer, path: &'a Path) -> Self {
        Self { consumer, path, tried: Vec::new(), refused: None, refusals: 0, last: close::stream::UNROUTABLE }
    }

    /// The best that was not tried.
    fn next(&mut self) -> Option<broadcast::Consumer> {
        if self.refusals >= WAYS_MAX {
            return None;
        }
        let (broadcast, source) = self.consumer.way_to(self.path, |source| {
            let is_tried = self.tried.iter().any(|tried| tried.broadcast.id() == source.broadcast.id());
            let has_the_same = self.refused.as_ref().is_none_or(|(refused, _)| refused.is_also(source));
            !is_tried && has_the_same
        })?;
        self.tried.push(source);
        Some(broadcast)
    }

    /// The last that was given has failed: it is lost, or it refuses.
    fn failed(&mut self, code: CloseCode) {
        self.last = code;
        let Some(source) = self.tried.last() else { return };
        if code == close::stream::SESSION_CLOSED || source.broadcast.ended().is_some() {
            return;
        }
        self.refusals += 1;
        self.refused.get_or_insert_with(|| (source.clone(), code));
    }

    /// Why there is nothing.
    fn answer(self) -> LookupError {
        LookupError { code: self.refused.map_or(self.last, |(_, code)| code) }
    }
}

impl Source {
    /// Whether another source has what this one has.
    fn is_also(&self, other: &Source) -> bool {
        let publisher = self.told.route.publisher();
        publisher.is_some_and(|publisher| continues(other, publisher, self.told.principal.as_ref()))
    }
}

/// Whether a source has what `publisher` had on behalf of `principal`. A hop is what its sender says it is, so it counts only
/// with the same principal, or one that is trusted.
fn continues(source: &Source, publisher: HopId, principal: Option<&Principal>) -> bool {
    let told = &source.told;
    told.route.publisher() == Some(publisher) && counts(told.principal.as_ref(), principal)
}

impl Shared {
    /// Hands a source that was announced at `path` the tracks which wait for its publisher.
    pub(super) fn reunite(&self, path: &Path, source: &Source) {
        let theirs = |orphan: &mut Orphan| orphan.path == *path && continues(source, orphan.publisher, orphan.principal.as_ref());
        let mut orphans = self.orphans.lock();
        let taken: Vec<_> = orphans.waiting.extract_if(.., theirs).collect();
        drop(orphans);
        let refused = taken.into_iter().filter_map(|Orphan { track, path, publisher, principal, since }| {
            track.hold_aside(false);
            let track = source.broadcast.hand_over(track).err()?;
            track.hold_aside(true);
            Some(Orphan { track, path, publisher, principal, since })
        });
        let refused: Vec<_> = refused.collect();
        if !refused.is_empty() {
            self.orphans.lock().waiting.extend(refused);
        }
    }
}
