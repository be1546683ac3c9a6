//! Broadcasts, tracks, groups and frames: pure state, with the time handed in.
