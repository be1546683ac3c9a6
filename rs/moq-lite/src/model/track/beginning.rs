//! Beginning: what a track's source says that it begins with, and what is still to come by that.
//!
//! Groups overtake each other, so that the lowest that is here need not be the lowest there is. Spec: moq-lite-06,
//! "SUBSCRIBE_START".

use std::ops::Range;

use super::{Consumer, Producer};

/// What a track's source says of its lowest group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beginning {
    /// Nothing: what is here is all that is known of.
    #[default]
    Unsaid,
    /// Nothing yet.
    Awaited,
    /// None below this one will come.
    At(u64),
}

/// What is still to come below groups that are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToCome {
    /// Nothing, as far as is known.
    Nothing,
    /// This one, and maybe others above it.
    From(u64),
    /// The source is about to say.
    Unsaid,
}

impl Producer {
    /// Replaces what the source says that it begins with.
    pub fn begin(&self, beginning: Beginning) {
        self.shared.groups.lock().begin(beginning);
        self.shared.feed.tower.ring();
    }
}

impl Consumer {
    /// Whether the lowest group that the source has of `range` is still to come. Nothing is once it is here, although others
    /// above it may be missing, nor once the track is over.
    pub fn to_come(&self, range: Range<u64>) -> ToCome {
        self.shared.groups.lock().to_come(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        cache::Budget,
        track::{GROUPS_MAX, Info},
    };

    fn track() -> Producer {
        Producer::new("video", Info::default(), &Budget::new(1 << 30).account())
    }

    fn group(track: &Producer, sequence: u64) {
        track.create_group(sequence).unwrap().write_all(["frame"]);
    }

    #[test]
    fn what_a_source_begins_with_is_to_come_until_it_is_here_or_the_track_is_over() {
        let (track, all) = (track(), 0..9);
        let viewer = track.consume();
        group(&track, 9);
        assert_eq!(viewer.to_come(all.clone()), ToCome::Nothing, "nothing was said");
        track.begin(Beginning::Awaited);
        assert_eq!(viewer.to_come(all.clone()), ToCome::Unsaid);
        assert_eq!(viewer.to_come(9..9), ToCome::Nothing, "of nothing");
        track.begin(Beginning::At(3));
        assert_eq!(viewer.to_come(all.clone()), ToCome::From(3));
        assert_eq!(viewer.to_come(5..9), ToCome::From(5));
        assert_eq!(viewer.to_come(0..3), ToCome::Nothing);
        group(&track, 3);
        assert_eq!(viewer.to_come(all.clone()), ToCome::Nothing);
        track.begin(Beginning::At(2));
        assert_eq!(viewer.to_come(all.clone()), ToCome::From(2));
        track.finish(None);
        assert_eq!(viewer.to_come(all), ToCome::Nothing);
    }

    #[test]
    fn what_was_let_go_of_is_not_to_come() {
        let track = track();
        track.begin(Beginning::At(0));
        (1..=GROUPS_MAX as u64 + 3).for_each(|sequence| group(&track, sequence));
        assert_eq!(track.consume().to_come(0..4), ToCome::Nothing);
        track.begin(Beginning::Awaited);
        assert_eq!(track.consume().to_come(0..4), ToCome::Nothing);
        assert_eq!(track.consume().to_come(0..5), ToCome::Unsaid);
    }
}
