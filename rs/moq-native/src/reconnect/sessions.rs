//! Sessions: the one there is, the one before it, and the search for the next.
//!
//! Tracks go from session to session by themselves, as from any source to another: when a session ends, whatever it fed goes to
//! the one that has the same publisher.

use std::{cell::Cell, convert::Infallible, fmt, future::pending, pin::pin, time::Duration};

use futures::future::LocalBoxFuture;
use moq_lite::{
    session::{self, AskedToLeave, Closer, GoAway, Roles, Session},
    transport::Connection,
};
use moq_proto::close;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};

use super::{Backoff, Lost, Place, Retry, State};

/// A session that lasted so long has worked: the next wait is a first one again.
const STEADY: Duration = Duration::from_secs(10);

/// Sessions in a row that are left at once when asked to, unless one was steady. Servers that send a client round and round see
/// it as often as one that cannot be reached.
const MOVES_MAX: u32 = 3;

/// How long a session is kept once there is another in its place: until the new server has said what it has, and whoever watches
/// us through the old one has heard of the new way.
const OVERLAP: Duration = Duration::from_secs(1);

/// What [`Reconnect`](super::Reconnect) runs.
pub(super) struct Sessions<D, R, T> {
    /// The first one, and where it is again when another fails.
    pub(super) home: Place,
    pub(super) backoff: Backoff,
    pub(super) patience: Duration,
    pub(super) dial: D,
    pub(super) roles: R,
    pub(super) told: T,
}

impl<D, R, T: FnMut(State<'_>)> Sessions<D, R, T> {
    pub(super) async fn run<C: Connection, E>(mut self, mut session: Session<C>) -> Lost<E>
    where
        D: AsyncFnMut(&Place) -> Result<Session<C>, E>,
        R: FnMut() -> Roles<C>,
        E: fmt::Display,
        for<'a> &'a E: Into<Retry>,
    {
        let (mut place, mut moves) = (self.home.clone(), 0);
        let mut previous = Previous::default();
        loop {
            (self.told)(State::Connected { place: &place });
            let mut current = Current::start(session, (self.roles)());
            let (ended, goaway) = tokio::select! {
                biased;
                ended = current.run.as_mut() => (Some(ended), None),
                goaway = current.asked.wait(), if !self.patience.is_zero() => (None, Some(goaway)),
                never = previous.run() => match never {},
            };
            if current.began.elapsed() >= STEADY {
                self.backoff.reset();
                moves = 0;
            }
            let Self { home, backoff, patience, dial, told, .. } = &mut self;
            let (deadline, gone) = (Cell::new(None), Notify::new());
            let mut is_lost = |ended: Option<&session::Error>| {
                match ended {
                    Some(error) => info!(%error, "session lost, reconnecting"),
                    None => info!("session ended by the peer, reconnecting"),
                }
                told(State::Reconnecting { lost: ended });
                // Beyond what a clock can say, there is none.
                deadline.set(Instant::now().checked_add(*patience));
            };
            let mut is_over = false;
            if let Some(ended) = ended {
                let is_fit = ended.as_ref().is_none_or(|error| Retry::from(error) == Retry::Again);
                if patience.is_zero() || (!is_fit && place == *home) {
                    return Lost::Session(ended);
                }
                is_over = true;
                is_lost(ended.as_ref());
                if !is_fit {
                    // Who does not want us there is not asked again.
                    place.clone_from(home);
                }
            }
            moves += u32::from(goaway.is_some());
            let at_once = goaway.is_some() && moves <= MOVES_MAX;
            let next = goaway.map_or_else(|| place.clone(), |goaway| follow(&place, &goaway));
            let mut search = pin!(search(home, backoff, dial, next, at_once, (&deadline, &gone)));
            let found = loop {
                tokio::select! {
                    biased;
                    found = &mut search => break found,
                    ended = current.run.as_mut(), if !is_over => {
                        is_over = true;
                        is_lost(ended.as_ref());
                        if current.began.elapsed() >= STEADY {
                            gone.notify_one();
                        }
                    }
                    never = previous.run() => match never {},
                }
            };
            match found {
                Ok(found) => {
                    (place, session) = found;
                    if !is_over {
                        previous.leave(current);
                    }
                }
                Err(error) => {
                    if !is_over {
                        current.run.await;
                    }
                    return Lost::Dial(error);
                }
            }
        }
    }
}

/// Where a server wants its client to go.
fn follow(place: &Place, goaway: &GoAway) -> Place {
    let next = place.next(goaway.uri()).unwrap_or_else(|error| {
        warn!(%place, %error, "asked to leave for where nobody follows, trying here again");
        place.clone()
    });
    info!(from = %place, to = %next, "asked to leave");
    next
}

/// Tries for a session there, and `home` where that fails, until the `deadline` if there is one by then. `gone`: the session there
/// was has ended meanwhile, and with it what kept another from beginning, perhaps.
async fn search<C: Connection, E>(
    home: &Place,
    backoff: &mut Backoff,
    mut dial: impl AsyncFnMut(&Place) -> Result<Session<C>, E>,
    mut place: Place,
    at_once: bool,
    (deadline, gone): (&Cell<Option<Instant>>, &Notify),
) -> Result<(Place, Session<C>), E>
where
    E: fmt::Display,
    for<'a> &'a E: Into<Retry>,
{
    if !at_once {
        sleep(backoff.wait()).await;
    }
    loop {
        let error = match dial(&place).await {
            Ok(session) => return Ok((place, session)),
            Err(error) => error,
        };
        let is_home = place == *home;
        let is_late = deadline.get().is_some_and(|deadline| Instant::now() >= deadline);
        if is_late || (is_home && (&error).into() == Retry::Never) {
            return Err(error);
        }
        debug!(%place, %error, "not reconnected yet");
        place.clone_from(home);
        tokio::select! {
            biased;
            () = gone.notified() => {
                backoff.reset();
                sleep(backoff.wait()).await;
            }
            () = sleep(backoff.wait()) => {}
        }
    }
}

/// The session that counts.
struct Current<'a, C: Connection> {
    /// Returns how it ended.
    run: LocalBoxFuture<'a, Option<session::Error>>,
    closer: Closer<C>,
    asked: AskedToLeave,
    began: Instant,
}

impl<'a, C: Connection + 'a> Current<'a, C> {
    fn start(session: Session<C>, roles: Roles<C>) -> Self {
        let (closer, asked, began) = (session.closer(), session.asked_to_leave(), Instant::now());
        Self { run: Box::pin(async { session.run(roles).await.err() }), closer, asked, began }
    }
}

/// The session before it, if it is kept for a while. Dropped, it is closed.
#[derive(Default)]
struct Previous<'a>(Option<LocalBoxFuture<'a, ()>>);

impl<'a> Previous<'a> {
    /// Keeps a session for [`OVERLAP`] more; the one that was kept until now is closed.
    fn leave<C: Connection + 'a>(&mut self, Current { mut run, closer, .. }: Current<'a, C>) {
        self.0 = Some(Box::pin(async move {
            if timeout(OVERLAP, run.as_mut()).await.is_err() {
                closer.close(close::session::NO_ERROR, "moved");
                run.await;
            }
        }));
    }

    /// Sees it off.
    async fn run(&mut self) -> Infallible {
        if let Some(previous) = &mut self.0 {
            previous.await;
            self.0 = None;
        }
        pending().await
    }
}
