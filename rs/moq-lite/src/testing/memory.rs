//! A transport in memory: two ends of one connection, with flow control, stream credit, resets and close.
//!
//! Nothing is lost, reordered or delayed here; what a network does to packets is tested with real sockets.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::transport::{self, BiStream, Chunks, ConnectionError, ConnectionStats, Rank, StreamError};

/// What both ends of a connection in memory are made with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The negotiated application protocol.
    pub protocol: Option<String>,
    /// Bytes a stream holds that its receiver has not read.
    pub window: usize,
    /// Unidirectional streams one side may have open at a time.
    pub uni_streams: usize,
    /// Largest datagram, in bytes. `None`: no datagrams.
    pub datagram: Option<usize>,
    /// What its peer has not read yet is acknowledged all the same, as its transport does. `false`: as if it were lost until then.
    pub acks_unread: bool,
    /// The path is silent, as far as its ends can tell.
    pub is_strained: bool,
    /// The round trip, as measured. `None`: nobody measures it.
    pub rtt: Option<Duration>,
    /// Opening a unidirectional stream panics: a fault of our own, for tests of who survives it.
    pub faulty: bool,
}

impl Default for Options {
    fn default() -> Self {
        let (protocol, datagram, rtt) = (None, Some(1200), None);
        let (window, uni_streams, acks_unread) = (256 * 1024, 100, true);
        Self { protocol, window, uni_streams, datagram, acks_unread, is_strained: false, rtt, faulty: false }
    }
}

/// Two connected ends: the client's and the server's.
pub fn connect(options: Options) -> (Connection, Connection) {
    let link = Arc::new(Mutex::new(Link {
        ends: [End::new(options.uni_streams), End::new(options.uni_streams)],
        closed: None,
        pipes: Vec::new(),
        options,
    }));
    let end = |side| Connection { protocol: lock(&link).options.protocol.clone(), link: link.clone(), side };
    (end(0), end(1))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct Link {
    ends: [End; 2],
    closed: Option<ConnectionError>,
    pipes: Vec<Weak<Mutex<Pipe>>>,
    options: Options,
}

type Shared = Arc<Mutex<Pipe>>;

/// What one side has not taken yet, and how much it may open.
struct End {
    uni: VecDeque<Shared>,
    bi: VecDeque<(Shared, Shared)>,
    datagrams: VecDeque<Bytes>,
    /// Unidirectional streams this side may still open.
    credit: usize,
    opened_uni: u64,
    waiting: Vec<Waker>,
}

impl End {
    fn new(credit: usize) -> Self {
        let (uni, bi) = (VecDeque::new(), VecDeque::new());
        Self { uni, bi, datagrams: VecDeque::new(), credit, opened_uni: 0, waiting: Vec::new() }
    }

    fn wake(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.waiting)
    }
}

/// One direction of a stream.
struct Pipe {
    chunks: VecDeque<Bytes>,
    held: usize,
    window: usize,
    finished: bool,
    acks_unread: bool,
    reset: Option<u32>,
    stopped: Option<u32>,
    lost: Option<ConnectionError>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    rank: Rank,
    /// The side whose credit returns when this unidirectional stream is over.
    credit_of: Option<usize>,
}

impl Pipe {
    fn wake_both(&mut self) -> [Option<Waker>; 2] {
        [self.reader.take(), self.writer.take()]
    }
}

impl Link {
    fn pipe(&mut self, credit_of: Option<usize>, rank: Rank) -> Shared {
        let pipe = Arc::new(Mutex::new(Pipe {
            chunks: VecDeque::new(),
            held: 0,
            window: self.options.window,
            finished: false,
            acks_unread: self.options.acks_unread,
            reset: None,
            stopped: None,
            lost: self.closed.clone(),
            reader: None,
            writer: None,
            rank,
            credit_of,
        }));
        self.pipes.retain(|pipe| pipe.strong_count() > 0);
        self.pipes.push(Arc::downgrade(&pipe));
        pipe
    }
}

/// One end of a connection in memory.
#[derive(Clone)]
pub struct Connection {
    protocol: Option<String>,
    link: Arc<Mutex<Link>>,
    side: usize,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.side == 0 { "memory client" } else { "memory server" })
    }
}

impl Connection {
    /// Unidirectional streams this side has opened so far.
    pub fn opened_uni(&self) -> u64 {
        lock(&self.link).ends[self.side].opened_uni
    }

    /// Ends the connection as a network does that goes away.
    pub fn lose(&self) {
        self.end(ConnectionError::Lost("timed out".into()));
    }

    fn end(&self, error: ConnectionError) {
        let mut wakers = Vec::new();
        {
            let mut link = lock(&self.link);
            if link.closed.is_some() {
                return;
            }
            link.closed = Some(error.clone());
            for end in &mut link.ends {
                wakers.extend(end.wake());
            }
            for pipe in link.pipes.iter().filter_map(Weak::upgrade) {
                let mut pipe = lock(&pipe);
                pipe.lost = Some(error.clone());
                wakers.extend(pipe.wake_both().into_iter().flatten());
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Asks `take` for something of this side, or waits for the next thing that happens to it.
    fn poll<T>(&self, cx: &mut Context<'_>, take: impl FnOnce(&mut Link) -> Option<T>) -> Poll<Result<T, ConnectionError>> {
        let mut link = lock(&self.link);
        if let Some(error) = &link.closed {
            return Poll::Ready(Err(error.clone()));
        }
        if let Some(value) = take(&mut link) {
            return Poll::Ready(Ok(value));
        }
        let waiting = &mut link.ends[self.side].waiting;
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn send(&self, pipe: Shared) -> SendStream {
        SendStream { pipe, link: self.link.clone(), over: false }
    }

    fn recv(&self, pipe: Shared) -> RecvStream {
        RecvStream { pipe, link: self.link.clone(), over: false }
    }
}

impl transport::Connection for Connection {
    type SendStream = SendStream;
    type RecvStream = RecvStream;

    fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    fn uni_prefix(&self) -> Bytes {
        Bytes::new()
    }

    fn poll_open_uni(&mut self, cx: &mut Context<'_>, rank: Rank) -> Poll<Result<SendStream, ConnectionError>> {
        let faulty = lock(&self.link).options.faulty;
        assert!(!faulty, "a stream was opened on a connection made to panic");
        let (me, peer) = (self.side, 1 - self.side);
        let mut wake = Vec::new();
        let opened = self.poll(cx, |link| {
            link.ends[me].credit = link.ends[me].credit.checked_sub(1)?;
            link.ends[me].opened_uni += 1;
            let pipe = link.pipe(Some(me), rank);
            link.ends[peer].uni.push_back(pipe.clone());
            wake = link.ends[peer].wake();
            Some(pipe)
        });
        wake.into_iter().for_each(Waker::wake);
        opened.map_ok(|pipe| self.send(pipe))
    }

    fn poll_open_bi(&mut self, cx: &mut Context<'_>, rank: Rank) -> Poll<Result<BiStream<Self>, ConnectionError>> {
        let peer = 1 - self.side;
        let mut wake = Vec::new();
        let opened = self.poll(cx, |link| {
            let (there, back) = (link.pipe(None, rank), link.pipe(None, Rank::CONTROL));
            link.ends[peer].bi.push_back((back.clone(), there.clone()));
            wake = link.ends[peer].wake();
            Some((there, back))
        });
        wake.into_iter().for_each(Waker::wake);
        opened.map_ok(|(there, back)| (self.send(there), self.recv(back)))
    }

    fn poll_accept_uni(&mut self, cx: &mut Context<'_>) -> Poll<Result<RecvStream, ConnectionError>> {
        // What came before a close is there after it.
        let before = lock(&self.link).ends[self.side].uni.pop_front();
        let next = || self.poll(cx, |link| link.ends[self.side].uni.pop_front());
        before.map_or_else(next, |pipe| Poll::Ready(Ok(pipe))).map_ok(|pipe| self.recv(pipe))
    }

    fn poll_accept_bi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BiStream<Self>, ConnectionError>> {
        let accepted = self.poll(cx, |link| link.ends[self.side].bi.pop_front());
        accepted.map_ok(|(back, there)| (self.send(back), self.recv(there)))
    }

    fn max_datagram_size(&self) -> Option<usize> {
        lock(&self.link).options.datagram
    }

    fn send_datagram(&mut self, payload: Bytes) -> bool {
        const QUEUED_MAX: usize = 1024;
        let mut link = lock(&self.link);
        let fits = link.options.datagram.is_some_and(|size| payload.len() <= size);
        let peer = &mut link.ends[1 - self.side];
        if !fits || peer.datagrams.len() >= QUEUED_MAX {
            return false;
        }
        peer.datagrams.push_back(payload);
        let wakers = peer.wake();
        drop(link);
        wakers.into_iter().for_each(Waker::wake);
        true
    }

    fn poll_recv_datagram(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ConnectionError>> {
        self.poll(cx, |link| link.ends[self.side].datagrams.pop_front())
    }

    fn allow(&mut self, streams: u32, _window: u32) {
        let wakers = {
            let mut link = lock(&self.link);
            let before = link.options.uni_streams;
            let more = (streams as usize).saturating_sub(before);
            link.options.uni_streams = before + more;
            let peer = &mut link.ends[1 - self.side];
            peer.credit += more;
            peer.wake()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn close(&self, code: u32, reason: &str) {
        self.end(ConnectionError::Closed { code, reason: reason.into() });
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionError> {
        match self.poll(cx, |_| None::<()>) {
            Poll::Ready(Err(error)) => Poll::Ready(error),
            _ => Poll::Pending,
        }
    }

    fn is_strained(&self, _now: Instant) -> bool {
        lock(&self.link).options.is_strained
    }

    fn measures_rtt(&self) -> bool {
        lock(&self.link).options.rtt.is_some()
    }

    fn stats(&self) -> ConnectionStats {
        ConnectionStats { rtt: lock(&self.link).options.rtt, ..ConnectionStats::default() }
    }
}

/// Gives the opener its credit back once nobody will use this stream any more.
fn release(link: &Mutex<Link>, pipe: &Mutex<Pipe>) {
    let Some(side) = lock(pipe).credit_of.take() else { return };
    let wakers = {
        let mut link = lock(link);
        link.ends[side].credit += 1;
        link.ends[side].wake()
    };
    wakers.into_iter().for_each(Waker::wake);
}

pub struct SendStream {
    pipe: Shared,
    link: Arc<Mutex<Link>>,
    over: bool,
}

impl SendStream {
    fn change<T>(&mut self, change: impl FnOnce(&mut Pipe) -> T) -> T {
        let (value, wakers) = {
            let mut pipe = lock(&self.pipe);
            let value = change(&mut pipe);
            (value, pipe.wake_both())
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
        value
    }
}

impl transport::SendStream for SendStream {
    fn try_write(&mut self, cx: &mut Context<'_>, chunks: &mut Chunks) -> Result<usize, StreamError> {
        if self.over {
            return Err(StreamError::Closed);
        }
        let (written, reader) = {
            let mut pipe = lock(&self.pipe);
            if let Some(error) = &pipe.lost {
                return Err(error.clone().into());
            }
            if let Some(code) = pipe.stopped {
                return Err(StreamError::Stopped(code));
            }
            let mut written = 0;
            for slice in chunks.slices() {
                let take = slice.len().min(pipe.window - pipe.held);
                if take == 0 {
                    break;
                }
                pipe.chunks.push_back(slice.slice(..take));
                pipe.held += take;
                written += take;
            }
            chunks.advance(written);
            if !chunks.is_empty() {
                pipe.writer = Some(cx.waker().clone());
            }
            (written, if written > 0 { pipe.reader.take() } else { None })
        };
        if let Some(waker) = reader {
            waker.wake();
        }
        Ok(written)
    }

    fn set_rank(&mut self, rank: Rank) {
        lock(&self.pipe).rank = rank;
    }

    fn finish(&mut self) -> Result<(), StreamError> {
        self.over = true;
        self.change(|pipe| match (&pipe.lost, pipe.stopped) {
            (Some(error), _) => Err(error.clone().into()),
            (_, Some(code)) => Err(StreamError::Stopped(code)),
            _ => {
                pipe.finished = true;
                Ok(())
            }
        })
    }

    fn reset(&mut self, code: u32) {
        self.over = true;
        self.change(|pipe| {
            // Over a connection that is gone nothing is said any more; what has arrived is there to be read.
            if pipe.lost.is_none() && (!pipe.finished || !pipe.chunks.is_empty()) {
                pipe.reset.get_or_insert(code);
                pipe.chunks.clear();
            }
        });
        release(&self.link, &self.pipe);
    }

    fn poll_acked(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let mut pipe = lock(&self.pipe);
        if let Some(error) = &pipe.lost {
            return Poll::Ready(Err(error.clone().into()));
        }
        if let Some(code) = pipe.stopped {
            return Poll::Ready(Err(StreamError::Stopped(code)));
        }
        if pipe.finished && (pipe.acks_unread || pipe.chunks.is_empty()) {
            return Poll::Ready(Ok(()));
        }
        pipe.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        if !self.over {
            transport::SendStream::reset(self, 1);
        }
    }
}

pub struct RecvStream {
    pipe: Shared,
    link: Arc<Mutex<Link>>,
    over: bool,
}

impl RecvStream {
    /// The rank that its sender gave it last: nothing that a wire tells, and what a sender's transport goes by.
    pub fn rank(&self) -> Rank {
        lock(&self.pipe).rank
    }
}

impl transport::RecvStream for RecvStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, burst: &mut Vec<Bytes>) -> Poll<Result<bool, StreamError>> {
        let (result, writer) = {
            let mut pipe = lock(&self.pipe);
            if let Some(code) = pipe.reset {
                (Err(StreamError::Reset(code)), None)
            } else if !pipe.chunks.is_empty() {
                let count = pipe.chunks.len().min(64);
                let from = burst.len();
                burst.extend(pipe.chunks.drain(..count));
                pipe.held -= burst[from..].iter().map(Bytes::len).sum::<usize>();
                (Ok(true), pipe.writer.take())
            } else if pipe.finished {
                (Ok(false), None)
            } else if let Some(error) = &pipe.lost {
                (Err(error.clone().into()), None)
            } else {
                pipe.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
        };
        if let Some(waker) = writer {
            waker.wake();
        }
        if !matches!(result, Ok(true)) {
            self.over = true;
            release(&self.link, &self.pipe);
        }
        Poll::Ready(result)
    }

    fn stop(&mut self, code: u32) {
        self.over = true;
        let wakers = {
            let mut pipe = lock(&self.pipe);
            pipe.stopped.get_or_insert(code);
            pipe.wake_both()
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
        release(&self.link, &self.pipe);
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        if !self.over {
            transport::RecvStream::stop(self, 1);
        }
    }
}
