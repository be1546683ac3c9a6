//! moq subscribe: a track to standard output.

use std::time::Duration;

use clap::Args;
use moq_lite::model::{
    demand::{Ask, Start},
    track,
};
use moq_proto::Path;

use crate::{
    connect::{Connect, Patience},
    event::Event,
    link::Link,
    ordered::{Ordered, Piece},
    output::{Gone, Output},
    peer::{Peer, Role},
    progress::{Progress, Quiet},
    signal::Signals,
    spelling::Spelling,
    wall::Wall,
};

/// Write a track to standard output, until it ends.
///
/// Groups are written one after another, each from its first frame on. By default it begins with the newest group.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    patience: Patience,
    /// Path of the broadcast below that of the URL; "" is that of the URL itself.
    path: Path,
    /// Name of the track.
    track: String,
    /// How frames are written.
    #[arg(long, short, value_enum, default_value_t = Spelling::Lines)]
    frames: Spelling,
    /// Write an object a line instead: each group, frame and end, with the payload in base64.
    #[arg(long, conflicts_with = "frames")]
    json: bool,
    /// Begin with the newest group. That is the default.
    #[arg(long, conflicts_with = "from")]
    latest: bool,
    /// Begin with this group, or the first after it that there still is.
    #[arg(long, value_name = "GROUP")]
    from: Option<u64>,
    /// End after so many groups.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    groups: Option<u64>,
    /// Leave out groups that lie further behind the newest, such as 500ms. Without it, only those that do not come for two seconds.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    max_age: Option<Duration>,
    /// Wait so long for a broadcast that is not on air.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    wait: Duration,
    #[command(flatten)]
    quiet: Quiet,
}

impl Options {
    pub(crate) async fn run(self, signals: Signals) -> anyhow::Result<()> {
        let Some(found) = signals.unless_ended(self.find()).await else { return Ok(()) };
        let (mut peer, track) = found?;

        let start = self.from.map_or(Start::Latest, Start::At);
        let ask = Ask { start, max_age: self.max_age, ..Ask::default() };
        let ordered = Ordered::new(track.subscribe(ask), self.from, self.max_age);
        let (output, progress) = (Output::start(), Progress::of_output(self.quiet));
        let mut writing = Writing { options: &self, output: &output, ordered, progress, wall: Wall::new(), link: peer.link() };
        let connected = Event::Connected { url: &peer.place, version: peer.version };
        let why = writing.write(connected, &signals).await;
        drop(writing);
        output.finish().await?;

        match (why, track.ended()) {
            (Why::Over, Some(Err(code))) => Err(peer.ended(&self.path, &self.track, code).await),
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
}

/// Why no more is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The track is over.
    Over,
    /// That was as much as was asked for, or the end was.
    Enough,
    /// Whoever read it has gone.
    Gone,
}

struct Writing<'a> {
    options: &'a Options,
    output: &'a Output,
    ordered: Ordered,
    progress: Progress,
    wall: Wall,
    link: Link,
}

impl Writing<'_> {
    async fn write(&mut self, connected: Event<'_>, signals: &Signals) -> Why {
        let written = async {
            self.event(connected).await?;
            let why = self.pieces(signals).await?;
            self.event(self.progress.meter.end()).await?;
            Ok::<_, Gone>(why)
        };
        written.await.unwrap_or(Why::Gone)
    }

    async fn pieces(&mut self, signals: &Signals) -> Result<Why, Gone> {
        let mut ended = 0;
        loop {
            let piece = tokio::select! {
                biased;
                () = signals.end() => return Ok(Why::Enough),
                () = self.progress.due() => {
                    self.progress.show();
                    continue;
                }
                state = self.link.changed() => {
                    self.progress.link(&state);
                    self.event(Event::link(&state)).await?;
                    continue;
                }
                piece = self.output.then(self.ordered.next()) => piece?,
            };
            self.progress.meter.skipped = self.ordered.skipped();
            if matches!(piece, Piece::Over) {
                return Ok(Why::Over);
            }
            ended += u64::from(matches!(piece, Piece::Ended { .. }));
            self.piece(piece).await?;
            if self.options.groups == Some(ended) {
                return Ok(Why::Enough);
            }
        }
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), Gone> {
        match piece {
            Piece::Group { group } => {
                self.progress.meter.groups += 1;
                self.event(Event::Group { group }).await
            }
            Piece::Ended { group, frames, whole } => self.event(Event::GroupEnd { group, frames, whole }).await,
            Piece::Frame { group, frame, content } => {
                let scale = self.ordered.subscription().track().info().timescale;
                let delay = self.wall.delay(content.timestamp, scale);
                self.progress.meter.frame(content.payload.len());
                self.progress.meter.delay = delay;
                if !self.options.json {
                    return self.output.write(self.options.frames.spell(content.payload)).await;
                }
                let timestamp_us = Some(content.timestamp.to_duration(scale).as_micros() as u64);
                let delay_ms = delay.map(|delay| delay.as_millis() as u64);
                let payload = &content.payload;
                self.event(Event::Frame { group, frame, size: payload.len(), timestamp_us, delay_ms, payload }).await
            }
            Piece::Over => Ok(()),
        }
    }

    async fn event(&self, event: Event<'_>) -> Result<(), Gone> {
        if self.options.json { self.output.write(event.line()).await } else { Ok(()) }
    }
}
