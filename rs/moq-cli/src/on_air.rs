//! On air: what every publisher of one track does beside publishing it.

use std::{future::poll_fn, time::Duration};

use moq_lite::model::{broadcast, track};
use tokio::time::{interval, timeout};

/// How long groups are kept behind the newest, unless something else is asked for.
pub(crate) const KEEP: Duration = Duration::from_secs(30);

/// How often the track is told the time, by which old groups go.
const TEND_INTERVAL: Duration = Duration::from_secs(1);

/// How long viewers may take to get the last groups, once the track has ended.
const LAST_GROUPS: Duration = Duration::from_secs(10);

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

/// Waits until all who watch a track that has ended have its last groups.
pub(crate) async fn served(track: &track::Producer) {
    let mut seen = 0;
    let all = async {
        while track.demand().is_some() {
            poll_fn(|cx| track.poll_demand(cx, &mut seen)).await;
        }
    };
    // Whoever is that slow will not have it.
    let _ = timeout(LAST_GROUPS, all).await;
}
