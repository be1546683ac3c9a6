//! Reading a group: byte by byte for a viewer, frame by frame for an application.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
};

use bytes::{Bytes, BytesMut};
use moq_proto::{CloseCode, Framing, Timestamp, close};

use super::{Group, Image, image};
use crate::model::{
    bell::{Bell, Ringer},
    log::{Ending, Log},
    subgroup::{FrameSpan, Subgroup},
};

/// Why a group could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The publisher gave up on the group, with this code.
    #[error("group {sequence} reset by its publisher (code {code})")]
    Reset { sequence: u64, code: CloseCode },
    /// The cache dropped frames this reader had not reached.
    #[error("group {sequence} evicted before frame {frame}")]
    Evicted { sequence: u64, frame: usize },
}

/// One frame of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// In the track's timescale.
    pub timestamp: Timestamp,
    pub payload: Bytes,
}

/// A reader of a group. Clones read on from where this one is.
#[derive(Debug)]
pub struct Consumer {
    group: Arc<Group>,
    /// The next frame to be read.
    next: usize,
    /// How much of its payload [chunks](Self::next_chunk) have given already, in bytes.
    taken: u64,
    /// Hung up by the first wait.
    bell: Option<(Ringer, Bell)>,
}

impl Clone for Consumer {
    fn clone(&self) -> Self {
        let mut clone = Self::new(self.group.clone());
        (clone.next, clone.taken) = (self.next, self.taken);
        clone
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.group.leave();
    }
}

impl Consumer {
    pub(crate) fn new(group: Arc<Group>) -> Self {
        group.readers.fetch_add(1, Ordering::AcqRel);
        Self { group, next: 0, taken: 0, bell: None }
    }

    pub fn sequence(&self) -> u64 {
        self.group.sequence
    }

    /// Its place in the order of the track's arrivals, from 1.
    pub fn arrival(&self) -> u64 {
        self.group.arrival
    }

    /// The time of the frame that arrived first. `None`: none has.
    pub fn first_timestamp(&self) -> Option<Timestamp> {
        self.group.first_timestamp()
    }

    /// The latest time of any frame that arrived. `None`: none has.
    pub fn newest_timestamp(&self) -> Option<Timestamp> {
        self.group.newest_timestamp()
    }

    /// Whether nothing more will arrive.
    pub fn is_ended(&self) -> bool {
        self.ending().is_some()
    }

    /// How the group ended. `None`: more may arrive.
    pub fn ending(&self) -> Option<Ending> {
        self.group.ending()
    }

    /// Whether the group ended before its time: there is nothing more to have than what has arrived.
    pub fn is_cut(&self) -> bool {
        matches!(self.ending(), Some(Ending::Aborted(_)))
    }

    /// Whether the group came in a datagram, and so goes on in one.
    pub fn is_datagram(&self) -> bool {
        self.group.datagram.load(Ordering::Relaxed)
    }

    /// Frame `index`. `None`: it is not all there, or not any more.
    pub fn frame(&self, index: usize) -> Option<Frame> {
        let source = self.group.visible()?;
        read(&source, index)
    }

    /// What a viewer with this framing sees of the group: the stream that holds its first frame. `None`: it is not there,
    /// and will not be once the group [has ended](Self::is_ended).
    pub fn view(&self, framing: Framing) -> Option<View> {
        let source = self.group.visible()?;
        self.group.charge.touch();
        let image = (source.info().framing != framing).then(|| self.group.image(&source, framing));
        Some(View { source, image })
    }

    /// The next frame, waiting until all of it is here. `None` once the group has ended.
    ///
    /// # Errors
    /// [`GroupError::Evicted`] when the cache dropped frames this reader had not reached;
    /// [`GroupError::Reset`] when the publisher abandoned the group.
    ///
    /// # Cancel safety
    /// Dropping the call loses no frame.
    pub async fn next_frame(&mut self) -> Result<Option<Frame>, GroupError> {
        self.when(|reader, source| {
            let frame = read(source, reader.next)?;
            (reader.next, reader.taken) = (reader.next + 1, 0);
            Some(frame)
        })
        .await
    }

    /// The next bytes of payload, as soon as there are any: the payloads of all frames, one after the other and without
    /// what stands between them, in pieces that have nothing to do with where frames end. No byte is copied. `None` once the
    /// group has ended. It goes on where [`next_frame`](Self::next_frame) stopped.
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    ///
    /// # Cancel safety
    /// Dropping the call loses no byte.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, GroupError> {
        self.when(|reader, source| {
            loop {
                let span = source.frames().get(reader.next)?;
                let mut first = None;
                let at = span.payload + reader.taken;
                source.log().unread(at, Some(span.end), |slice| first = first.take().or(Some(slice)));
                reader.taken += first.as_ref().map_or(0, Bytes::len) as u64;
                if span.payload + reader.taken == span.end {
                    (reader.next, reader.taken) = (reader.next + 1, 0);
                } else if first.is_none() {
                    return None;
                }
                if first.is_some() {
                    return first;
                }
            }
        })
        .await
    }

    /// Waits until `take` finds something, or for the end.
    async fn when<T>(&mut self, mut take: impl FnMut(&mut Self, &Subgroup) -> Option<T>) -> Result<Option<T>, GroupError> {
        let feed = &self.group.feed;
        let (ringer, _) = self.bell.get_or_insert_with(|| {
            let ringer = Ringer::new();
            let bell = feed.tower.attach(&ringer, 0);
            (ringer, bell)
        });
        let ringer = ringer.clone();
        let mut rung = Vec::new();
        loop {
            // Silenced before looking, so that whatever comes after the look rings.
            ringer.take_rung(&mut rung);
            if let Some(result) = self.look(&mut take) {
                return result;
            }
            poll_fn(|cx| ringer.poll_rung(cx)).await;
        }
    }

    /// What `take` finds, or the end. `None`: it has to be waited for.
    fn look<T>(&mut self, take: impl FnOnce(&mut Self, &Subgroup) -> Option<T>) -> Option<Result<Option<T>, GroupError>> {
        let sequence = self.group.sequence;
        // Asked first: whatever was written before the end is then there to be read.
        let ending = self.group.ending();
        let source = self.group.visible();
        if let Some(found) = source.as_ref().and_then(|source| take(self, source)) {
            return Some(Ok(Some(found)));
        }
        match ending? {
            Ending::Finished => Some(Ok(None)),
            Ending::Aborted(_) if source.is_some_and(|source| source.log().ends_at(source.frames().end(self.next))) => {
                Some(Ok(None))
            }
            Ending::Aborted(close::stream::EVICTED) => Some(Err(GroupError::Evicted { sequence, frame: self.next })),
            Ending::Aborted(code) => Some(Err(GroupError::Reset { sequence, code })),
        }
    }

    /// The payloads of all frames from the next one on, up to the end of the group, however it ends.
    pub async fn frames(mut self) -> Vec<Bytes> {
        let mut payloads = Vec::new();
        while let Ok(Some(frame)) = self.next_frame().await {
            payloads.push(frame.payload);
        }
        payloads
    }
}

/// Frame `index` of `source`, if it is all there.
fn read(source: &Subgroup, index: usize) -> Option<Frame> {
    let span = source.frames().get(index)?;
    if source.log().len() < span.end {
        return None;
    }
    let payload = collect(source.log(), span.payload, span.end)?;
    Some(Frame { timestamp: span.timestamp, payload })
}

/// The bytes from `start` to `end`, without a copy when they lie in one slice. `None`: they were evicted.
fn collect(log: &Log, start: u64, end: u64) -> Option<Bytes> {
    let mut slices = Vec::new();
    let mut at = start;
    while at < end {
        match log.unread(at, Some(end), |slice| slices.push(slice)) {
            0 => return None,
            read => at += read,
        }
    }
    if slices.len() <= 1 {
        return Some(slices.pop().unwrap_or_default());
    }
    let mut whole = BytesMut::with_capacity((end - start) as usize);
    slices.iter().for_each(|slice| whole.extend_from_slice(slice));
    Some(whole.freeze())
}

/// A group as viewers of one framing see it.
#[derive(Clone, Debug)]
pub struct View {
    source: Arc<Subgroup>,
    /// `None` when the publisher's framing is the viewer's.
    image: Option<Arc<Image>>,
}

impl View {
    /// Makes the log say all that has arrived; to be called before it is read. Cheap when there is nothing new.
    pub fn sync(&self) {
        if let Some(image) = &self.image {
            image.sync();
        }
    }

    /// The bytes in the viewer's framing.
    pub fn log(&self) -> &Log {
        self.image.as_ref().map_or(self.source.log(), |image| image.log())
    }

    /// Where frame `index` lies in [`log`](Self::log). `None`: its head has not arrived.
    pub fn frame(&self, index: u64) -> Option<FrameSpan> {
        let index = usize::try_from(index).ok()?;
        self.image.as_ref().map_or(self.source.frames(), |image| image.frames()).get(index)
    }

    /// The head of frame `index` for a stream that starts with it, where its time is told from zero on. `None`: it has not
    /// arrived.
    pub fn first_head(&self, index: u64) -> Option<Bytes> {
        let framing = self.image.as_ref().map_or(self.source.info().framing, |image| image.framing());
        Some(image::head(framing, &self.frame(index)?, Timestamp::ZERO))
    }
}
