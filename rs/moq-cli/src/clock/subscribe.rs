//! moq clock subscribe: somebody's time, a line a tick.

use std::time::Duration;

use clap::Args;
use moq_lite::model::{demand::Ask, track};
use moq_proto::Path;

use super::TRACK;
use crate::{
    connect::{Connect, Patience},
    event::Event,
    link::Link,
    ordered::{Ordered, Piece},
    output::{Gone, Output},
    peer::{Peer, Role},
    signal::Signals,
    wall::Wall,
};

/// Write the time that somebody publishes, a line a tick.
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
    /// End after so many ticks.
    #[arg(long, value_name = "TICKS", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Write an object a line instead, with the delay of each tick.
    #[arg(long)]
    json: bool,
    /// Wait so long for a broadcast that is not on air.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    wait: Duration,
}

impl Options {
    pub(crate) async fn run(self, signals: Signals) -> anyhow::Result<()> {
        let Some(found) = signals.unless_ended(self.find()).await else { return Ok(()) };
        let (mut peer, track) = found?;
        let ask = Ask { max_age: None, ..Ask::default() };
        let mut ordered = Ordered::new(track.subscribe(ask), None, None);

        let output = Output::start();
        let connected = Event::Connected { url: &peer.place, version: peer.version };
        let write = self.write(connected, peer.link(), &mut ordered, &output);
        let is_over = matches!(signals.unless_ended(write).await, Some(Ok(true)));
        output.finish().await?;
        match track.ended() {
            Some(Err(code)) if is_over => Err(peer.ended(&self.path, &self.track, code).await),
            _ => {
                peer.leave().await;
                Ok(())
            }
        }
    }

    async fn find(&self) -> anyhow::Result<(Peer, track::Consumer)> {
        let mut peer = Peer::connect(&self.connect, Role::Watch(&self.path), self.patience.reconnect).await?;
        let track = peer.find(&self.path, &self.track, self.wait).await?;
        Ok((peer, track))
    }

    /// Writes until the clock stops, which is true, or there were enough ticks.
    async fn write(&self, connected: Event<'_>, mut link: Link, ordered: &mut Ordered, output: &Output) -> Result<bool, Gone> {
        if self.json {
            output.write(connected.line()).await?;
        }
        let (wall, mut ticks, mut base) = (Wall::new(), 0, String::new());
        let scale = ordered.subscription().track().info().timescale;
        loop {
            let piece = tokio::select! {
                biased;
                state = link.changed() => {
                    if self.json {
                        output.write(Event::link(&state).line()).await?;
                    }
                    continue;
                }
                piece = output.then(ordered.next()) => piece?,
            };
            let (group, frame, content) = match piece {
                Piece::Frame { group, frame, content } => (group, frame, content),
                Piece::Over => return Ok(true),
                Piece::Group { .. } | Piece::Ended { .. } => continue,
            };
            let text = String::from_utf8_lossy(&content.payload);
            if frame == 0 {
                base = text.into_owned();
                continue;
            }
            let time = format!("{base}{text}");
            let delay_ms = wall.delay(content.timestamp, scale).map(|delay| delay.as_millis() as u64);
            if self.json {
                output.write(Event::Tick { group, time: &time, delay_ms }.line()).await?;
            } else {
                output.write(time + "\n").await?;
            }
            ticks += 1;
            if self.count == Some(ticks) {
                return Ok(false);
            }
        }
    }
}
