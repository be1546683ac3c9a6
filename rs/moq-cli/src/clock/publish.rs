//! moq clock publish: the time, tick after tick.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use moq_lite::model::{group, track};
use moq_proto::Path;
use tokio::time::sleep;

use super::{
    TRACK,
    face::{self, Lap},
};
use crate::{
    connect::{Connect, Patience},
    failure::Failure,
    on_air::{self, Audience},
    peer::{Peer, Role},
    signal::Signals,
    wall::Wall,
};

/// Shortest time between ticks. Beyond that it is no clock but a load.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// Publish the time as a track.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    patience: Patience,
    /// Path of the broadcast below that of the URL; "" is that of the URL itself.
    path: Path,
    /// Name of the track.
    #[arg(default_value = TRACK)]
    track: String,
    /// Time between two ticks, each of which is a frame.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// How long a group of ticks lasts.
    #[arg(long, value_enum, default_value_t = Lap::Minute)]
    group: Lap,
    /// End after so many ticks.
    #[arg(long, value_name = "TICKS", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

impl Options {
    pub(crate) async fn run(self, signals: Signals) -> anyhow::Result<()> {
        if self.interval < INTERVAL_MIN {
            return Err(Failure::usage(format!("--interval is {INTERVAL_MIN:?} at least")));
        }
        let connect = Peer::connect(&self.connect, Role::Publish { keep: on_air::KEEP }, self.patience.reconnect);
        let Some(connected) = signals.unless_ended(connect).await else { return Ok(()) };
        let mut peer = connected?;

        let broadcast = peer.broadcast();
        let info = track::Info { max_age: on_air::KEEP, timescale: Wall::scale(), ..track::Info::default() };
        let track = broadcast.create_track(&self.track, info)?;
        track.tend(Instant::now());
        let _on_air = peer.announce(&self.path, &broadcast).context("announcing the broadcast")?;

        tokio::select! {
            biased;
            ticked = signals.unless_ended(self.tick(&track)) => ticked.unwrap_or(Ok(()))?,
            error = peer.over() => return Err(error),
            () = on_air::tend(&broadcast, &track) => {}
        }
        let link = peer.link();
        let audience = Audience::of(&track, &link);
        track.finish(None);
        tokio::select! {
            biased;
            error = peer.over() => return Err(error),
            () = audience.served(&track, &link, &signals) => {}
            () = on_air::tend(&broadcast, &track) => {}
        }
        peer.farewell().await;
        Ok(())
    }

    /// Ticks, so often as was asked for.
    async fn tick(&self, track: &track::Producer) -> anyhow::Result<()> {
        let (wall, fine) = (Wall::new(), self.interval.subsec_nanos() != 0);
        let mut current: Option<(u64, group::Producer)> = None;
        let mut tick = wall.since_1970();
        for _ in 0..self.count.unwrap_or(u64::MAX) {
            // Ticks that were slept through are left out.
            tick = face::next_tick(tick.max(wall.since_1970().saturating_sub(self.interval)), self.interval);
            sleep(tick.saturating_sub(wall.since_1970())).await;

            let (base, rest) = self.group.spell(tick, fine);
            let number = self.group.number(tick);
            let mut group = match current.take() {
                Some((lap, group)) if lap == number => group,
                last => {
                    if let Some((_, last)) = last {
                        last.finish();
                    }
                    let mut group = track.append_group();
                    group.write_frame(base, Some(wall.now()))?;
                    group
                }
            };
            group.write_frame(rest, Some(wall.now()))?;
            current = Some((number, group));
        }
        if let Some((_, last)) = current {
            last.finish();
        }
        Ok(())
    }
}
