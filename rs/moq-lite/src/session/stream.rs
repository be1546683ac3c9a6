//! Whole messages over a transport stream.
//!
//! Reads a message's length, checks it against the limit, collects exactly that many bytes and hands a whole message to its
//! decoder. Only stream heads that carry no length are read through `Prefix`. Waiting is cancel safe: what arrived stays.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use moq_proto::{
    CloseCode, Prefix, PrefixError, VarInt,
    lite::{Layout, MESSAGE_BYTES_MAX},
};

use super::error::Failure;
use crate::transport::{Chunks, RecvStream, SendStream, StreamError};

/// Reads messages from a stream.
pub(super) struct Receiver<S> {
    stream: S,
    burst: Vec<Bytes>,
    buffer: BytesMut,
}

impl<S: RecvStream> Receiver<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, burst: Vec::new(), buffer: BytesMut::new() }
    }

    /// Waits for more bytes; `false` at the end of the stream.
    async fn fill(&mut self) -> Result<bool, StreamError> {
        let more = poll_fn(|cx| self.stream.poll_read(cx, &mut self.burst)).await?;
        for chunk in self.burst.drain(..) {
            self.buffer.extend_from_slice(&chunk);
        }
        Ok(more)
    }

    /// Reads what `read` takes off the front of the stream, waiting until it is whole. `None`: the stream ended before it.
    pub(super) async fn head<T>(
        &mut self,
        read: impl Fn(&mut Prefix<'_>) -> Result<T, PrefixError>,
    ) -> Result<Option<T>, Failure> {
        loop {
            let mut prefix = Prefix::new(&self.buffer);
            match read(&mut prefix) {
                Ok(value) => {
                    let taken = prefix.consumed();
                    let _ = self.buffer.split_to(taken);
                    return Ok(Some(value));
                }
                Err(PrefixError::Short) => {}
                Err(PrefixError::Invalid(error)) => return Err(error.into()),
            }
            if !self.fill().await? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(Failure::Truncated) };
            }
        }
    }

    /// The stream's type, its first integer.
    pub(super) async fn kind(&mut self) -> Result<Option<VarInt>, Failure> {
        self.head(|prefix| prefix.varint()).await
    }

    /// The next message, whole. `None`: the stream ended after the last one.
    pub(super) async fn message<M>(&mut self, layout: &Layout<M>) -> Result<Option<M>, Failure> {
        loop {
            // The envelope stays in the buffer until its body is whole, so that a cancelled wait loses nothing.
            if let Some(message) = self.arrived(layout)? {
                return Ok(Some(message));
            }
            if !self.fill().await? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(Failure::Truncated) };
            }
        }
    }

    /// The next message if it is here already, whole.
    pub(super) fn arrived<M>(&mut self, layout: &Layout<M>) -> Result<Option<M>, Failure> {
        let Some((kind, head, whole)) = Self::envelope(layout, &self.buffer)? else { return Ok(None) };
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let message = self.buffer.split_to(whole);
        Ok(Some(layout.from_wire(kind, &message[head..])?))
    }

    /// The type of the message at the front, where its body begins and where it ends. `None`: not known yet.
    fn envelope<M>(layout: &Layout<M>, buffer: &[u8]) -> Result<Option<(Option<VarInt>, usize, usize)>, Failure> {
        let mut prefix = Prefix::new(buffer);
        let mut read = || {
            let kind = if layout.is_typed() { Some(prefix.varint()?) } else { None };
            Ok((kind, prefix.varint()?, prefix.consumed()))
        };
        let (kind, size, head) = match read() {
            Ok(envelope) => envelope,
            Err(PrefixError::Short) => return Ok(None),
            Err(PrefixError::Invalid(error)) => return Err(error.into()),
        };
        if size.get() > MESSAGE_BYTES_MAX as u64 {
            return Err(Failure::MessageTooLarge { size: size.get(), max: MESSAGE_BYTES_MAX });
        }
        Ok(Some((kind, head, head + size.get() as usize)))
    }

    /// The one message that a stream of this kind starts with.
    pub(super) async fn first<M>(&mut self, layout: &Layout<M>) -> Result<M, Failure> {
        self.message(layout).await?.ok_or(Failure::Truncated)
    }

    /// Exactly `count` bytes.
    pub(super) async fn exact(&mut self, count: usize) -> Result<Bytes, Failure> {
        while self.buffer.len() < count {
            if !self.fill().await? {
                return Err(Failure::Truncated);
            }
        }
        Ok(self.buffer.split_to(count).freeze())
    }

    /// Waits for the end of a stream on which nothing more may come.
    pub(super) async fn end(&mut self) -> Result<(), Failure> {
        while self.buffer.is_empty() {
            if !self.fill().await? {
                return Ok(());
            }
        }
        Err(Failure::Trailing)
    }

    pub(super) fn stop(&mut self, code: CloseCode) {
        self.stream.stop(code.get());
    }

    /// The stream itself, and the bytes that were read ahead.
    pub(super) fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.buffer.freeze())
    }
}

/// Writes messages to a stream.
pub(super) struct Sender<S> {
    stream: S,
    queued: Chunks,
}

impl<S: SendStream> Sender<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, queued: Chunks::new() }
    }

    /// Sends `bytes`, waiting for room. Cancelling leaves what is unsent to the next call.
    pub(super) async fn send(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        self.queued.push(bytes);
        poll_fn(|cx| {
            while !self.queued.is_empty() {
                self.stream.try_write(cx, &mut self.queued)?;
                if !self.queued.is_empty() {
                    return Poll::Pending;
                }
            }
            self.queued.clear();
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Waits until the peer stops the stream, which is how some say that they want no more; returns the error that it then
    /// fails with. Never ready otherwise: any other end is told by what is written, and what is read.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing.
    pub(super) async fn stopped(&mut self) -> StreamError {
        poll_fn(|cx| poll_stopped(&mut self.stream, cx)).await
    }

    /// The stream itself, once everything queued is sent.
    pub(super) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    pub(super) fn finish(&mut self) -> Result<(), StreamError> {
        self.stream.finish()
    }

    pub(super) fn reset(&mut self, code: CloseCode) {
        self.stream.reset(code.get());
    }
}

/// Ready once the peer has stopped the stream, and never otherwise.
pub(super) fn poll_stopped(stream: &mut impl SendStream, cx: &mut Context<'_>) -> Poll<StreamError> {
    match stream.poll_acked(cx) {
        Poll::Ready(Err(stopped @ StreamError::Stopped(_))) => Poll::Ready(stopped),
        Poll::Ready(_) | Poll::Pending => Poll::Pending,
    }
}
