//! What every transport does alike: one table of behaviours, over real sockets.

use std::{future::poll_fn, task::Poll, time::Duration};

use bytes::Bytes;
use moq_lite::transport::{Chunks, Connection, ConnectionError, Rank, RecvStream, SendStream, StreamError};

use crate::pair::*;

/// More than any side takes ahead of its reader.
const TOO_MUCH: usize = 16 * 1024 * 1024;

#[tokio::test]
async fn streams_carry_bytes_in_order_and_their_end_both_ways() {
    for carrier in Carrier::ALL {
        let pair = soon(Pair::connect(carrier)).await;
        for (mut from, mut to) in pair.both_ways() {
            let mut uni = soon(open_uni_with(&mut from, b"one ")).await;
            let mut arrived = soon(accept_uni(&mut to)).await;
            soon(write(&mut uni, ["two ", "three"].map(Bytes::from))).await.unwrap();
            uni.finish().unwrap();
            uni.finish().unwrap();
            assert_eq!(soon(read_to_end(&mut arrived)).await.unwrap(), b"one two three", "{carrier:?}");
            soon(acked(&mut uni)).await.unwrap();

            let (mut ask, mut answer) = soon(open_bi(&mut from)).await;
            soon(write(&mut ask, [Bytes::from("question")])).await.unwrap();
            ask.finish().unwrap();
            let (mut reply, mut asked) = soon(accept_bi(&mut to)).await;
            assert_eq!(soon(read_to_end(&mut asked)).await.unwrap(), b"question", "{carrier:?}");
            soon(write(&mut reply, [Bytes::from("answer")])).await.unwrap();
            reply.finish().unwrap();
            assert_eq!(soon(read_to_end(&mut answer)).await.unwrap(), b"answer", "{carrier:?}");
        }
    }
}

#[tokio::test]
async fn codes_of_streams_arrive_as_they_were_given() {
    for carrier in Carrier::ALL {
        let pair = soon(Pair::connect(carrier)).await;
        for (mut from, mut to) in pair.both_ways() {
            for code in [0, 1, 0x36, 1000] {
                let mut given_up = soon(open_uni_with(&mut from, b"begun")).await;
                let mut arrived = soon(accept_uni(&mut to)).await;
                assert_eq!(soon(read(&mut arrived)).await.unwrap(), b"begun");
                given_up.reset(code);
                assert_eq!(soon(read(&mut arrived)).await, Err(StreamError::Reset(code)), "{carrier:?}");
                assert_eq!(given_up.finish(), Err(StreamError::Closed), "{carrier:?}");

                let mut unwanted = soon(open_uni_with(&mut from, b"begun")).await;
                let mut arrived = soon(accept_uni(&mut to)).await;
                arrived.stop(code);
                assert_eq!(soon(acked(&mut unwanted)).await, Err(StreamError::Stopped(code)), "{carrier:?}");
                let refused = soon(write(&mut unwanted, [Bytes::from("more")])).await;
                assert_eq!(refused, Err(StreamError::Stopped(code)), "{carrier:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_dropped_half_is_cancelled_never_finished() {
    for carrier in Carrier::ALL {
        let pair = soon(Pair::connect(carrier)).await;
        for (mut from, mut to) in pair.both_ways() {
            let stream = soon(open_uni_with(&mut from, b"half a group")).await;
            let mut arrived = soon(accept_uni(&mut to)).await;
            assert_eq!(soon(read(&mut arrived)).await.unwrap(), b"half a group");
            drop(stream);
            assert_eq!(soon(read_to_end(&mut arrived)).await, Err(StreamError::Reset(1)), "{carrier:?}");

            let mut stream = soon(open_uni_with(&mut from, b"unwanted")).await;
            drop(soon(accept_uni(&mut to)).await);
            assert_eq!(soon(acked(&mut stream)).await, Err(StreamError::Stopped(1)), "{carrier:?}");
        }
    }
}

#[tokio::test]
async fn a_slow_reader_holds_the_writer_back_and_loses_nothing() {
    for carrier in Carrier::ALL {
        let pair = soon(Pair::connect(carrier)).await;
        for (mut from, mut to) in pair.both_ways() {
            let sent: Vec<u8> = (0..4 * 1024 * 1024u32).map(|index| (index / 7 + index / 4096) as u8).collect();
            let mut stream = soon(open_uni_with(&mut from, b"")).await;
            let write = async {
                let (mut blocked, mut from) = (0, 0);
                while from < sent.len() {
                    // Slices of every size, and a rank that changes whenever there is no room.
                    let size = (from * 31) % 40_000 + 1;
                    let mut chunks = Chunks::new();
                    sent[from..sent.len().min(from + size)].chunks(10_000).for_each(|slice| {
                        chunks.push(Bytes::copy_from_slice(slice));
                    });
                    from += chunks.len();
                    poll_fn(|cx| {
                        stream.try_write(cx, &mut chunks).unwrap();
                        if chunks.is_empty() {
                            return Poll::Ready(());
                        }
                        blocked += 1;
                        if blocked % 2 == 0 {
                            stream.set_rank(Rank(blocked));
                        }
                        Poll::Pending
                    })
                    .await;
                }
                stream.finish().unwrap();
                blocked
            };
            let read = async {
                let mut arrived = accept_uni(&mut to).await;
                read_to_end(&mut arrived).await.unwrap()
            };
            let (blocked, received) = soon(async { tokio::join!(write, read) }).await;
            assert!(received == sent, "{carrier:?}: {} of {} bytes", received.len(), sent.len());
            assert!(blocked > 0, "{carrier:?}");
        }
    }
}

#[tokio::test]
async fn a_writer_without_room_can_still_give_up() {
    for carrier in Carrier::ALL.into_iter().filter(|carrier| carrier.has_credit()) {
        let pair = soon(Pair::connect(carrier)).await;
        for (mut from, mut to) in pair.both_ways() {
            let mut stream = soon(open_uni_with(&mut from, b"")).await;
            let filled = poll_fn(|cx| Poll::Ready(fill(cx, &mut stream, TOO_MUCH))).await;
            assert!((1..TOO_MUCH).contains(&filled), "{carrier:?}: {filled}");

            let mut arrived = soon(accept_uni(&mut to)).await;
            stream.reset(5);
            assert_eq!(soon(read_to_end(&mut arrived)).await, Err(StreamError::Reset(5)), "{carrier:?}");
        }
    }
}

#[tokio::test]
async fn a_writer_without_room_hears_that_it_is_stopped() {
    for carrier in Carrier::ALL.into_iter().filter(|carrier| carrier.has_credit()) {
        let pair = soon(Pair::connect(carrier)).await;
        for (mut from, mut to) in pair.both_ways() {
            let mut stream = soon(open_uni_with(&mut from, b"")).await;
            let write = write(&mut stream, [Bytes::from(vec![0; TOO_MUCH])]);
            let stop = async { accept_uni(&mut to).await.stop(9) };
            let (written, ()) = soon(async { tokio::join!(write, stop) }).await;
            assert_eq!(written, Err(StreamError::Stopped(9)), "{carrier:?}");
        }
    }
}

#[tokio::test]
async fn opening_waits_until_the_peer_allows_more() {
    for carrier in Carrier::ALL.into_iter().filter(|carrier| carrier.has_credit()) {
        let pair = soon(Pair::connect(carrier)).await;
        for (mut from, mut to) in pair.both_ways() {
            // Over qmux there is no credit before the peer's first message, so the first one waits.
            let mut open = vec![soon(open_uni_with(&mut from, b"x")).await];
            while let Poll::Ready(stream) = poll_fn(|cx| Poll::Ready(from.poll_open_uni(cx, Rank(0)))).await {
                let mut stream = stream.unwrap();
                soon(write(&mut stream, [from.uni_prefix(), Bytes::from("x")])).await.unwrap();
                open.push(stream);
                assert!(open.len() <= 1024, "{carrier:?}");
            }
            open.iter_mut().for_each(|stream| stream.finish().unwrap());

            let drain = async {
                for _ in 0..open.len() {
                    let mut arrived = accept_uni(&mut to).await;
                    assert_eq!(read_to_end(&mut arrived).await.unwrap(), b"x");
                }
            };
            soon(async { tokio::join!(open_uni(&mut from), drain) }).await;
        }
    }
}

#[tokio::test]
async fn a_peer_may_open_as_many_streams_as_it_is_allowed() {
    for carrier in [Carrier::Quic, Carrier::WebTransport] {
        let Pair { mut client, mut server } = soon(Pair::connect(carrier)).await;
        server.allow(100, 1024 * 1024);
        let mut open = Vec::new();
        for _ in 0..100 {
            open.push(soon(open_uni_with(&mut client, b"x")).await);
        }
        for _ in 0..100 {
            soon(accept_uni(&mut server)).await;
        }
    }
}

#[tokio::test]
async fn a_peer_that_asks_much_may_ask_more() {
    for carrier in Carrier::ALL {
        let Pair { mut client, mut server } = soon(Pair::connect(carrier)).await;
        let ask = async {
            let mut asked = Vec::new();
            for _ in 0..1000 {
                let (mut send, recv) = open_bi(&mut client).await;
                write(&mut send, [Bytes::from("subscribe")]).await.unwrap();
                asked.push((send, recv));
            }
            asked
        };
        let hold = async {
            let mut held = Vec::new();
            for _ in 0..1000 {
                held.push(accept_bi(&mut server).await);
            }
            held
        };
        soon(async { tokio::join!(ask, hold) }).await;
    }
}

#[tokio::test]
async fn datagrams_arrive_whole_where_there_are_any() {
    for carrier in Carrier::ALL {
        let pair = soon(Pair::connect(carrier)).await;
        for (mut from, mut to) in pair.both_ways() {
            if !carrier.has_datagrams() {
                assert_eq!(from.max_datagram_size(), None, "{carrier:?}");
                assert!(!from.send_datagram(Bytes::from("lost")), "{carrier:?}");
                continue;
            }
            // Over qmux it is known once the peer's first message is here, which a stream of its own proves.
            soon(open_uni_with(&mut to, b"here")).await.finish().unwrap();
            soon(read_to_end(&mut accept_uni(&mut from).await)).await.unwrap();
            let size = from.max_datagram_size().unwrap();
            assert!(size >= 1100, "{carrier:?}: {size}");
            assert!(!from.send_datagram(Bytes::from(vec![7; size + 1])), "{carrier:?}");

            assert!(from.send_datagram(Bytes::from(vec![7; 1000])), "{carrier:?}");
            let arrived = soon(poll_fn(|cx| to.poll_recv_datagram(cx))).await.unwrap();
            assert_eq!(arrived, vec![7; 1000], "{carrier:?}");
        }
    }
}

#[tokio::test]
async fn a_close_is_the_same_for_both_sides_and_everything_between_them() {
    for carrier in Carrier::ALL {
        for client_closes in [true, false] {
            let Pair { client, server } = soon(Pair::connect(carrier)).await;
            let (mut closing, mut other) = if client_closes { (client, server) } else { (server, client) };
            let mut sending = soon(open_uni_with(&mut other, b"begun")).await;
            let mut receiving = soon(accept_uni(&mut closing)).await;
            assert_eq!(soon(read(&mut receiving)).await.unwrap(), b"begun");

            closing.close(4242, "enough");
            closing.close(1, "again");

            let expected = ConnectionError::Closed { code: 4242, reason: "enough".to_owned() };
            assert_eq!(soon(closed(&mut other)).await, expected, "{carrier:?} {client_closes}");
            assert_eq!(soon(closed(&mut closing)).await, expected, "{carrier:?} {client_closes}");
            let of_stream = Err(StreamError::Connection(expected.clone()));
            assert_eq!(soon(write(&mut sending, [Bytes::from("x")])).await, of_stream, "{carrier:?} {client_closes}");
            assert_eq!(soon(read(&mut receiving)).await.map(drop), of_stream, "{carrier:?} {client_closes}");
            let opened = soon(poll_fn(|cx| other.poll_open_uni(cx, Rank(0)))).await;
            assert_eq!(opened.err(), Some(expected.clone()), "{carrier:?} {client_closes}");
            let accepted = soon(poll_fn(|cx| other.poll_accept_bi(cx))).await;
            assert_eq!(accepted.err(), Some(expected), "{carrier:?} {client_closes}");
        }
    }
}

#[tokio::test]
async fn the_last_handle_closes_the_connection_with_code_0() {
    for carrier in Carrier::ALL {
        let Pair { client, mut server } = soon(Pair::connect(carrier)).await;
        let copy = client.clone();
        drop(client);
        drop(copy);
        let ended = soon(closed(&mut server)).await;
        assert_eq!(ended, ConnectionError::Closed { code: 0, reason: String::new() }, "{carrier:?}");
    }
}

#[tokio::test]
async fn a_reason_too_long_for_browsers_is_cut_between_characters() {
    for carrier in Carrier::ALL {
        let Pair { client, mut server } = soon(Pair::connect(carrier)).await;
        client.close(7, &"é".repeat(1000));
        let expected = ConnectionError::Closed { code: 7, reason: "é".repeat(512) };
        assert_eq!(soon(closed(&mut server)).await, expected, "{carrier:?}");
    }
}

#[tokio::test]
async fn the_protocol_agreed_on_is_known_to_both_sides() {
    for (carrier, expected) in [
        (Carrier::Quic, Some("moq-lite-06")),
        (Carrier::WebTransport, Some("moq-lite-06")),
        (Carrier::WebSocket(Some("qmux-01.moq-lite-05")), Some("moq-lite-05")),
        (Carrier::WebSocket(Some("qmux-00.moql")), Some("moql")),
        (Carrier::WebSocket(Some("qmux-01")), None),
        (Carrier::WebSocket(None), None),
    ] {
        let Pair { client, server } = soon(Pair::connect(carrier)).await;
        assert_eq!((client.protocol(), server.protocol()), (expected, expected), "{carrier:?}");
    }
}

#[tokio::test]
async fn measurements_are_there_where_the_transport_measures() {
    for carrier in [Carrier::Quic, Carrier::WebTransport] {
        let Pair { client, .. } = soon(Pair::connect(carrier)).await;
        let stats = client.stats();
        assert!(stats.rtt.is_some() && stats.send_bitrate.is_some(), "{carrier:?}: {stats:?}");
        assert!(stats.bytes_sent > Some(0) && stats.bytes_received > Some(0), "{carrier:?}: {stats:?}");
    }
}

/// What peers are told at the beginning, when no round trip is over yet, holds a moment later.
#[tokio::test]
async fn the_round_trip_is_measured_where_it_is_said_to_be() {
    let measured = Carrier::ALL.map(async |carrier| {
        let pair = Box::pin(soon(Pair::connect(carrier))).await;
        let measures = carrier.has_datagrams();
        for connection in [&pair.client, &pair.server] {
            assert_eq!(connection.measures_rtt(), measures, "{carrier:?}");
            while measures && connection.stats().rtt.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    soon(futures::future::join_all(measured)).await;
}
