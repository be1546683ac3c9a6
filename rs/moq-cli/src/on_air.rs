//! On air: what every publisher does beside publishing.

use std::{future::poll_fn, time::Duration};

use clap::Args;
use moq_lite::model::{broadcast, track};
use tokio::time::{interval, timeout, timeout_at};

use crate::{link::Link, signal::Signals};

/// How long groups are kept behind the newest, unless something else is asked for.
pub(crate) const KEEP: Duration = Duration::from_secs(30);

/// How often the track is told the time, by which old groups go.
pub(crate) const TEND_INTERVAL: Duration = Duration::from_secs(1);

/// How long viewers may take to get the last groups, once the track has ended: longer than it takes to notice that the relay is
/// gone.
const LAST_GROUPS: Duration = Duration::from_secs(15);

/// How long viewers may take to come back to a relay after their publisher: some notice later that it was gone, by an idle
/// timeout, and some try less often.
const COMING_BACK: Duration = Duration::from_secs(15);

/// From when on the input is read, and how long it can be had.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Lasting {
    /// Begin to read only once somebody watches, so that nobody misses the beginning.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Keep groups so long behind the newest, for whoever comes late or fetches them.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) keep: Duration,
    /// Stay on air so long after the input has ended, for whoever comes late.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    pub(crate) stay: Duration,
}

/// Keeps the track's time, and tells whoever asks for another track that there is none. Never ends by itself.
pub(crate) async fn tend(broadcast: &broadcast::Producer, track: &track::Producer) {
    let mut ticks = interval(TEND_INTERVAL);
    loop {
        tokio::select! {
            request = broadcast.requested() => match request {
                Some(request) => drop(request),
                // Nobody can ask any more, which takes an origin that is gone.
                None => return std::future::pending().await,
            },
            now = ticks.tick() => drop(track.tend(now.into())),
        }
    }
}

/// Waits until somebody watches.
pub(crate) async fn watched(track: &track::Producer) {
    let mut seen = 0;
    while track.demand().is_none() {
        poll_fn(|cx| track.poll_demand(cx, &mut seen)).await;
    }
}

/// Those who watch a track as it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Audience {
    is_here: bool,
    /// Sessions lost by then.
    lost: u64,
}

impl Audience {
    /// To be asked before the track is finished: whoever has all of it by then may be gone a moment later.
    pub(crate) fn of(track: &track::Producer, link: &Link) -> Self {
        Self { is_here: track.demand().is_some(), lost: link.lost() }
    }

    /// Waits until all of them have the last groups, those included whom a lost session cut off. Never ends once there are no
    /// more sessions. An end that is asked for ends the wait for those who are not there.
    pub(crate) async fn served(mut self, track: &track::Producer, link: &Link, signals: &Signals) {
        loop {
            let is_here = self.is_here && link.lost() == self.lost;
            self = Self { is_here: true, lost: link.lost() };
            let is_end_asked = !is_here && signals.unless_ended(back(track, link)).await.is_none();
            // Whoever is that slow will not have it.
            let is_late = timeout(LAST_GROUPS, unwatched(track)).await.is_err();
            if is_end_asked || is_late || link.lost() == self.lost {
                return;
            }
        }
    }
}

/// Waits until those who watched before a session was lost have had time to come back.
async fn back(track: &track::Producer, link: &Link) {
    if link.lost() > 0 {
        let since = link.connected().await;
        let _ = timeout_at(since + COMING_BACK, watched(track)).await;
    }
}

/// Waits until nobody watches.
async fn unwatched(track: &track::Producer) {
    let mut seen = 0;
    while track.demand().is_some() {
        poll_fn(|cx| track.poll_demand(cx, &mut seen)).await;
    }
}
