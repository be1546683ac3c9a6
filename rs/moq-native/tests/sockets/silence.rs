//! A peer of whom nothing is heard: what its connection takes, and that this ends.

use std::{
    future::poll_fn,
    sync::mpsc::{SyncSender, sync_channel},
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use moq_lite::transport::{Connection, SendStream};
use moq_native::{AnyConnection, Server};
use tokio::{task::spawn_blocking, time::sleep};

use crate::pair::*;

/// Most that any connection may hold, in bytes.
const HELD_MAX: usize = 4 * 1024 * 1024;

/// More than one stream takes ahead of its reader, and more than all may hold.
const STREAMS: usize = 12;

/// A client's connection, to a server that lets everything come and then does nothing any more until the sender is dropped.
async fn connect_and_fall_silent(scheme: &str) -> (AnyConnection, SyncSender<()>) {
    let ((bound, address), (fell_silent, is_silent), (wake, woken)) = (sync_channel(1), sync_channel(1), sync_channel::<()>(1));
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut server = Server::bind(server_config()).unwrap();
            bound.send((server.local_addr(), client_of(&server))).unwrap();
            let mut connection = arrive(&mut server).await.accept().await.unwrap();
            connection.allow(64, 64 * 1024 * 1024);
            let mut stream = open_uni_with(&mut connection, b"come").await;
            stream.finish().unwrap();
            acked(&mut stream).await.unwrap();
            fell_silent.send(()).unwrap();
            // Nothing runs on this thread meanwhile, so that nothing is acknowledged.
            let _ = woken.recv();
        });
    });
    let (address, client) = spawn_blocking(move || address.recv().unwrap()).await.unwrap();
    let mut connection = client.connect(&url(scheme, address, "/room")).await.unwrap();
    let mut allowed = accept_uni(&mut connection).await;
    assert_eq!(read_to_end(&mut allowed).await.unwrap(), b"come");
    spawn_blocking(move || is_silent.recv().unwrap()).await.unwrap();
    (connection, wake)
}

#[tokio::test]
async fn a_silent_peer_is_given_room_for_the_newest_and_holds_no_more_than_that() {
    for scheme in ["moqt", "https"] {
        let (mut connection, _awake) = soon(connect_and_fall_silent(scheme)).await;
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            streams.push(soon(open_uni(&mut connection)).await);
        }
        let mut fill_all = async || {
            poll_fn(|cx| Poll::Ready(streams.iter_mut().map(|stream| fill(cx, stream, 2 * HELD_MAX)).sum::<usize>())).await
        };
        let before = fill_all().await;
        soon(async {
            while !connection.is_strained(Instant::now()) {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let held = before + fill_all().await;
        // The handshake's own streams hold something too.
        assert!((HELD_MAX - 16 * 1024..=HELD_MAX).contains(&held), "{scheme}: {held} bytes while it is silent");
        sleep(Duration::from_millis(300)).await;
        assert!(connection.is_strained(Instant::now()));
        assert_eq!(fill_all().await, 0, "{scheme}: no more, however long it is silent");
    }
}
