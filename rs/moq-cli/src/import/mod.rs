//! moq import: media on standard input as a broadcast that players find and play by its catalog.
//!
//! [`format`](mod@format) tells which container the input is in; [`flv`], [`mp4`] and [`ivf`] read it as [`media`], frame by frame; [`outlet`]
//! publishes that. Nothing is decoded, and no frame waits for the next one unless the container makes it.

mod catalog;
mod codec;
mod flv;
mod format;
mod ivf;
mod media;
mod mp4;
mod outlet;
mod source;
#[cfg(test)]
mod tests;
mod timeline;

use std::{
    io::{self, BufReader},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use moq_lite::model::broadcast;
use moq_proto::Path;
use tokio::{
    sync::mpsc,
    time::{Interval, interval, timeout},
};

use self::{
    format::{Demuxer, Format},
    media::Item,
    outlet::{Outlet, Published},
    source::InputError,
};
use crate::{
    connect::{Connect, Patience},
    event::Event,
    link::Link,
    on_air::{self, Audience, Lasting},
    output::Events,
    peer::{Peer, Role},
    progress::{Progress, Quiet},
    signal::Signals,
};

/// Frames that were read and are not published yet: a few, as none of them is to wait.
const AHEAD: usize = 8;

/// Bytes read at once, at most: a key frame in one call.
const READ_BYTES: usize = 256 << 10;

/// Publish media on standard input, from ffmpeg or OBS, as a broadcast for players.
///
/// The input is FLV, fragmented MP4 or IVF, and comes as fast as it is made. Its tracks are published as they are, with the
/// catalog that @moq/watch and its like look for; nothing is decoded.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    patience: Patience,
    /// Path of the broadcast below that of the URL. Players take the end .hang for the kind of its catalog.
    path: Path,
    /// What the input is, rather than what its first bytes tell.
    #[arg(long, short, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    lasting: Lasting,
    /// Write an object a line to standard output: the session, each track, and the end.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    quiet: Quiet,
}

const EXAMPLES: &str = "\
A film, at its own speed:
  ffmpeg -re -i film.mp4 -c copy -f flv - | moq import http://localhost:4443 demo/film.hang
OBS, which streams to the server rtmp://127.0.0.1:1935/live, again and again:
  while ffmpeg -listen 1 -i rtmp://127.0.0.1:1935/live -c copy -f flv -; do :; done |
    moq import http://localhost:4443 demo/obs.hang";

impl Options {
    pub(crate) async fn run(self, signals: Signals) -> anyhow::Result<()> {
        let connect = Peer::connect(&self.connect, Role::Publish { keep: self.lasting.keep }, self.patience.reconnect);
        let Some(connected) = signals.unless_ended(connect).await else { return Ok(()) };
        let mut peer = connected?;

        let broadcast = peer.broadcast();
        let events = Events::start(self.json);
        events.tell(Event::Connected { url: &peer.place, version: peer.version }).await;
        let mut importing = Importing {
            broadcast: &broadcast,
            outlet: Outlet::new(&broadcast, self.lasting.keep)?,
            ticks: interval(on_air::TEND_INTERVAL),
            progress: Progress::of_input(self.quiet),
            events,
            link: peer.link(),
        };
        let announce = |peer: &Peer| peer.announce(&self.path, &broadcast).context("announcing the broadcast");
        let mut on_air = None;
        if self.lasting.wait {
            on_air = Some(announce(&peer)?);
            tokio::select! {
                biased;
                () = signals.end() => return Ok(()),
                error = peer.over() => return Err(error),
                () = importing.watched() => {}
            }
        }
        let mut input = start(self.format);
        let imported = loop {
            let imported = tokio::select! {
                biased;
                imported = importing.import(&mut input, &signals) => imported,
                error = peer.over() => return Err(error),
            };
            match imported {
                // Nothing is announced before there is something to see.
                Ok(Paused::Listed) if on_air.is_none() => on_air = Some(announce(&peer)?),
                Ok(Paused::Listed) => {}
                Ok(Paused::Ended) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let audiences = importing.outlet.all().map(|track| Audience::of(track, &importing.link)).collect();
        importing.outlet.finish();
        // Nobody comes late to what never was, and a failure is told at once.
        let stay = if imported.is_ok() && on_air.is_some() { self.lasting.stay } else { Duration::ZERO };
        let end = importing.progress.meter.end();
        importing.events.tell(end).await;

        tokio::select! {
            biased;
            // Those who watched are gone with the session, which is not to say that they have it all.
            error = peer.over() => return Err(error),
            () = importing.served(audiences, stay, &signals) => {}
        }
        importing.events.finish().await?;
        peer.farewell().await;
        imported
    }
}

/// Why importing has paused.
enum Paused {
    /// The catalog has another track.
    Listed,
    /// The input has ended, or the end was asked for.
    Ended,
}

struct Importing<'a> {
    broadcast: &'a broadcast::Producer,
    outlet: Outlet<'a>,
    /// When the tracks are told the time.
    ticks: Interval,
    progress: Progress,
    events: Events,
    link: Link,
}

impl Importing<'_> {
    /// Publishes the input until there is a reason to pause.
    async fn import(&mut self, input: &mut Input, signals: &Signals) -> anyhow::Result<Paused> {
        loop {
            let item = tokio::select! {
                biased;
                () = signals.end() => return Ok(Paused::Ended),
                () = self.progress.due() => {
                    self.progress.show();
                    continue;
                }
                state = self.link.changed() => {
                    self.progress.link(&state);
                    self.events.tell(Event::link(&state)).await;
                    continue;
                }
                () = tend(self.broadcast, &self.outlet, &mut self.ticks) => continue,
                item = input.recv() => item,
            };
            match item {
                Some(Ok(Item::Track { track, config })) => self.outlet.track(track, config),
                Some(Ok(Item::Frame(frame))) => {
                    let Published { track, has_begun_group, is_published } = self.outlet.frame(&frame)?;
                    if is_published {
                        self.progress.meter.frame(frame.payload.len());
                    }
                    self.progress.meter.groups += u64::from(has_begun_group);
                    if let Some((track, codec)) = track {
                        self.events.tell(Event::Track { track: &track, codec: &codec }).await;
                        return Ok(Paused::Listed);
                    }
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(Paused::Ended),
            }
        }
    }

    /// Waits until somebody watches.
    async fn watched(&mut self) {
        let watched = on_air::watched(self.outlet.listing());
        tokio::pin!(watched);
        loop {
            tokio::select! {
                () = &mut watched => return,
                () = tend(self.broadcast, &self.outlet, &mut self.ticks) => {}
            }
        }
    }

    /// Stays on air as long as was asked for, and until all who watch have the last groups.
    async fn served(&mut self, audiences: Vec<Audience>, stay: Duration, signals: &Signals) {
        let served = async {
            let _ = timeout(stay, signals.end()).await;
            for (audience, track) in audiences.into_iter().zip(self.outlet.all()) {
                audience.served(track, &self.link, signals).await;
            }
        };
        tokio::pin!(served);
        loop {
            tokio::select! {
                () = &mut served => return,
                () = tend(self.broadcast, &self.outlet, &mut self.ticks) => {}
            }
        }
    }
}

/// Tells the tracks the time once it is due, and meanwhile whoever asks for another track that there is none.
///
/// # Cancel safety
/// Dropping the call loses nothing.
async fn tend(broadcast: &broadcast::Producer, outlet: &Outlet<'_>, ticks: &mut Interval) {
    loop {
        tokio::select! {
            now = ticks.tick() => return outlet.tend(now.into()),
            // Without anybody who could ask, it is as if nobody did.
            Some(request) = broadcast.requested() => drop(request),
        }
    }
}

/// What was read. The channel is closed once the input has ended.
type Input = mpsc::Receiver<Result<Item, InputError>>;

/// Starts to read, on a thread that ends with the input, or with the program.
fn start(format: Option<Format>) -> Input {
    let (sender, input) = mpsc::channel(AHEAD);
    thread::spawn(move || {
        let mut demuxer = match Demuxer::new(BufReader::with_capacity(READ_BYTES, io::stdin().lock()), format) {
            Ok(demuxer) => demuxer,
            Err(error) => return drop(sender.blocking_send(Err(error))),
        };
        while let Some(item) = demuxer.next().transpose() {
            let has_failed = item.is_err();
            if sender.blocking_send(item).is_err() || has_failed {
                return;
            }
        }
    });
    input
}
