//! Streams over qmux, for a caller that polls.
//!
//! qmux takes bytes through futures that borrow its stream, and such a future must live on to be woken. So a write is tried on
//! the stack first, and only when there is no room does a boxed future own the stream together with a share of what is to be
//! written next. It is asked back whenever the stream is wanted for something else; what it got rid of by then is remembered
//! and told to the next write, which begins with those very bytes.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use moq_lite::transport::{self, Chunks, Rank, StreamError};
use moq_proto::close;
use web_transport_trait::{RecvStream as _, SendStream as _};

use super::ending::Ending;

/// Most bytes that a waiting write shares with its caller: one record.
const WAITING_BYTES_MAX: usize = 16 * 1024;

/// Most chunks of one read.
const BURST_CHUNKS: usize = 64;

/// The sending half of a stream.
pub struct SendStream {
    place: Place,
    /// Bytes of the caller's next chunks that are written already.
    written: usize,
    state: State,
    ending: Arc<Ending>,
}

/// Where the stream of qmux is.
enum Place {
    Here(qmux::SendStream),
    Writing(Writing),
    /// With a write that never came back, or on its way to one.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Finished,
    Reset,
}

/// A write that waits for room and owns its stream meanwhile.
struct Writing {
    write: Pin<Box<dyn Future<Output = Written> + Send>>,
    /// Tells the write to come back with what it has.
    recalled: Arc<AtomicBool>,
    /// Whoever waits for room.
    waker: Waker,
}

struct Written {
    stream: qmux::SendStream,
    bytes: usize,
    result: Result<(), qmux::Error>,
}

impl Writing {
    fn new(mut stream: qmux::SendStream, mut share: Bytes, cx: &Context<'_>) -> Self {
        let recalled = Arc::new(AtomicBool::new(false));
        let is_recalled = recalled.clone();
        let write = Box::pin(async move {
            let before = share.len();
            let result = {
                // Taken from `share` is what qmux accepted, however the write ends.
                let mut write = pin!(stream.write_all_buf(&mut share));
                std::future::poll_fn(|cx| match is_recalled.load(Ordering::Relaxed) {
                    true => Poll::Ready(Ok(())),
                    false => write.as_mut().poll(cx),
                })
                .await
            };
            Written { bytes: before - share.len(), stream, result }
        });
        Self { write, recalled, waker: cx.waker().clone() }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Written> {
        self.waker.clone_from(cx.waker());
        self.write.as_mut().poll(cx)
    }

    /// Ends the wait. Whoever waited is woken to try anew.
    fn recall(mut self) -> Option<Written> {
        self.recalled.store(true, Ordering::Relaxed);
        let written = self.write.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.waker.wake();
        match written {
            Poll::Ready(written) => Some(written),
            Poll::Pending => None,
        }
    }
}

impl SendStream {
    pub(super) fn new(mut stream: qmux::SendStream, rank: Rank, ending: Arc<Ending>) -> Self {
        stream.set_priority(rank.0);
        Self { place: Place::Here(stream), written: 0, state: State::Open, ending }
    }

    /// The stream itself, taken back from a write that waits. `None`: it is gone.
    fn stream(&mut self) -> Option<&mut qmux::SendStream> {
        if let Place::Writing(_) = self.place
            && let Place::Writing(writing) = std::mem::replace(&mut self.place, Place::Lost)
            && let Some(Written { stream, bytes, .. }) = writing.recall()
        {
            self.place = Place::Here(stream);
            self.written += bytes;
        }
        match &mut self.place {
            Place::Here(stream) => Some(stream),
            Place::Writing(_) | Place::Lost => None,
        }
    }

    /// Takes off `chunks` what fits now, and waits with the rest.
    fn write(&mut self, cx: &mut Context<'_>, chunks: &mut Chunks) -> Result<(), qmux::Error> {
        loop {
            if let Place::Writing(writing) = &mut self.place {
                let Poll::Ready(Written { stream, bytes, result }) = writing.poll(cx) else {
                    return Ok(());
                };
                self.place = Place::Here(stream);
                self.written += bytes;
                result?;
            }
            let told = self.written.min(chunks.len());
            self.written -= told;
            chunks.advance(told);

            let Place::Here(mut stream) = std::mem::replace(&mut self.place, Place::Lost) else {
                return Err(qmux::Error::StreamClosed);
            };
            let written = pin!(stream.write_buf(chunks)).poll(cx);
            match (written, chunks.slices().first()) {
                (Poll::Pending, Some(next)) => {
                    let share = next.slice(..next.len().min(WAITING_BYTES_MAX));
                    self.place = Place::Writing(Writing::new(stream, share, cx));
                }
                (written, _) => {
                    self.place = Place::Here(stream);
                    return if let Poll::Ready(Err(error)) = written { Err(error) } else { Ok(()) };
                }
            }
        }
    }
}

impl transport::SendStream for SendStream {
    fn try_write(&mut self, cx: &mut Context<'_>, chunks: &mut Chunks) -> Result<usize, StreamError> {
        if self.state != State::Open {
            return Err(StreamError::Closed);
        }
        let before = chunks.len();
        self.write(cx, chunks).map_err(|error| self.ending.of_stream(&error))?;
        Ok(before - chunks.len())
    }

    fn set_rank(&mut self, rank: Rank) {
        if let Some(stream) = self.stream() {
            stream.set_priority(rank.0);
        }
    }

    fn finish(&mut self) -> Result<(), StreamError> {
        match self.state {
            State::Finished => return Ok(()),
            State::Reset => return Err(StreamError::Closed),
            State::Open => self.state = State::Finished,
        }
        let finished = self.stream().map_or(Err(qmux::Error::StreamClosed), |stream| stream.finish());
        finished.map_err(|error| self.ending.of_stream(&error))
    }

    fn reset(&mut self, code: u32) {
        if self.state == State::Reset {
            return;
        }
        self.state = State::Reset;
        if let Some(stream) = self.stream() {
            stream.reset(code);
        }
    }

    fn poll_acked(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let Some(stream) = self.stream() else {
            return Poll::Ready(Err(StreamError::Closed));
        };
        // The channel beneath keeps the waker of its last poll, so the future need not live on.
        let closed = ready!(pin!(stream.closed()).poll(cx));
        Poll::Ready(closed.map_err(|error| match self.state {
            State::Reset => StreamError::Closed,
            _ => self.ending.of_stream(&error),
        }))
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        if self.state == State::Open {
            transport::SendStream::reset(self, close::stream::CANCELLED.get());
        }
    }
}

/// The receiving half of a stream.
pub struct RecvStream {
    stream: qmux::RecvStream,
    /// Finished, reset or stopped: nothing more to read, and nobody to tell.
    is_over: bool,
    ending: Arc<Ending>,
}

impl RecvStream {
    pub(super) fn new(stream: qmux::RecvStream, ending: Arc<Ending>) -> Self {
        Self { stream, is_over: false, ending }
    }
}

impl transport::RecvStream for RecvStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, burst: &mut Vec<Bytes>) -> Poll<Result<bool, StreamError>> {
        if self.is_over {
            return Poll::Ready(Ok(false));
        }
        for added in 0..BURST_CHUNKS {
            // The channels beneath keep the waker of their last poll, so the future need not live on.
            let result = match pin!(self.stream.read_chunk(usize::MAX)).poll(cx) {
                Poll::Ready(Ok(Some(chunk))) => {
                    burst.push(chunk);
                    continue;
                }
                // Ends are told again when they are all that is left.
                _ if added > 0 => return Poll::Ready(Ok(true)),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(None)) => Ok(false),
                Poll::Ready(Err(error)) => Err(self.ending.of_stream(&error)),
            };
            self.is_over = true;
            return Poll::Ready(result);
        }
        Poll::Ready(Ok(true))
    }

    fn stop(&mut self, code: u32) {
        if !self.is_over {
            self.is_over = true;
            self.stream.stop(code);
        }
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        transport::RecvStream::stop(self, close::stream::CANCELLED.get());
    }
}
