//! HTTP/3 around a session: the streams that have to stay open, and the capsule that ends it.
//!
//! One task a connection reads the control stream and the CONNECT stream, on which hardly anything ever comes, and ends with the
//! connection. Media never passes here.
//!
//! Spec: RFC 9114, section 6.2.1; RFC 9297, section 3; WebTransport over HTTP/3, section 6.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use moq_lite::transport::{ConnectionError, Rank};
use quinn::VarInt;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::oneshot,
    time::timeout,
};
use web_transport_proto::{Capsule, Frame, Http3CapsuleReader, error_to_http3};

use super::{Streams, Violation, frames::Frames};
use crate::backend::closed;

/// Bytes of frames and capsules without meaning that a session's two streams may carry, each. Sixteen bytes a second take
/// twelve days to it; a flood, a moment.
const IGNORED_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How long a peer may take to answer the end of its session: three round trips, within these bounds.
const FAREWELL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// How a session ends from this side: code and reason, said once.
#[derive(Debug)]
pub(in super::super) struct Farewell(Mutex<Option<oneshot::Sender<(u32, String)>>>);

impl Farewell {
    /// Has the peer told, and the connection closed after it has answered or a moment has passed. Only the first call counts.
    pub(in super::super) fn say(&self, code: u32, reason: &str) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Nobody listens once the connection is gone.
            let _ = sender.send((code, reason.to_owned()));
        }
    }
}

/// Begins to look after `streams`. What comes first, their end or one of this side's choosing, is in `first`.
#[allow(clippy::disallowed_methods, reason = "the task ends with its connection, and outlives the session by a farewell")]
pub(in super::super) fn begin(streams: Streams, first: Arc<OnceLock<ConnectionError>>) -> Farewell {
    let (sender, farewell) = oneshot::channel();
    tokio::spawn(look_after(streams, farewell, first));
    Farewell(Mutex::new(Some(sender)))
}

async fn look_after(streams: Streams, farewell: oneshot::Receiver<(u32, String)>, first: Arc<OnceLock<ConnectionError>>) {
    let Streams { connection, ours: _ours, control, mut send, recv } = streams;
    let (end, watched) = (end_of(recv), watch(control.with_patience(IGNORED_BYTES_MAX)));
    // Kept to the last, as this side's control stream is: whoever lets go of one breaks the connection.
    tokio::pin!(end, watched);
    tokio::select! {
        biased;
        _ = connection.closed() => {}
        Ok((code, reason)) = farewell => {
            let told = async {
                // Before whatever else waits; fails on a stream that the peer stopped, which says enough.
                let _ = send.set_priority(Rank::CONTROL.0);
                send.write_all(&closing(code, &reason)).await.map_err(drop)?;
                send.finish().map_err(drop)?;
                end.await;
                Ok::<(), ()>(())
            };
            let (least, most) = FAREWELL;
            let moment = (connection.rtt() * 3).clamp(least, most);
            let _ = timeout(moment, async {
                tokio::select! {
                    _ = connection.closed() => {}
                    _ = told => {}
                }
            })
            .await;
            connection.close(to_wire(code), reason.as_bytes());
        }
        (code, reason) = &mut end => {
            // Lost against a farewell that is about to be said: the peer is gone anyway.
            let _ = first.set(closed(code.into(), &reason));
            connection.close(to_wire(code), reason.as_bytes());
        }
        violation = &mut watched => {
            tracing::debug!(%violation, "HTTP/3 failed");
            let _ = first.set(ConnectionError::Lost(format!("HTTP/3: {violation}")));
            connection.close(violation.code(), violation.to_string().as_bytes());
        }
    }
}

/// Reads on after SETTINGS, all of it without meaning to a server of one session, until something is wrong.
async fn watch(mut control: Frames<impl AsyncRead + Unpin>) -> Violation {
    loop {
        let wrong = match control.next().await {
            // A reset reads as a cut.
            Ok(None) | Err(Violation::FrameCut) => Violation::ControlClosed,
            Ok(Some((Frame::SETTINGS | Frame::HEADERS, _))) => Violation::FrameUnexpected,
            Ok(Some((_, length))) => match control.skip(length).await {
                Ok(()) => continue,
                Err(Violation::FrameCut) => Violation::ControlClosed,
                Err(wrong) => wrong,
            },
            Err(wrong) => wrong,
        };
        return wrong;
    }
}

/// How the peer ends the session on its half of the CONNECT stream: what its capsule says, or 0 where the stream ends without.
async fn end_of(stream: impl AsyncRead + Unpin) -> (u32, String) {
    let mut capsules = Http3CapsuleReader::new(stream.take(IGNORED_BYTES_MAX));
    loop {
        match capsules.read().await {
            Ok(Some(Capsule::CloseWebTransportSession { code, reason })) => return (code, reason),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return (0, String::new()),
        }
    }
}

/// The end of a session as bytes of its CONNECT stream.
fn closing(code: u32, reason: &str) -> Vec<u8> {
    let mut capsule = Vec::new();
    Capsule::CloseWebTransportSession { code, reason: reason.to_owned() }.encode(&mut capsule);
    let mut frame = Vec::new();
    Frame::DATA.encode(&mut frame);
    // A reason has at most 1024 bytes.
    web_transport_proto::VarInt::from_u32(capsule.len() as u32).encode(&mut frame);
    frame.extend(capsule);
    frame
}

fn to_wire(code: u32) -> VarInt {
    VarInt::from_u64(error_to_http3(code)).unwrap_or(VarInt::MAX)
}
