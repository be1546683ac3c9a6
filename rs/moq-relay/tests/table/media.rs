//! What is published, made so that any byte out of place shows.

use bytes::Bytes;
use moq_lite::model::{
    group::{self, GroupError},
    track,
};
use moq_proto::close;

use crate::peer::soon;

/// Payload sizes of a group's frames, in bytes: nothing, one byte, and more than a packet, a record and a socket's buffer take.
const SIZES: [usize; 6] = [1, 0, 1_300, 70_000, 3, 300_000];

/// How many frames a group has.
pub(crate) const FRAMES: usize = SIZES.len();

/// Frame `index` of a group. `seed` tells publishers apart.
pub(crate) fn frame(seed: u8, group: u64, index: usize) -> Bytes {
    let start = usize::from(seed) * 31 + group as usize * 7 + index;
    (start..start + SIZES[index]).map(|at| (at ^ (at >> 8)) as u8).collect()
}

/// All frames of a group.
pub(crate) fn frames(seed: u8, group: u64) -> Vec<Bytes> {
    (0..FRAMES).map(|index| frame(seed, group, index)).collect()
}

/// Publishes the next group, whole, and returns its sequence.
pub(crate) fn publish(track: &track::Producer, seed: u8) -> u64 {
    let group = track.append_group();
    let sequence = group.sequence();
    group.write_all(frames(seed, sequence));
    sequence
}

/// The next group of a subscription.
pub(crate) async fn next(groups: &mut track::Subscription) -> group::Consumer {
    soon("a group", groups.next()).await.expect("the track goes on")
}

/// Reads the next group to its end, and checks that it is this one and whole.
pub(crate) async fn receive(groups: &mut track::Subscription, seed: u8, sequence: u64) {
    let group = next(groups).await;
    assert_eq!(group.sequence(), sequence);
    assert_whole(group, seed).await;
}

/// Reads groups to their end until this one has come whole. For viewers that may find older ones, which are cut off where there
/// is a newer one.
pub(crate) async fn receive_up_to(groups: &mut track::Subscription, seed: u8, sequence: u64) {
    loop {
        let mut group = next(groups).await;
        if group.sequence() == sequence {
            return assert_whole(group, seed).await;
        }
        let mut index = 0;
        while let Some(read) = soon("a frame", group.next_frame()).await.or_else(only_if_old).unwrap() {
            assert!(read.payload == frame(seed, group.sequence(), index), "frame {index} is not what was sent");
            index += 1;
        }
    }
}

/// The end of what was cut off for its age, as the end of what there is.
fn only_if_old(error: GroupError) -> Result<Option<group::Frame>, GroupError> {
    match error {
        GroupError::Reset { code: close::stream::OLD, .. } => Ok(None),
        other => Err(other),
    }
}

/// Reads a group to its end, and checks that it is whole.
pub(crate) async fn assert_whole(mut group: group::Consumer, seed: u8) {
    let sequence = group.sequence();
    for index in 0..FRAMES {
        assert_frame(&mut group, seed, index).await;
    }
    assert_eq!(soon("the end of a group", group.next_frame()).await, Ok(None), "of group {sequence}");
}

/// Reads the next frame, and checks every byte.
pub(crate) async fn assert_frame(group: &mut group::Consumer, seed: u8, index: usize) {
    let sequence = group.sequence();
    let read = soon("a frame", group.next_frame()).await.unwrap();
    let read = read.unwrap_or_else(|| panic!("group {sequence} ends before frame {index}"));
    // Compared as a whole: a difference in 300,000 bytes is not worth printing.
    assert!(read.payload == frame(seed, sequence, index), "frame {index} of group {sequence} is not what was sent");
}
