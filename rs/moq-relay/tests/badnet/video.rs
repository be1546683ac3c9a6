//! A live video whose every byte can be checked by whoever has only the frame.

use std::{cell::RefCell, rc::Rc, time::Duration};

use moq_proto::Timestamp;
use tokio::time::{Instant, interval};

use crate::peer::Published;

/// From one frame to the next: 30 a second.
pub(crate) const FRAME: Duration = Duration::from_nanos(33_333_333);

/// Frames of a group: half a second.
pub(crate) const FRAMES: u32 = 15;

/// Bytes of a group's first frame, and of the others: 1.4 Mbit/s.
const SIZES: (usize, usize) = (20_000, 5_000);

/// Group, frame and time, before the noise; and the checksum after it.
const HEAD: usize = 8 + 4 + 8;
const CHECKSUM: usize = 8;

/// Publishes until it is dropped, and notes when each group began, counted from `epoch`. Groups are numbered from 0.
pub(crate) async fn publish(room: Published, epoch: Instant, starts: Rc<RefCell<Vec<Duration>>>) {
    // Late ticks are made up for, so that the rate holds on a busy machine.
    let mut tick = interval(FRAME);
    loop {
        let mut group = room.video.append_group();
        for frame in 0..FRAMES {
            tick.tick().await;
            if frame == 0 {
                starts.borrow_mut().push(epoch.elapsed());
            }
            let sent = epoch.elapsed();
            let timestamp = Timestamp::from_duration(sent, room.video.info().timescale);
            group.write_frame(write(group.sequence(), frame, sent), Some(timestamp)).unwrap();
        }
        group.finish();
    }
}

fn write(group: u64, frame: u32, sent: Duration) -> Vec<u8> {
    let size = if frame == 0 { SIZES.0 } else { SIZES.1 };
    let mut bytes = Vec::with_capacity(size);
    bytes.extend(group.to_be_bytes());
    bytes.extend(frame.to_be_bytes());
    bytes.extend((sent.as_micros() as u64).to_be_bytes());
    let mut state = (group << 32) ^ u64::from(frame) ^ 0x9e37_79b9_7f4a_7c15;
    while bytes.len() < size - CHECKSUM {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.push(state as u8);
    }
    bytes.extend(checksum(&bytes).to_be_bytes());
    bytes
}

/// When this frame was sent; or what is wrong with it.
pub(crate) fn check(bytes: &[u8], group: u64, frame: u32) -> Result<Duration, String> {
    let Some(sent) = bytes.get(HEAD - 8..HEAD) else { return Err(format!("group {group} frame {frame}: {} bytes", bytes.len())) };
    let sent = Duration::from_micros(u64::from_be_bytes(sent.try_into().unwrap()));
    let expected = write(group, frame, sent);
    if bytes == expected {
        return Ok(sent);
    }
    let at = bytes.iter().zip(&expected).position(|(byte, expected)| byte != expected);
    Err(format!("group {group} frame {frame}: {} bytes of {}, wrong from {at:?}", bytes.len(), expected.len()))
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
