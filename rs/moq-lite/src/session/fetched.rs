//! Fetched: one group on its way to whoever asked for just that one.

use std::{future::poll_fn, task::Poll};

use moq_proto::{Framing, close};

use super::{
    clock::now,
    error::Failure,
    order::Tick,
    outbound::{Part, Progress, Sending},
    stream::poll_stopped,
};
use crate::{
    model::{bell::Ringer, group, track},
    stats::{Stats, count},
    transport::{Chunks, SendStream},
};

/// Frames `first` to `last`, or to the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) first: u64,
    pub(super) last: Option<u64>,
}

/// Sends the frames of `range`, as they come if the group is still arriving, and finishes the stream.
///
/// # Errors
/// NOT_FOUND when the group ends before the range begins; how the group ended, when it ended before its time; a stop, which
/// withdraws the request like an end of the asker's own half.
pub(super) async fn send<S: SendStream>(
    group: &group::Consumer,
    track: &track::Consumer,
    framing: Framing,
    range: Range,
    stream: &mut S,
    stats: &Stats,
) -> Result<(), Failure> {
    // Rung by whatever happens to the track, which is more than needed and cheap.
    let ringer = Ringer::new();
    let _bell = track.attach(&ringer, 0);
    let mut rung = Vec::new();

    let part = poll_fn(|cx| {
        loop {
            ringer.take_rung(&mut rung);
            let ended = group.is_ended();
            if let Some(part) = Part::of(group, framing, range.first, range.last) {
                return Poll::Ready(Ok(part));
            }
            if ended {
                return Poll::Ready(Err(Failure::Ended(close::stream::NOT_FOUND)));
            }
            if ringer.poll_rung(cx).is_pending() {
                return poll_stopped(stream, cx).map(|stopped| Err(stopped.into()));
            }
        }
    })
    .await?;

    let mut sending = Sending::new(part.rewritten.clone(), part, stream, Tick::FIRST);
    let mut scratch = Chunks::new();
    poll_fn(|cx| {
        loop {
            ringer.take_rung(&mut rung);
            let mut sent = 0;
            let progress = sending.pump(cx, now(), &mut scratch, &mut sent);
            count(&stats.counters().sent_bytes, sent);
            match progress? {
                Progress::Done => return Poll::Ready(Ok(())),
                Progress::Cut(code) => return Poll::Ready(Err(Failure::Ended(code))),
                Progress::Blocked => return Poll::Pending,
                Progress::CaughtUp if ringer.poll_rung(cx).is_pending() => {
                    return poll_stopped(sending.stream(), cx).map(|stopped| Err(stopped.into()));
                }
                Progress::CaughtUp => {}
            }
        }
    })
    .await
}
