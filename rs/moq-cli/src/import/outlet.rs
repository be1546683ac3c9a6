//! Outlet: media on its way into a broadcast: a track for each of the input's, in groups that a decoder can begin with, and the
//! catalog of them.
//!
//! A track that changes in the middle, such as a camera that is turned, is another one from then on: players change over by the
//! catalog, each with a decoder of its own.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use moq_lite::model::{broadcast, group, track};

use super::{
    catalog::{self, Catalog},
    media::{Config, Frame},
    timeline::Timeline,
};
use crate::wall::Wall;

/// How long a group of sound is, in microseconds. Whoever comes begins with a group, so a long one is so much of the past; a
/// short one is a stream to each viewer.
const SOUND_GROUP: i64 = 500_000;

/// Which goes first where not all fits: what a player needs to begin, then what is heard, then what is seen. As `@moq/hang` has it.
const CATALOG_PRIORITY: u8 = 100;
const AUDIO_PRIORITY: u8 = 80;
const VIDEO_PRIORITY: u8 = 60;

const TOO_LONG: &str = "a key frame is wanted every second or two; with ffmpeg: -g 60";

pub(super) struct Outlet<'a> {
    broadcast: &'a broadcast::Producer,
    keep: Duration,
    wall: Wall,
    timeline: Timeline,
    /// What the input has, by its own names.
    tracks: BTreeMap<u32, Track>,
    catalog: Catalog,
    listing: track::Producer,
    /// Tracks that have been on air, of each kind.
    videos: u32,
    audios: u32,
}

struct Track {
    config: Config,
    /// Since its first frame that a decoder can begin with.
    on_air: Option<OnAir>,
}

struct OnAir {
    track: track::Producer,
    group: Option<group::Producer>,
    /// When the group began.
    began: i64,
}

/// What a frame has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Published {
    /// The track that is on air now and was not before: its name and codec.
    pub(super) track: Option<(String, String)>,
    pub(super) has_begun_group: bool,
    /// `false`: it is left out, as no decoder can begin with it.
    pub(super) is_published: bool,
}

impl<'a> Outlet<'a> {
    /// `keep`: how long groups are kept behind the newest.
    pub(super) fn new(broadcast: &'a broadcast::Producer, keep: Duration) -> anyhow::Result<Self> {
        let outlet = Self {
            listing: broadcast.create_track(catalog::TRACK, info(CATALOG_PRIORITY, keep))?,
            broadcast,
            keep,
            wall: Wall::new(),
            timeline: Timeline::default(),
            tracks: BTreeMap::new(),
            catalog: Catalog::default(),
            videos: 0,
            audios: 0,
        };
        outlet.tend(Instant::now());
        Ok(outlet)
    }

    /// The track with the catalog, which all who watch begin with.
    pub(super) fn listing(&self) -> &track::Producer {
        &self.listing
    }

    /// All tracks.
    pub(super) fn all(&self) -> impl Iterator<Item = &track::Producer> {
        let media = self.tracks.values().filter_map(|track| track.on_air.as_ref().map(|on_air| &on_air.track));
        std::iter::once(&self.listing).chain(media)
    }

    /// Tells the tracks the time, by which old groups go.
    pub(super) fn tend(&self, now: Instant) {
        for track in self.all() {
            track.tend(now);
        }
    }

    /// The input has such a track from here on. It goes on air with its first frame.
    pub(super) fn track(&mut self, track: u32, config: Config) {
        if let Some(known) = self.tracks.get(&track)
            && known.config == config
        {
            return;
        }
        if let Some(OnAir { track, group, .. }) = self.tracks.remove(&track).and_then(|known| known.on_air) {
            self.catalog.remove(track.name());
            if let Some(group) = group {
                group.finish();
            }
            track.finish(None);
        }
        self.tracks.insert(track, Track { config, on_air: None });
    }

    /// Publishes a frame.
    ///
    /// # Errors
    /// When a group gets too large, or there are too many tracks.
    pub(super) fn frame(&mut self, frame: &Frame) -> anyhow::Result<Published> {
        let mut published = Published::default();
        let decode = self.timeline.place(frame.track, frame.decode);
        let Some(track) = self.tracks.get_mut(&frame.track) else { return Ok(published) };
        let is_video = matches!(track.config, Config::Video(_));
        let on_air = match &mut track.on_air {
            Some(on_air) => on_air,
            None if !frame.is_key => return Ok(published),
            empty => {
                let (kind, number, priority) = match is_video {
                    true => ("video", &mut self.videos, VIDEO_PRIORITY),
                    false => ("audio", &mut self.audios, AUDIO_PRIORITY),
                };
                *number += 1;
                let name = if *number == 1 { kind.to_owned() } else { format!("{kind}{number}") };
                let producer = self.broadcast.create_track(&name, info(priority, self.keep))?;
                producer.tend(Instant::now());
                self.catalog.add(&name, &track.config, frame.offset);
                let (Config::Video(super::media::Video { codec, .. }) | Config::Audio(super::media::Audio { codec, .. })) =
                    &track.config;
                published.track = Some((name, codec.clone()));
                empty.insert(OnAir { track: producer, group: None, began: decode })
            }
        };
        let is_end = if is_video { frame.is_key } else { decode.saturating_sub(on_air.began) >= SOUND_GROUP };
        if is_end && let Some(group) = on_air.group.take() {
            group.finish();
        }
        let group = match &mut on_air.group {
            Some(group) => group,
            empty => {
                on_air.began = decode;
                published.has_begun_group = true;
                empty.insert(on_air.track.append_group())
            }
        };
        let payload = catalog::legacy(decode.saturating_add(frame.offset), &frame.payload);
        group.write_frame(payload, Some(self.wall.now())).context(TOO_LONG)?;
        published.is_published = true;
        if published.track.is_some() {
            self.list()?;
        }
        Ok(published)
    }

    /// Publishes the catalog as it is now.
    fn list(&mut self) -> anyhow::Result<()> {
        let mut group = self.listing.append_group();
        group.write_frame(self.catalog.frame(), Some(self.wall.now()))?;
        group.finish();
        Ok(())
    }

    /// Ends all tracks.
    pub(super) fn finish(&mut self) {
        for on_air in self.tracks.values_mut().filter_map(|track| track.on_air.as_mut()) {
            if let Some(group) = on_air.group.take() {
                group.finish();
            }
            on_air.track.finish(None);
        }
        self.listing.finish(None);
    }
}

fn info(priority: u8, max_age: Duration) -> track::Info {
    track::Info { priority, max_age, timescale: Wall::scale() }
}

#[cfg(test)]
mod tests;
