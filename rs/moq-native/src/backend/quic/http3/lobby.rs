//! The lobby: unidirectional streams that arrive before the session does. One of them is the client's control stream.
//!
//! The others are sorted as later ones are. Streams of the session wait here; a client may open them before it has its answer.
//! As many can wait as a stranger may open.
//!
//! Spec: RFC 9114, section 6.2; WebTransport over HTTP/3, section 4.5.

use std::{collections::VecDeque, future::poll_fn, task::Poll};

use super::super::{
    arrivals::{Arrivals, Control, Critical},
    each,
    prefix::Direction,
};

/// Streams that came early, and the place to go on from.
#[derive(Debug, Default)]
pub(in super::super) struct Lobby {
    streams: VecDeque<quinn::RecvStream>,
    arrivals: Arrivals<quinn::RecvStream>,
}

impl Lobby {
    /// The client's control stream, past its type.
    pub(super) async fn control(
        &mut self,
        connection: &quinn::Connection,
        critical: &Critical,
    ) -> Result<Control, quinn::ConnectionError> {
        poll_fn(|cx| {
            let accept = || each(connection, |connection| async move { connection.accept_uni().await });
            loop {
                let arrived = self.arrivals.poll(cx, accept, Some(Direction::Uni), critical);
                let is_last = arrived.is_pending();
                // Kept first: it may have come in one look with the control stream.
                if let Poll::Ready(stream) = arrived {
                    self.streams.push_back(stream?);
                }
                if let Some(control) = critical.take_control() {
                    return Poll::Ready(Ok(control));
                }
                if is_last {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// A stream of the session that waits. `None`: there are no more.
    pub(in super::super) fn stream(&mut self) -> Option<quinn::RecvStream> {
        self.streams.pop_front()
    }

    /// What has arrived in part.
    pub(in super::super) fn take(&mut self) -> Arrivals<quinn::RecvStream> {
        std::mem::take(&mut self.arrivals)
    }
}
