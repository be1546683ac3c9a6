//! Stall: an HTTP answer whose reader takes nothing.
//!
//! Whoever writes the answer waits for room, and would wait for as long as the connection may last, with the group that it
//! reads and the rights it goes by. So the socket itself gives up: a write for which the system has had no room for a while
//! fails, and the connection ends. What an upgrade makes of the connection has deadlines of its own.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use crate::metrics::Metrics;

/// Longest wait for the system to take more of an answer. How much of it the reader has to take for that is up to how the socket was
/// set up: about 100 KiB on Linux, elsewhere perhaps a megabyte.
pub(super) const STALL_TIME: Duration = Duration::from_secs(15);

/// A socket whose writes fail with [`TimedOut`](io::ErrorKind::TimedOut) once its reader has [stalled](STALL_TIME).
pub(super) struct Watched<S> {
    stream: S,
    metrics: Metrics,
    released: Arc<AtomicBool>,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

/// Ends the watch once dropped.
pub(super) struct Watch(Arc<AtomicBool>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl<S> Watched<S> {
    /// Watches `stream` for as long as the watch is kept.
    pub(super) fn new(stream: S, metrics: Metrics) -> (Self, Watch) {
        let released = Arc::new(AtomicBool::new(false));
        let watch = Watch(released.clone());
        (Self { stream, metrics, released, waiting: None }, watch)
    }

    /// What came of a write, or that it has waited for too long.
    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() || self.released.load(Relaxed) {
            self.waiting = None;
            return written;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(STALL_TIME)));
        ready!(waiting.as_mut().poll(cx));
        self.metrics.http_stalled();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the reader takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::{Instant, timeout},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_write_that_waits_fails_after_a_while_unless_the_watch_is_over() {
        let (mut reader, stream) = duplex(64);
        let (mut watched, watch) = Watched::new(stream, Metrics::default());
        let (began, mut some) = (Instant::now(), [0; 64]);
        for _ in 0..3 {
            watched.write_all(&some).await.unwrap();
            let blocked = timeout(STALL_TIME - Duration::from_secs(1), watched.write_all(&[1]));
            assert!(blocked.await.is_err(), "it waits");
            reader.read_exact(&mut some).await.unwrap();
        }

        watched.write_all(&some).await.unwrap();
        let stalled = Instant::now();
        assert_eq!(watched.write_all(&[1]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!((stalled.elapsed(), began.elapsed() > STALL_TIME * 3), (STALL_TIME, true));
        assert!(watched.metrics.read().contains(&("moq_relay_http_stalled_total", 1)));

        drop(watch);
        assert!(timeout(STALL_TIME * 9, watched.write_all(&[1])).await.is_err(), "others may know better");
    }
}
