//! Grouping: which frame begins a new group.
//!
//! By how many frames or bytes there are in one, by how long it has lasted, or by a line that separates them; whichever comes first of
//! what was asked for. Decides only. Time is passed in.

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use moq_lite::model::subgroup::{FRAMES_MAX, GROUP_BYTES_MAX};

use crate::{failure::Failure, spelling::Spelling};

/// How long groups last where nothing else was asked for: what a viewer who comes late has to catch up with at most.
const TIME: Duration = Duration::from_secs(1);

/// What a frame takes of a group beside its payload, in bytes: its head, at most.
const HEAD_BYTES: u64 = 16;

/// What ends a group. Without any of these, a group lasts a second.
#[derive(Args, Clone, Debug, Default)]
#[group(id = "grouping", multiple = true)]
pub(crate) struct Rules {
    /// Begin a new group after so many frames.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Groups")]
    group_frames: Option<u64>,
    /// Begin a new group with the frame that would make one larger than so many bytes.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Groups")]
    group_bytes: Option<u64>,
    /// Begin a new group with the first frame after so much time, such as 2s.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Groups")]
    group_time: Option<Duration>,
    /// Begin a new group after each line like this, which is no frame itself. An empty one is a blank line.
    #[arg(long, value_name = "LINE", allow_hyphen_values = true, help_heading = "Groups")]
    group_separator: Option<String>,
}

/// What a frame means for its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the first of a new group.
    First,
    /// It goes on with the current one.
    Next,
    /// It is no frame, but the end of the current group.
    Separator,
}

/// Gives each frame its place.
#[derive(Debug)]
pub(crate) struct Grouping {
    rules: Rules,
    current: Option<Current>,
}

/// The group that frames go into.
#[derive(Debug)]
struct Current {
    frames: u64,
    /// Of payload.
    bytes: u64,
    began: Instant,
}

impl Grouping {
    /// # Errors
    /// When lines are to separate the groups of something that has none.
    pub(crate) fn new(mut rules: Rules, spelling: Spelling) -> anyhow::Result<Self> {
        ensure!(
            rules.group_separator.is_none() || spelling == Spelling::Lines,
            Failure::Usage("--group-separator is a line, which only --frames lines has".into())
        );
        if rules.group_frames.is_none() && rules.group_bytes.is_none() && rules.group_separator.is_none() {
            rules.group_time.get_or_insert(TIME);
        }
        Ok(Self { rules, current: None })
    }

    /// Takes the next frame in.
    pub(crate) fn place(&mut self, frame: &[u8], now: Instant) -> Place {
        if self.rules.group_separator.as_ref().is_some_and(|separator| separator.as_bytes() == frame) {
            self.current = None;
            return Place::Separator;
        }
        let size = frame.len() as u64;
        if let Some(current) = &mut self.current
            && current.has_room(&self.rules, size, now)
        {
            current.frames += 1;
            current.bytes += size;
            return Place::Next;
        }
        self.current = Some(Current { frames: 1, bytes: size, began: now });
        Place::First
    }
}

impl Current {
    fn has_room(&self, rules: &Rules, size: u64, now: Instant) -> bool {
        let (frames, bytes) = (self.frames + 1, self.bytes + size);
        let asked = frames <= rules.group_frames.unwrap_or(u64::MAX) && bytes <= rules.group_bytes.unwrap_or(u64::MAX);
        let is_over = rules.group_time.is_some_and(|time| now.duration_since(self.began) >= time);
        // More than that nobody takes in one group.
        let fits = frames <= FRAMES_MAX as u64 && bytes + frames * HEAD_BYTES <= GROUP_BYTES_MAX;
        asked && fits && !is_over
    }
}

#[cfg(test)]
mod tests {
    use super::{Place::*, *};

    fn grouping(rules: Rules) -> Grouping {
        Grouping::new(rules, Spelling::Lines).unwrap()
    }

    fn places(rules: Rules, frames: &[&str]) -> Vec<Place> {
        let (mut grouping, now) = (grouping(rules), Instant::now());
        frames.iter().map(|frame| grouping.place(frame.as_bytes(), now)).collect()
    }

    #[test]
    fn groups_end_by_count() {
        let rules = Rules { group_frames: Some(2), ..Rules::default() };
        assert_eq!(places(rules, &["a", "b", "c", "d", "e"]), [First, Next, First, Next, First]);
    }

    #[test]
    fn groups_end_by_size() {
        let rules = Rules { group_bytes: Some(5), ..Rules::default() };
        assert_eq!(places(rules, &["aa", "bbb", "c", "longer than that", "d"]), [First, Next, First, First, First]);
    }

    #[test]
    fn groups_end_by_a_line_between_them() {
        let rules = Rules { group_separator: Some(String::new()), ..Rules::default() };
        assert_eq!(places(rules, &["", "a", "b", "", "", "c"]), [Separator, First, Next, Separator, Separator, First]);
    }

    #[test]
    fn groups_end_by_time_with_the_first_frame_after_it() {
        let mut grouping = grouping(Rules::default());
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let places = [0, 999, 1000, 1999, 5000, 5100].map(|millis| grouping.place(b"frame", at(millis)));
        assert_eq!(places, [First, Next, First, Next, First, Next]);
    }

    #[test]
    fn whichever_comes_first_ends_a_group() {
        let rules = Rules { group_frames: Some(3), group_separator: Some("--".into()), ..Rules::default() };
        let expected = [First, Next, Next, First, Separator, First];
        assert_eq!(places(rules, &["a", "b", "c", "d", "--", "e"]), expected);
    }

    #[test]
    fn no_group_is_larger_than_anybody_takes() {
        let rules = Rules { group_frames: Some(u64::MAX), ..Rules::default() };
        let frame = "x".repeat(10 << 20);
        let frames = vec![frame.as_str(); 14];
        let firsts = places(rules, &frames).iter().filter(|place| **place == First).count();
        assert_eq!(firsts, 3, "six of ten MiB fit into 64");
    }

    #[test]
    fn only_lines_are_separated_by_a_line() {
        let rules = Rules { group_separator: Some("--".into()), ..Rules::default() };
        assert!(Grouping::new(rules, Spelling::Raw).is_err());
    }
}
