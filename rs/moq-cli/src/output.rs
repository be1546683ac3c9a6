//! Standard output, written on a thread of its own: whoever reads it slowly, or not at all, does not stop the session.

use std::{
    io::{self, BufWriter, Write as _},
    thread,
};

use anyhow::Context as _;
use bytes::Bytes;
use tokio::sync::{
    mpsc::{self, error::TryRecvError},
    oneshot,
};

use crate::event::Event;

/// Writes that wait for the reader.
const AHEAD: usize = 64;

/// What is to be written. Once the reader has gone, writing goes nowhere and nobody complains.
pub(crate) struct Output {
    sender: mpsc::Sender<Bytes>,
    ended: oneshot::Receiver<io::Result<()>>,
}

/// The reader of standard output has gone, or it cannot be written; [`Output::finish`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

impl Output {
    pub(crate) fn start() -> Self {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let (end, ended) = oneshot::channel();
        thread::spawn(move || {
            // Nobody may be left to hear it.
            let _ = end.send(write(receiver));
        });
        Self { sender, ended }
    }

    /// What `happens`, once there is room to write it.
    ///
    /// # Cancel safety
    /// As of what happens.
    pub(crate) async fn then<T>(&self, happens: impl Future<Output = T>) -> Result<T, Gone> {
        drop(self.sender.reserve().await.map_err(|_| Gone)?);
        tokio::select! {
            biased;
            () = self.sender.closed() => Err(Gone),
            happened = happens => Ok(happened),
        }
    }

    /// Writes, waiting for room.
    pub(crate) async fn write(&self, bytes: impl Into<Bytes>) -> Result<(), Gone> {
        self.sender.send(bytes.into()).await.map_err(|_| Gone)
    }

    /// Waits until all is written. A reader that has gone was content with what it had.
    ///
    /// # Errors
    /// When writing failed otherwise.
    pub(crate) async fn finish(self) -> anyhow::Result<()> {
        drop(self.sender);
        match self.ended.await {
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("writing to standard output"),
            _ => Ok(()),
        }
    }
}

/// What a publisher tells scripts, if they asked for it. Whoever read it and has gone does not end the broadcast.
pub(crate) struct Events(Option<Output>);

impl Events {
    /// `wanted`: what `--json` says.
    pub(crate) fn start(wanted: bool) -> Self {
        Self(wanted.then(Output::start))
    }

    pub(crate) async fn tell(&self, event: Event<'_>) {
        if let Some(output) = &self.0 {
            let _ = output.write(event.line()).await;
        }
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// As [`Output::finish`].
    pub(crate) async fn finish(self) -> anyhow::Result<()> {
        match self.0 {
            Some(output) => output.finish().await,
            None => Ok(()),
        }
    }
}

fn write(mut receiver: mpsc::Receiver<Bytes>) -> io::Result<()> {
    let mut output = BufWriter::new(io::stdout().lock());
    loop {
        let next = match receiver.try_recv() {
            Ok(bytes) => Some(bytes),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                output.flush()?;
                receiver.blocking_recv()
            }
        };
        match next {
            Some(bytes) => output.write_all(&bytes)?,
            None => return output.flush(),
        }
    }
}
