//! Fanout: one shard's viewers, and the turn in which they get what is new.
//!
//! A bell rings once per track, shard and burst. One turn then gives every viewer of the rung tracks what it lacks; the
//! writes come all together, so each viewer's packets leave together when its connection runs.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Wake},
    time::{Duration, Instant},
};

use slab::Slab;
use tokio::time::Sleep;
use tracing::error;

use super::{
    clock::now,
    ready::{Ready, ViewerBell},
    report::Outcome,
    viewer::Viewer,
};
use crate::{
    model::{
        bell::{Bell, Ringer, Token},
        group, track,
    },
    stats::{Stats, Tally},
    transport::{Chunks, Connection},
};

/// Viewers visited before other tasks of the shard get their turn. At a few microseconds each this holds up an
/// acknowledgement by about a millisecond.
const VISITS_MAX: usize = 256;

/// How often viewers to whom time matters are looked after. Runs only while there are some.
const TICK: Duration = Duration::from_millis(20);

/// One shard's viewers. [`run`](Self::run) is its life; sessions sit their viewers down through its [`Handle`].
pub struct Fanout<C: Connection> {
    floor: Rc<RefCell<Floor<C>>>,
    ringer: Ringer,
    ready: Arc<Ready>,
    rung: Vec<Token>,
    awake: Vec<usize>,
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
    seats: Slab<Seated<C>>,
    stages: Slab<Stage>,
    by_track: HashMap<track::Id, Token>,
    /// Seats to be visited, in the order in which they came to be. A seat stands here once.
    visits: VecDeque<usize>,
    /// Seats to which time matters, mostly since they cannot take what they want. A seat stands here once, until a tick finds
    /// that it does no more.
    timed: VecDeque<usize>,
    scratch: Chunks,
    /// Groups that arrived at the track now rung.
    fresh: Vec<group::Consumer>,
    tally: Tally,
    stats: Stats,
}

/// A viewer, and which lists its seat stands on.
struct Seated<C: Connection> {
    viewer: Viewer<C>,
    /// To be visited.
    queued: bool,
    /// The viewer itself asked for the visit: there is room, or it is new.
    roomy: bool,
    /// Looked after by the tick.
    timed: bool,
}

/// One track that has viewers on this shard.
struct Stage {
    track: track::Consumer,
    _bell: Bell,
    /// The order of arrival up to which its groups were offered.
    seen: u64,
    seats: Vec<usize>,
}

impl<C: Connection> Fanout<C> {
    pub fn new(stats: Stats) -> (Self, Handle<C>) {
        let floor = Floor {
            seats: Slab::new(),
            stages: Slab::new(),
            by_track: HashMap::new(),
            visits: VecDeque::new(),
            timed: VecDeque::new(),
            scratch: Chunks::new(),
            fresh: Vec::new(),
            tally: Tally::default(),
            stats,
        };
        let handle = Handle { floor: Rc::new(RefCell::new(floor)), ringer: Ringer::new(), ready: Arc::default() };
        let fanout = Self {
            floor: handle.floor.clone(),
            ringer: handle.ringer.clone(),
            ready: handle.ready.clone(),
            rung: Vec::new(),
            awake: Vec::new(),
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
        self.ready.register(cx.waker());
        let now = now();
        // Until nobody is to be visited and both sources have this task's waker. A turn that is too long goes on after
        // other tasks of the shard.
        loop {
            let rung = self.ringer.poll_rung(cx).is_ready();
            let more = self.turn(now, rung);
            if more {
                cx.waker().wake_by_ref();
                break;
            }
            if !rung {
                break;
            }
        }
        self.tick(cx, now);
        Poll::Pending
    }

    /// One turn of the shard. Returns whether some viewers are left for the next one.
    fn turn(&mut self, now: Instant, rung: bool) -> bool {
        let floor = &mut *self.floor.borrow_mut();
        self.ready.take(&mut self.awake);
        for key in self.awake.drain(..) {
            floor.queue(key, true);
        }
        if rung {
            self.ringer.take_rung(&mut self.rung);
            for token in self.rung.drain(..) {
                floor.gather(token);
            }
        }
        for _ in 0..VISITS_MAX {
            let Some(key) = floor.visits.pop_front() else { break };
            floor.visit(key, now);
        }
        floor.tally.settle(&floor.stats);
        !floor.visits.is_empty()
    }

    /// Looks after viewers to whom time matters: lets go of what is stale.
    fn tick(&mut self, cx: &mut Context<'_>, now: Instant) {
        let floor = &mut *self.floor.borrow_mut();
        if floor.timed.is_empty() {
            self.armed = false;
            return;
        }
        let next = tokio::time::Instant::from_std(now + TICK);
        if !std::mem::replace(&mut self.armed, true) {
            self.sleep.as_mut().reset(next);
        }
        if self.sleep.as_mut().poll(cx).is_ready() {
            floor.look_after_timed(now);
            self.sleep.as_mut().reset(next);
            // Arms the timer again; it lies in the future.
            let _ = self.sleep.as_mut().poll(cx);
            if !floor.visits.is_empty() {
                cx.waker().wake_by_ref();
            }
        }
    }
}

impl<C: Connection> Floor<C> {
    fn queue(&mut self, key: usize, roomy: bool) {
        let Some(seated) = self.seats.get_mut(key) else { return };
        seated.roomy |= roomy;
        if !std::mem::replace(&mut seated.queued, true) {
            self.visits.push_back(key);
        }
    }

    /// Offers a rung track's new groups to its viewers, and notes which of them to visit.
    fn gather(&mut self, token: Token) {
        let Some(stage) = self.stages.get_mut(token) else { return };
        stage.seen = stage.track.arrivals_since(stage.seen, &mut self.fresh);
        for &key in &stage.seats {
            let Some(seated) = self.seats.get_mut(key) else { continue };
            // Somebody who is blocked throughout is visited when there is room again, not for every burst.
            if seated.viewer.offer(&self.fresh, stage.seen) && !std::mem::replace(&mut seated.queued, true) {
                self.visits.push_back(key);
            }
        }
        // Nothing is kept alive by having been handed out.
        self.fresh.clear();
    }

    /// Gives one viewer what it lacks. Its panic is its session's alone.
    fn visit(&mut self, key: usize, now: Instant) {
        let Some(seated) = self.seats.get_mut(key) else { return };
        seated.queued = false;
        let roomy = std::mem::take(&mut seated.roomy);
        let (viewer, scratch, tally) = (&mut seated.viewer, &mut self.scratch, &mut self.tally);
        if catch_unwind(AssertUnwindSafe(|| viewer.advance(now, roomy, scratch, tally))).is_err() {
            error!(viewer = key, "a viewer's visit panicked; its session ends");
            viewer.fail(Outcome::Panicked);
        }
        self.scratch.clear();
        if seated.viewer.is_timed() && !std::mem::replace(&mut seated.timed, true) {
            self.timed.push_back(key);
        }
    }

    /// Does for the viewers what is due, for so many a tick that nobody else has to wait for it.
    fn look_after_timed(&mut self, now: Instant) {
        for _ in 0..self.timed.len().min(VISITS_MAX) {
            let Some(key) = self.timed.pop_front() else { break };
            let Some(seated) = self.seats.get_mut(key) else { continue };
            if !seated.timed {
                continue;
            }
            let changed = seated.viewer.look_after(now, &mut self.tally);
            seated.timed = seated.viewer.is_timed();
            if seated.timed {
                self.timed.push_back(key);
            }
            if changed {
                self.queue(key, false);
            }
        }
        self.tally.settle(&self.stats);
    }
}

impl<C: Connection> Handle<C> {
    /// Sits a viewer of `track` down. It is visited in the next turn.
    pub(super) fn seat(&self, track: &track::Consumer, make: impl FnOnce(Arc<ViewerBell>) -> Viewer<C>) -> Seat<C> {
        let mut guard = self.floor.borrow_mut();
        let floor = &mut *guard;
        // The bell comes first: what arrives while the viewer looks back rings, and is offered then.
        let token = *floor.by_track.entry(track.id()).or_insert_with(|| {
            let entry = floor.stages.vacant_entry();
            let token = entry.key();
            let bell = track.attach(&self.ringer, token);
            entry.insert(Stage { track: track.clone(), _bell: bell, seen: track.arrived(), seats: Vec::new() });
            token
        });
        let entry = floor.seats.vacant_entry();
        let key = entry.key();
        let bell = Arc::new(ViewerBell::new(key, self.ready.clone()));
        entry.insert(Seated { viewer: make(bell.clone()), queued: false, roomy: false, timed: false });
        floor.stages[token].seats.push(key);
        drop(guard);
        bell.wake_by_ref();
        Seat { floor: self.floor.clone(), key, token, bell }
    }
}

/// A viewer's place; dropping it takes the viewer away.
pub(super) struct Seat<C: Connection> {
    floor: Rc<RefCell<Floor<C>>>,
    key: usize,
    token: Token,
    bell: Arc<ViewerBell>,
}

impl<C: Connection> Seat<C> {
    /// Asks the viewer something.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&Viewer<C>) -> T) -> T {
        question(&self.floor.borrow().seats[self.key].viewer)
    }

    /// Changes the viewer, who is then visited.
    pub(super) fn change(&self, change: impl FnOnce(&mut Viewer<C>)) {
        change(&mut self.floor.borrow_mut().seats[self.key].viewer);
        self.bell.wake_by_ref();
    }
}

impl<C: Connection> Drop for Seat<C> {
    fn drop(&mut self) {
        let seated = {
            let mut guard = self.floor.borrow_mut();
            let floor = &mut *guard;
            let stage = &mut floor.stages[self.token];
            if let Some(place) = stage.seats.iter().position(|&key| key == self.key) {
                stage.seats.swap_remove(place);
            }
            if stage.seats.is_empty() {
                floor.by_track.remove(&stage.track.id());
                floor.stages.remove(self.token);
            }
            // A visit that is due finds nobody, which is well.
            floor.timed.retain(|&key| key != self.key);
            floor.seats.remove(self.key)
        };
        // Its streams are reset after the floor is free again.
        drop(seated);
    }
}
