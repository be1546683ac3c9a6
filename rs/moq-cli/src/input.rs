//! Standard input, read on a thread of its own so that the session goes on while nothing comes.

use std::{io, thread};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::spelling::{FrameError, Frames, Spelling};

/// Frames that were read and are not published yet: enough to keep both sides busy.
const AHEAD: usize = 64;

/// Frames as they come in. The channel is closed once the input has ended.
pub(crate) type Input = mpsc::Receiver<Result<Bytes, FrameError>>;

/// Starts to read. The thread ends with the input, or with the program.
pub(crate) fn start(spelling: Spelling, size: u64) -> Input {
    let (sender, input) = mpsc::channel(AHEAD);
    thread::spawn(move || {
        for frame in Frames::new(io::stdin().lock(), spelling, size) {
            let failed = frame.is_err();
            if sender.blocking_send(frame).is_err() || failed {
                return;
            }
        }
    });
    input
}
