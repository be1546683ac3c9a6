//! Repeats: a subgroup that comes a second time, from another source, of which a part is held.
//!
//! What is held has been passed on. The rest may follow it only if what comes again begins with the same bytes; where the
//! new stream has got to within a frame does not matter then. Spec: moq-lite-06, "Relay".

use bytes::{Buf, Bytes};

use crate::model::log::Log;

/// What comes again is not what is held, or what is held was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes that came again differ from those that are held, from {at} on")]
pub struct Differs {
    /// Bytes up to here were the same.
    pub at: u64,
}

/// Compares a stream with what is held of it. Made by [`Producer::repeat`](super::Producer::repeat).
#[derive(Debug)]
pub struct Repeat {
    held: Log,
    /// Bytes held at first.
    len: u64,
    at: u64,
}

impl Repeat {
    pub(super) fn new(held: Log) -> Self {
        Self { len: held.len(), held, at: 0 }
    }

    /// Whether all that is held has come again: what follows is new.
    pub fn is_over(&self) -> bool {
        self.at >= self.len
    }

    /// Takes what is held already off the front of `burst`.
    ///
    /// # Errors
    /// When it differs. What was held stays as it is, and cannot be continued by this stream.
    pub fn skip(&mut self, burst: &mut Vec<Bytes>) -> Result<(), Differs> {
        let mut chunks = burst.iter_mut();
        let mut known = 0;
        while !self.is_over()
            && let Some(chunk) = chunks.next()
        {
            self.compare(chunk)?;
            known += usize::from(chunk.is_empty());
        }
        burst.drain(..known);
        Ok(())
    }

    fn compare(&mut self, chunk: &mut Bytes) -> Result<(), Differs> {
        let until = self.len.min(self.at + chunk.len() as u64);
        while self.at < until {
            let mut same = true;
            let read = self.held.unread(self.at, Some(until), |slice| {
                same = same && chunk.starts_with(&slice);
                chunk.advance(if same { slice.len() } else { 0 });
            });
            if !same || read == 0 {
                return Err(Differs { at: self.at });
            }
            self.at += read;
        }
        Ok(())
    }
}
