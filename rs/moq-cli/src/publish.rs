//! moq publish: standard input as a track.

use std::{pin::pin, time::Instant};

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use moq_lite::model::{group, track};
use moq_proto::Path;
use tokio::time::timeout;

use crate::{
    connect::{Connect, Patience},
    event::Event,
    grouping::{Grouping, Place, Rules},
    input::{self, Input},
    link::Link,
    on_air::{self, Audience, Lasting},
    output::Events,
    peer::{Peer, Role},
    progress::{Progress, Quiet},
    signal::Signals,
    spelling::{FrameError, Spelling},
    wall::Wall,
};

/// Largest frame, in bytes, that anybody takes.
const FRAME_SIZE_MAX: u64 = moq_lite::model::subgroup::FRAME_BYTES_MAX;

/// Publish standard input as a track, until it ends.
///
/// The broadcast has this one track. Its frames are the lines of the input, or what --frames says; viewers begin with the first
/// frame of a group.
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
    /// How frames are told apart in the input.
    #[arg(long, short, value_enum, default_value_t = Spelling::Lines)]
    frames: Spelling,
    /// Bytes of a frame with --frames raw.
    #[arg(long, value_name = "BYTES", default_value_t = 16384, value_parser = clap::value_parser!(u64).range(1..=FRAME_SIZE_MAX))]
    frame_size: u64,
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    lasting: Lasting,
    /// Priority among the tracks that a viewer asks for alike; higher goes first.
    #[arg(long, value_name = "0-255", default_value_t = 127)]
    priority: u8,
    /// Write an object a line to standard output: the session, each group, and the end.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    quiet: Quiet,
}

impl Options {
    pub(crate) async fn run(self, signals: Signals) -> anyhow::Result<()> {
        let grouping = Grouping::new(self.rules.clone(), self.frames)?;
        let connect = Peer::connect(&self.connect, Role::Publish { keep: self.lasting.keep }, self.patience.reconnect);
        let Some(connected) = signals.unless_ended(connect).await else { return Ok(()) };
        let mut peer = connected?;

        let broadcast = peer.broadcast();
        let info = track::Info { priority: self.priority, max_age: self.lasting.keep, timescale: Wall::scale() };
        let track = broadcast.create_track(&self.track, info)?;
        track.tend(Instant::now());
        let _on_air = peer.announce(&self.path, &broadcast).context("announcing the broadcast")?;

        let events = Events::start(self.json);
        events.tell(Event::Connected { url: &peer.place, version: peer.version }).await;
        let progress = Progress::of_input(self.quiet);
        let link = peer.link();
        let mut publishing = Publishing { track: &track, grouping, group: None, progress, wall: Wall::new(), events, link };
        let published = {
            let publish = publishing.publish(&self, &signals);
            tokio::select! {
                biased;
                published = publish => published,
                error = peer.over() => return Err(error),
                () = on_air::tend(&broadcast, &track) => Ok(()),
            }
        };
        let link = peer.link();
        let audience = Audience::of(&track, &link);
        publishing.finish().await?;

        let served = async {
            let _ = timeout(self.lasting.stay, signals.end()).await;
            audience.served(&track, &link, &signals).await;
        };
        tokio::select! {
            biased;
            // Those who watched are gone with the session, which is not to say that they have it all.
            error = peer.over() => return Err(error),
            () = served => {}
            () = on_air::tend(&broadcast, &track) => {}
        }
        peer.farewell().await;
        published
    }
}

/// The next frame of the input, if it has begun.
async fn read(input: &mut Option<Input>) -> Option<Result<Bytes, FrameError>> {
    match input {
        Some(input) => input.recv().await,
        None => None,
    }
}

struct Publishing<'a> {
    track: &'a track::Producer,
    grouping: Grouping,
    group: Option<Open>,
    progress: Progress,
    wall: Wall,
    events: Events,
    link: Link,
}

/// The group that frames go into.
struct Open {
    producer: group::Producer,
    frames: u64,
}

impl Publishing<'_> {
    /// Publishes the input to its end, or until the end is asked for.
    async fn publish(&mut self, options: &Options, signals: &Signals) -> anyhow::Result<()> {
        let track = self.track;
        let mut awaited = pin!(async move {
            if options.lasting.wait {
                on_air::watched(track).await;
            }
        });
        let mut input = None;
        loop {
            let frame = tokio::select! {
                biased;
                () = signals.end() => return Ok(()),
                () = self.progress.due() => {
                    self.progress.show();
                    continue;
                }
                state = self.link.changed() => {
                    self.progress.link(&state);
                    self.events.tell(Event::link(&state)).await;
                    continue;
                }
                () = &mut awaited, if input.is_none() => {
                    input = Some(input::start(options.frames, options.frame_size));
                    continue;
                }
                frame = read(&mut input), if input.is_some() => frame,
            };
            match frame {
                Some(frame) => self.frame(frame?).await?,
                None => return Ok(()),
            }
        }
    }

    async fn frame(&mut self, frame: Bytes) -> anyhow::Result<()> {
        let place = self.grouping.place(&frame, Instant::now());
        if place != Place::Next {
            self.end_group().await;
        }
        if place == Place::Separator {
            return Ok(());
        }
        self.progress.meter.frame(frame.len());
        let open = match &mut self.group {
            Some(open) => open,
            None => {
                let producer = self.track.append_group();
                self.progress.meter.groups += 1;
                self.events.tell(Event::Group { group: producer.sequence() }).await;
                self.group.insert(Open { producer, frames: 0 })
            }
        };
        open.producer.write_frame(frame, Some(self.wall.now()))?;
        open.frames += 1;
        Ok(())
    }

    async fn end_group(&mut self) {
        let Some(Open { producer, frames }) = self.group.take() else { return };
        let group = producer.sequence();
        producer.finish();
        // The session sends it before the next one begins: of a hundred at once, not all would be kept for a viewer.
        tokio::task::yield_now().await;
        self.events.tell(Event::GroupEnd { group, frames, whole: true }).await;
    }

    /// Ends the group and the track, and the events.
    async fn finish(mut self) -> anyhow::Result<()> {
        self.end_group().await;
        self.track.finish(None);
        self.events.tell(self.progress.meter.end()).await;
        self.events.finish().await
    }
}
