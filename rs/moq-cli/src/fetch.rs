//! moq fetch: one group of a track, whenever it was.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Args;
use moq_lite::model::{
    demand::{Ask, Start},
    group::{self, Frame},
};
use moq_proto::{Path, Timescale, Version};
use tokio::time::timeout;

use crate::{
    connect::Connect,
    event::Event,
    failure::{Failure, is_missing},
    output::{Gone, Output},
    peer::{Peer, Role},
    signal::Signals,
    spelling::Spelling,
};

/// Write one group of a track to standard output.
///
/// It is asked for by its number: from the relay's cache or, where it is not kept, from the publisher.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    connect: Connect,
    /// Path of the broadcast below that of the URL; "" is that of the URL itself.
    path: Path,
    /// Name of the track.
    track: String,
    /// Number of the group.
    group: u64,
    /// Write only this frame, counted from 0.
    #[arg(long, value_name = "INDEX")]
    frame: Option<u64>,
    /// How frames are written.
    #[arg(long, short, value_enum, default_value_t = Spelling::Lines)]
    frames: Spelling,
    /// Write an object a line instead: each frame, with the payload in base64, and the end.
    #[arg(long, conflicts_with = "frames")]
    json: bool,
    /// Wait so long for a broadcast that is not on air, and for a group that is still to come.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    wait: Duration,
}

impl Options {
    pub(crate) async fn run(self, signals: Signals) -> anyhow::Result<()> {
        signals.unless_ended(self.fetch()).await.unwrap_or(Ok(()))
    }

    async fn fetch(self) -> anyhow::Result<()> {
        let mut peer = Peer::connect(&self.connect, Role::Watch(&self.path), Duration::ZERO).await?;
        let began = Instant::now();
        let track = peer.find(&self.path, &self.track, self.wait).await?;
        // What comes of itself does so for as long as somebody subscribes.
        let mut subscription = None;
        let mut fetched = peer.unless_over(track.fetch(self.group)).await?;
        let can_fetch = peer.version >= Version::Lite05;
        if can_fetch && fetched.as_ref().is_err_and(|error| is_missing(error.code)) {
            let left = self.wait.saturating_sub(began.elapsed());
            let ask = Ask { start: Start::At(self.group), ..Ask::default() };
            let groups = subscription.insert(track.subscribe(ask));
            fetched = match timeout(left, peer.unless_over(groups.next())).await.unwrap_or(Ok(None))? {
                Some(group) if group.sequence() == self.group => Ok(group),
                // A later one may have come first, after which this one is too old to come by itself.
                _ => peer.unless_over(track.fetch(self.group)).await?,
            };
        }
        let mut group = match fetched {
            Ok(group) => group,
            Err(error) if is_missing(error.code) => return Err(Failure::NoGroup { group: self.group, can_fetch }.into()),
            Err(error) => return Err(peer.blame(anyhow!(error)).await),
        };

        let output = Output::start();
        let written = self.write(&mut group, track.info().timescale, &output).await;
        output.finish().await?;
        // Whoever read it and has gone, has had enough.
        written.unwrap_or(Ok(()))?;
        peer.leave().await;
        Ok(())
    }

    async fn write(&self, group: &mut group::Consumer, scale: Timescale, output: &Output) -> Result<anyhow::Result<()>, Gone> {
        let mut count = 0;
        loop {
            match output.then(group.next_frame()).await? {
                Ok(Some(frame)) => {
                    if self.frame.is_none_or(|wanted| wanted == count) {
                        output.write(self.spell(count, frame, scale)).await?;
                    }
                    if self.frame == Some(count) {
                        return Ok(Ok(()));
                    }
                    count += 1;
                }
                Ok(None) => break,
                Err(error) => return Ok(Err(error.into())),
            }
        }
        if let Some(frame) = self.frame {
            return Ok(Err(Failure::NoFrame { group: self.group, frame, count }.into()));
        }
        if self.json {
            output.write(Event::GroupEnd { group: self.group, frames: count, whole: true }.line()).await?;
        }
        Ok(Ok(()))
    }

    fn spell(&self, index: u64, frame: Frame, scale: Timescale) -> bytes::Bytes {
        if !self.json {
            return self.frames.spell(frame.payload);
        }
        let payload = &frame.payload;
        let timestamp_us = Some(frame.timestamp.to_duration(scale).as_micros() as u64);
        Event::Frame { group: self.group, frame: index, size: payload.len(), timestamp_us, delay_ms: None, payload }.line()
    }
}
