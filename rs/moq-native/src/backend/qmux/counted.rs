//! Counting what goes through a socket, in bytes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What has gone through a socket so far.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
}

/// A socket whose bytes are counted.
pub(super) struct Counted<I> {
    io: I,
    carried: Arc<Carried>,
}

impl<I> Counted<I> {
    pub(super) fn new(io: I) -> (Self, Arc<Carried>) {
        let carried = Arc::<Carried>::default();
        (Self { io, carried: carried.clone() }, carried)
    }

    fn sent(&self, written: usize) -> Poll<io::Result<usize>> {
        self.carried.sent.fetch_add(written as u64, Relaxed);
        Poll::Ready(Ok(written))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Counted<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.carried.received.fetch_add((buf.filled().len() - before) as u64, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Counted<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.sent(written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
        self.sent(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn every_byte_counts_once_whichever_way_it_goes() {
        let (here, mut there) = tokio::io::duplex(64);
        let (mut counted, carried) = Counted::new(here);
        there.write_all(b"question").await.unwrap();
        let mut heard = [0; 8];
        counted.read_exact(&mut heard).await.unwrap();
        counted.write_all(b"yes").await.unwrap();
        let _ = counted.write_vectored(&[IoSlice::new(b"in"), IoSlice::new(b"deed")]).await.unwrap();
        let mut answer = vec![0; carried.sent.load(Relaxed) as usize];
        there.read_exact(&mut answer).await.unwrap();
        assert!(b"yesindeed".starts_with(&answer[..]) && answer.len() > 3, "{answer:?}");
        assert_eq!(carried.received.load(Relaxed), 8);
    }
}
