//! Bells: what tells a shard that one of its tracks has something new.
//!
//! A shard has one [`Ringer`] and hangs a [`Bell`] of it on every track it has viewers of. Whatever happens to the track
//! rings all its bells; a bell that was rung stays silent until its shard takes it, so a burst costs a shard one wake,
//! however many tracks and viewers it concerns. What happened is not said: whoever is rung looks.

use std::{
    mem,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use slab::Slab;
use smallvec::SmallVec;

use super::lock::Lock;

/// What a shard calls a track; chosen by the shard when it hangs a bell.
pub type Token = usize;

/// A shard's end of its bells: which of them were rung, and whom to wake. Clones are the same shard.
#[derive(Clone, Debug, Default)]
pub struct Ringer {
    shard: Arc<Shard>,
}

#[derive(Debug, Default)]
struct Shard {
    state: Lock<Rung>,
}

#[derive(Debug, Default)]
struct Rung {
    cords: Vec<Arc<Cord>>,
    waker: Option<Waker>,
}

/// Between one track and one shard.
#[derive(Debug)]
struct Cord {
    token: Token,
    shard: Weak<Shard>,
    rung: AtomicBool,
    cut: AtomicBool,
}

impl Ringer {
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the tokens of all tracks rung since the last time, each once. From here on they can be rung again, so
    /// whatever is looked at afterwards is at least as new as what rang.
    pub fn take_rung(&self, into: &mut Vec<Token>) {
        for cord in self.shard.state.lock().cords.drain(..) {
            cord.rung.swap(false, Ordering::AcqRel);
            if !cord.cut.load(Ordering::Acquire) {
                into.push(cord.token);
            }
        }
    }

    /// Ready once something was rung and not taken yet. Wakes the task that polled last.
    pub fn poll_rung(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut rung = self.shard.state.lock();
        if !rung.cords.is_empty() {
            return Poll::Ready(());
        }
        match &mut rung.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// Hangs on a track as long as it lives: dropping it takes it down.
#[derive(Debug)]
pub struct Bell {
    tower: Arc<Tower>,
    place: usize,
}

impl Drop for Bell {
    fn drop(&mut self) {
        let cord = self.tower.cords.lock().remove(self.place);
        cord.cut.store(true, Ordering::Release);
    }
}

/// A track's end of its bells, one for each shard that has viewers.
#[derive(Debug, Default)]
pub(crate) struct Tower {
    cords: Lock<Slab<Arc<Cord>>>,
}

impl Tower {
    /// Hangs a bell that rings at `ringer` under the name `token`.
    pub(crate) fn attach(self: &Arc<Self>, ringer: &Ringer, token: Token) -> Bell {
        let shard = Arc::downgrade(&ringer.shard);
        let cord = Cord { token, shard, rung: AtomicBool::new(false), cut: AtomicBool::new(false) };
        let place = self.cords.lock().insert(Arc::new(cord));
        Bell { tower: self.clone(), place }
    }

    /// Rings every bell that is silent, and wakes each shard that waits. Called after what rings is visible.
    pub(crate) fn ring(&self) {
        let mut wakers: SmallVec<[Waker; 8]> = SmallVec::new();
        for (_, cord) in self.cords.lock().iter() {
            // Both sides swap: a ring that finds the bell rung happens before the shard's taking of it.
            if !cord.rung.swap(true, Ordering::AcqRel)
                && let Some(shard) = cord.shard.upgrade()
            {
                let mut rung = shard.state.lock();
                rung.cords.push(cord.clone());
                wakers.extend(mem::take(&mut rung.waker));
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{cell::Cell, sync::atomic::AtomicUsize, task::Wake, thread};

    use super::*;

    /// A waker and how often it was woken.
    pub(in super::super) fn counting_waker() -> (Waker, Wakes) {
        let wakes = Arc::new(Count::default());
        (wakes.clone().into(), Wakes(wakes))
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(in super::super) struct Wakes(Arc<Count>);

    impl Wakes {
        pub(in super::super) fn get(&self) -> usize {
            self.0.0.load(Ordering::SeqCst)
        }
    }

    fn taken(ringer: &Ringer) -> Vec<Token> {
        let mut tokens = Vec::new();
        ringer.take_rung(&mut tokens);
        tokens
    }

    #[test]
    fn a_burst_wakes_each_shard_once() {
        let (near, far) = (Ringer::new(), Ringer::new());
        let (audio, video) = (Arc::new(Tower::default()), Arc::new(Tower::default()));
        let _bells = [audio.attach(&near, 1), video.attach(&near, 2), video.attach(&far, 9)];
        let (waker, wakes) = counting_waker();
        let cx = &mut Context::from_waker(&waker);
        assert!(near.poll_rung(cx).is_pending());
        assert!(far.poll_rung(cx).is_pending());

        for _ in 0..10 {
            audio.ring();
            video.ring();
        }
        assert_eq!(wakes.get(), 2, "one for each shard");
        assert!(near.poll_rung(cx).is_ready());
        assert_eq!(taken(&near), [1, 2]);
        assert_eq!(taken(&far), [9]);
        assert!(near.poll_rung(cx).is_pending());

        video.ring();
        assert_eq!(taken(&near), [2], "taking it made it ring again");
    }

    #[test]
    fn a_bell_taken_down_is_not_heard() {
        let ringer = Ringer::new();
        let track = Arc::new(Tower::default());
        let bell = track.attach(&ringer, 1);
        track.ring();
        drop(bell);
        assert_eq!(taken(&ringer), [], "it was rung before it came down");
        track.ring();
        assert_eq!(taken(&ringer), []);
        assert!(track.cords.lock().is_empty());
    }

    #[test]
    fn a_shard_that_is_gone_is_forgotten() {
        let track = Arc::new(Tower::default());
        let ringer = Ringer::new();
        let bell = track.attach(&ringer, 1);
        track.ring();
        let shard = Arc::downgrade(&ringer.shard);
        drop(ringer);
        assert!(shard.upgrade().is_none(), "a rung bell does not keep its shard");
        track.ring();
        drop(bell);
    }

    #[test]
    fn nothing_rung_is_ever_missed() {
        const RINGS: usize = 20_000;
        let tower = Arc::new(Tower::default());
        let ringer = Ringer::new();
        let _bell = tower.attach(&ringer, 0);
        let written = Arc::new(AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                for value in 1..=RINGS {
                    written.store(value, Ordering::Release);
                    tower.ring();
                }
            });
            // Whoever reads only when rung sees the last value in the end.
            let (seen, this) = (Cell::new(0), thread::current());
            struct Unpark(thread::Thread);
            impl Wake for Unpark {
                fn wake(self: Arc<Self>) {
                    self.0.unpark();
                }
            }
            let waker = Waker::from(Arc::new(Unpark(this)));
            while seen.get() < RINGS {
                while ringer.poll_rung(&mut Context::from_waker(&waker)).is_pending() {
                    thread::park();
                }
                for _ in taken(&ringer) {
                    seen.set(written.load(Ordering::Acquire));
                }
            }
        });
    }
}
