//! Fanout: one shard's viewers, and the turn in which they get what is new.
//!
//! A bell rings once per track, shard and burst. One turn then gives every viewer of the rung tracks what it lacks; the
//! writes come all together, so each viewer's packets leave together when its connection runs.

use std::{
    cell::RefCell,
    collections::HashMap,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use futures::task::AtomicWaker;
use slab::Slab;
use tokio::time::Sleep;
use tracing::error;

use super::{report::Outcome, shared::now, viewer::Viewer};
use crate::{
    model::{
        bell::{Bell, Ringer, Token},
        group, track,
    },
    stats::Stats,
    transport::{Chunks, Connection},
};

/// Viewers visited before other tasks of the shard get their turn. At a few microseconds each this holds up an
/// acknowledgement by about a millisecond.
const VISITS_MAX: usize = 256;

/// How often blocked viewers are looked after. Runs only while there are some.
const TICK: Duration = Duration::from_millis(20);

/// One shard's viewers. [`run`](Self::run) is its life; sessions sit their viewers down through its [`Handle`].
pub struct Fanout<C: Connection> {
    floor: Rc<RefCell<Floor<C>>>,
    ringer: Ringer,
    ready: Arc<Ready>,
    /// Viewers still to be visited in this turn, last first.
    visits: Vec<usize>,
    rung: Vec<Token>,
    sleep: std::pin::Pin<Box<Sleep>>,
    armed: bool,
}

/// Where sessions of a shard put their viewers.
pub struct Handle<C: Connection> {
    floor: Rc<RefCell<Floor<C>>>,
    ringer: Ringer,
    ready: Arc<Ready>,
}

impl<C: Connection> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self { floor: self.floor.clone(), ringer: self.ringer.clone(), ready: self.ready.clone() }
    }
}

struct Floor<C: Connection> {
    viewers: Slab<Viewer<C>>,
    stages: Slab<Stage>,
    by_track: HashMap<track::Id, Token>,
    blocked: usize,
    scratch: Chunks,
    /// Groups that arrived at the track now rung.
    fresh: Vec<group::Consumer>,
    stats: Stats,
}

/// One track that has viewers on this shard.
struct Stage {
    track: track::Consumer,
    _bell: Bell,
    /// The order of arrival up to which its groups were offered.
    seen: u64,
    viewers: Vec<usize>,
}

impl<C: Connection> Fanout<C> {
    pub fn new(stats: Stats) -> (Self, Handle<C>) {
        let floor = Floor {
            viewers: Slab::new(),
            stages: Slab::new(),
            by_track: HashMap::new(),
            blocked: 0,
            scratch: Chunks::new(),
            fresh: Vec::new(),
            stats,
        };
        let handle = Handle { floor: Rc::new(RefCell::new(floor)), ringer: Ringer::new(), ready: Arc::default() };
        let fanout = Self {
            floor: handle.floor.clone(),
            ringer: handle.ringer.clone(),
            ready: handle.ready.clone(),
            visits: Vec::new(),
            rung: Vec::new(),
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: false,
        };
        (fanout, handle)
    }

    /// Takes turns for ever.
    pub async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.ready.waker.register(cx.waker());
        let now = now();
        // Until both lists are empty and have this task's waker; a turn that is too long goes on after other tasks.
        while self.ringer.poll_rung(cx).is_ready() || !self.ready.is_empty() || !self.visits.is_empty() {
            self.turn(now);
            if !self.visits.is_empty() {
                cx.waker().wake_by_ref();
                break;
            }
        }
        self.tick(cx, now);
        Poll::Pending
    }

    /// One turn of the shard, or the rest of one that was too long for one go.
    fn turn(&mut self, now: Instant) {
        let floor = &mut *self.floor.borrow_mut();
        self.ready.take(&mut self.visits);
        self.ringer.take_rung(&mut self.rung);
        for token in self.rung.drain(..) {
            floor.gather(token, &mut self.visits);
        }
        let from = self.visits.len().saturating_sub(VISITS_MAX);
        for key in self.visits.drain(from..) {
            floor.advance(key, now);
        }
    }

    /// Looks after viewers that take nothing now: lets go of what is stale.
    fn tick(&mut self, cx: &mut Context<'_>, now: Instant) {
        let floor = &mut *self.floor.borrow_mut();
        if floor.blocked == 0 {
            self.armed = false;
            return;
        }
        if !self.armed {
            self.armed = true;
            self.sleep.as_mut().reset(tokio::time::Instant::from_std(now + TICK));
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            floor.expire(now);
            self.sleep.as_mut().reset(tokio::time::Instant::from_std(now + TICK));
        }
    }
}

impl<C: Connection> Floor<C> {
    /// Offers a rung track's new groups to its viewers, and notes which of them to visit.
    fn gather(&mut self, token: Token, visits: &mut Vec<usize>) {
        let Some(stage) = self.stages.get_mut(token) else { return };
        self.fresh.clear();
        stage.seen = stage.track.arrivals_since(stage.seen, &mut self.fresh);
        for &key in &stage.viewers {
            let Some(viewer) = self.viewers.get_mut(key) else { continue };
            let offered = viewer.offer(&self.fresh);
            // Somebody blocked is visited when there is room again, not for every burst.
            if offered || !viewer.is_blocked() {
                visits.push(key);
            }
        }
    }

    fn advance(&mut self, key: usize, now: Instant) {
        self.visit(key, |viewer, scratch, stats| viewer.advance(now, scratch, stats));
    }

    fn expire(&mut self, now: Instant) {
        let blocked: Vec<_> = self.viewers.iter().filter(|(_, viewer)| viewer.is_blocked()).map(|(key, _)| key).collect();
        for key in blocked {
            self.visit(key, |viewer, scratch, stats| viewer.expire(now, scratch, stats));
        }
    }

    /// Runs `deed` on one viewer. Its panic is its session's alone.
    fn visit(&mut self, key: usize, deed: impl FnOnce(&mut Viewer<C>, &mut Chunks, &Stats)) {
        let Some(viewer) = self.viewers.get_mut(key) else { return };
        let was_blocked = viewer.is_blocked();
        let (scratch, stats) = (&mut self.scratch, &self.stats);
        let done = catch_unwind(AssertUnwindSafe(|| deed(&mut *viewer, scratch, stats)));
        if done.is_err() {
            error!(viewer = key, "a viewer's visit panicked; its session ends");
            viewer.fail(Outcome::Panicked);
        }
        let is_blocked = viewer.is_blocked();
        self.blocked = self.blocked + usize::from(is_blocked) - usize::from(was_blocked);
    }
}

impl<C: Connection> Handle<C> {
    /// Sits a viewer down. It is visited in the next turn.
    pub(super) fn seat(&self, make: impl FnOnce(Waker) -> Viewer<C>) -> Seat<C> {
        let mut guard = self.floor.borrow_mut();
        let floor = &mut *guard;
        let entry = floor.viewers.vacant_entry();
        let key = entry.key();
        let bell = Arc::new(ViewerBell { key, rung: AtomicBool::new(false), ready: self.ready.clone() });
        let viewer = entry.insert(make(bell.clone().into()));
        viewer.set_bell(bell.clone());

        let track = viewer.track().clone();
        let token = *floor.by_track.entry(track.id()).or_insert_with(|| {
            let entry = floor.stages.vacant_entry();
            let token = entry.key();
            let bell = track.attach(&self.ringer, token);
            // Everything from here on rings; what came before the newcomer finds by itself.
            let seen = track.arrived();
            entry.insert(Stage { track, _bell: bell, seen, viewers: Vec::new() });
            token
        });
        floor.stages[token].viewers.push(key);
        drop(guard);
        bell.wake_by_ref();
        Seat { floor: self.floor.clone(), key, token }
    }
}

/// A viewer's place; dropping it takes the viewer away.
pub(super) struct Seat<C: Connection> {
    floor: Rc<RefCell<Floor<C>>>,
    key: usize,
    token: Token,
}

impl<C: Connection> Seat<C> {
    /// Changes the viewer, who is then visited.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Viewer<C>) -> T) -> T {
        let mut floor = self.floor.borrow_mut();
        let viewer = &mut floor.viewers[self.key];
        let value = change(viewer);
        viewer.wake();
        value
    }
}

impl<C: Connection> Drop for Seat<C> {
    fn drop(&mut self) {
        let viewer = {
            let mut guard = self.floor.borrow_mut();
            let floor = &mut *guard;
            let viewer = floor.viewers.remove(self.key);
            floor.blocked -= usize::from(viewer.is_blocked());
            let stage = &mut floor.stages[self.token];
            if let Some(place) = stage.viewers.iter().position(|&key| key == self.key) {
                stage.viewers.swap_remove(place);
            }
            if stage.viewers.is_empty() {
                floor.by_track.remove(&stage.track.id());
                floor.stages.remove(self.token);
            }
            viewer
        };
        // Its streams are reset after the floor is free again.
        drop(viewer);
    }
}

/// The viewers that asked for a visit: just subscribed, changed, or with room again.
#[derive(Default)]
struct Ready {
    keys: Mutex<Vec<usize>>,
    waker: AtomicWaker,
}

impl Ready {
    fn is_empty(&self) -> bool {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn take(&self, into: &mut Vec<usize>) {
        into.append(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// One viewer's waker, made once: puts it on the ready list and wakes its shard.
pub(super) struct ViewerBell {
    key: usize,
    rung: AtomicBool,
    ready: Arc<Ready>,
}

impl ViewerBell {
    /// From now on it rings again.
    pub(super) fn rearm(&self) {
        self.rung.store(false, Ordering::Release);
    }
}

impl Wake for ViewerBell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.ready.keys.lock().unwrap_or_else(PoisonError::into_inner).push(self.key);
            self.ready.waker.wake();
        }
    }
}
