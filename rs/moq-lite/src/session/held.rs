//! Held: a peer's tracks for as long as the peer feeds them, and who gets them when it fails.
//!
//! A track does not end with its source. When the session is lost, or the peer stops serving the track, it goes to another
//! source of the same publisher, with its readers and the groups that were under way; only where there is none does it end.
//! Spec: moq-lite-06, "Relay" and "Hops".

use std::rc::Rc;

use moq_proto::{CloseCode, HopId, Path, close};
use tokio::sync::watch;
use tracing::debug;

use super::{error::Failure, shared::Shared};
use crate::{
    model::{broadcast, track},
    stats::count,
    transport::Connection,
};

/// Sources in a row that may fail a track without having brought anything of it: a publisher that cannot serve it says so on
/// every way that leads to it.
const STRIKES_MAX: u32 = 4;

/// A broadcast of the peer's, with what lies below its path.
pub(super) struct Source {
    /// Where it is announced.
    path: Path,
    /// The original publisher, where it has a name that other sessions know it by as well.
    pub(super) publisher: Option<HopId>,
    withdrawn: watch::Sender<bool>,
}

impl Source {
    pub(super) fn new(path: Path, publisher: Option<HopId>) -> Rc<Self> {
        Rc::new(Self { path, publisher, withdrawn: watch::Sender::new(false) })
    }

    /// The path that tracks so far below are asked for at.
    pub(super) fn path(&self, below: &Path) -> Result<Path, Failure> {
        // It was asked for here by its whole name, so it is not too long either.
        self.path.join(below).map_err(|_| Failure::Unroutable)
    }

    /// Whether the peer announces it no more. Its tracks may go on, but whoever asks for the path anew may get something else.
    pub(super) fn is_withdrawn(&self) -> bool {
        *self.withdrawn.borrow()
    }

    /// Waits until the peer announces it no more.
    pub(super) async fn withdrawn(&self) {
        // The sender is here, so there is no other end to the wait.
        let _ = self.withdrawn.subscribe().wait_for(|withdrawn| *withdrawn).await;
    }

    /// Whether another source of the same publisher could take over.
    pub(super) fn has_alternative<C: Connection>(&self, shared: &Shared<C>) -> bool {
        let (Some(inbound), Some(publisher)) = (&shared.inbound, self.publisher) else { return false };
        !inbound.alternatives(&self.path, publisher).is_empty()
    }
}

/// A source for as long as the peer announces it.
pub(super) struct Announced(pub(super) Rc<Source>);

impl Drop for Announced {
    fn drop(&mut self) {
        self.0.withdrawn.send_replace(true);
    }
}

/// A track that the peer feeds. Dropping it passes it on, as is due when the session ends.
pub(super) struct Held<C: Connection> {
    shared: Rc<Shared<C>>,
    pub(super) source: Rc<Source>,
    pub(super) track: track::Producer,
    let_go: bool,
}

impl<C: Connection> Held<C> {
    pub(super) fn new(shared: &Rc<Shared<C>>, source: &Rc<Source>, track: track::Producer) -> Self {
        Self { shared: shared.clone(), source: source.clone(), track, let_go: false }
    }

    /// The path at which the peer is asked for it.
    pub(super) fn path(&self) -> Result<Path, Failure> {
        self.source.path(self.track.below())
    }

    /// Lets go of a track that nobody wants any more.
    pub(super) fn release(mut self) {
        self.let_go = true;
    }

    /// The peer does not serve the track any more, though its session goes on. `code`: what readers hear if nobody else does.
    pub(super) fn fail(mut self, code: CloseCode) {
        self.let_go = true;
        // Of a track that never was there is nothing to go on with.
        let begun = self.track.latest_sequence().is_some();
        let passed = begun && self.track.strike() <= STRIKES_MAX && self.hand_over();
        // A publisher that is still announced has no use for the track; one that is not may come back.
        let goes_on = passed || (self.source.is_withdrawn() && self.is_kept());
        if !goes_on {
            self.track.abort(code);
        }
    }

    /// Gives the track to another source of the same publisher, if there is one.
    fn hand_over(&self) -> bool {
        let Source { path, publisher, .. } = &*self.source;
        let (Some(inbound), &Some(publisher)) = (&self.shared.inbound, publisher) else { return false };
        let passed = inbound.hand_over(path, publisher, self.track.clone()).is_ok();
        if passed {
            debug!(broadcast = %path, below = %self.track.below(), track = self.track.name(), "handed over to another source");
            count(&self.shared.stats.counters().handovers, 1);
        }
        passed
    }

    /// Leaves the track to an origin that keeps it until its publisher is announced again.
    fn is_kept(&self) -> bool {
        let Source { path, publisher, .. } = &*self.source;
        let (Some(inbound), &Some(publisher)) = (&self.shared.inbound, publisher) else { return false };
        inbound.keep_orphan(path, publisher, self.track.clone()).is_ok()
    }
}

impl<C: Connection> Drop for Held<C> {
    fn drop(&mut self) {
        let gone = !self.let_go && !self.track.is_over();
        if gone && !self.hand_over() && !self.is_kept() {
            self.track.abort(close::stream::SESSION_CLOSED);
        }
    }
}

/// Takes tracks over for one broadcast of the peer's. Those not taken when the session ends are passed on.
pub(super) struct Heir<C: Connection> {
    shared: Rc<Shared<C>>,
    source: Rc<Source>,
    heir: broadcast::Heir,
}

impl<C: Connection> Heir<C> {
    pub(super) fn new(shared: &Rc<Shared<C>>, source: &Rc<Source>, broadcast: &broadcast::Producer) -> Self {
        Self { shared: shared.clone(), source: source.clone(), heir: broadcast.heir() }
    }

    /// The next track that is handed over.
    pub(super) async fn next(&self) -> Held<C> {
        Held::new(&self.shared, &self.source, self.heir.next().await)
    }
}

impl<C: Connection> Drop for Heir<C> {
    fn drop(&mut self) {
        let left = self.heir.resign();
        left.into_iter().for_each(|track| drop(Held::new(&self.shared, &self.source, track)));
    }
}
