use std::{convert::Infallible, net::Ipv4Addr};

use axum::{Extension, body::Body, routing::get};
use futures::stream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::{JoinHandle, LocalSet},
    time::Instant,
};

use super::{super::stall::STALL_TIME, *};
use crate::shutdown::Shutdown;

const LIMITS: Limits = Limits {
    header_timeout: Duration::from_secs(5),
    request_timeout: Duration::from_secs(30),
    max_connections: 3,
    max_per_ip: 2,
    max_header: 2048,
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: relay\r\n\r\n";

/// A server that greets, and what ends it.
struct Served {
    address: SocketAddr,
    metrics: Metrics,
    shutdown: Shutdown,
    server: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn start() -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, metrics) = (socket.local_addr().unwrap(), Metrics::default());
        let (shutdown, stopping) = Shutdown::new();
        let router = Router::new().route("/", get(|| async { "hello" }));
        let listener = Listener { socket, secure: None, crowd: Crowd::default() };
        let server = tokio::task::spawn_local(serve(listener, router, LIMITS, metrics.clone(), stopping));
        Self { address, metrics, shutdown, server }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// All that arrives until the server closes.
async fn rest(client: &mut TcpStream) -> String {
    let mut text = String::new();
    // A connection that is cut rather than ended is over as well.
    let _ = client.read_to_string(&mut text).await;
    text
}

/// One answer to one request on a connection that stays open.
async fn ask(client: &mut TcpStream) -> String {
    client.write_all(REQUEST).await.unwrap();
    let mut text = String::new();
    while !text.ends_with("hello") {
        let mut some = [0; 1024];
        let read = client.read(&mut some).await.unwrap();
        assert_ne!(read, 0, "closed after {text:?}");
        text += str::from_utf8(&some[..read]).unwrap();
    }
    text
}

#[tokio::test]
async fn a_peer_is_known_by_the_address_that_is_its_own() {
    let serve_and_ask = async {
        let socket = TcpListener::from_std(bind("[::]:0".parse().unwrap()).unwrap()).unwrap();
        let (port, (_shutdown, stopping)) = (socket.local_addr().unwrap().port(), Shutdown::new());
        let who = async |Extension(peer): Extension<Peer>| peer.address.ip().to_string();
        let listener = Listener { socket, secure: None, crowd: Crowd::default() };
        let router = Router::new().route("/", get(who));
        let _server = tokio::task::spawn_local(serve(listener, router, LIMITS, Metrics::default(), stopping));
        for own in ["127.0.0.1", "::1"] {
            let mut client = TcpStream::connect((own, port)).await.unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n").await.unwrap();
            let answer = rest(&mut client).await;
            assert!(answer.ends_with(&format!("\r\n\r\n{own}")), "{answer}");
        }
    };
    LocalSet::new().run_until(serve_and_ask).await;
}

#[tokio::test]
async fn a_silent_client_holds_nobody_back() {
    LocalSet::new()
        .run_until(async {
            let served = Served::start().await;
            let _silent = served.connect().await;
            let mut half = served.connect().await;
            half.write_all(b"GET / HT").await.unwrap();

            assert!(ask(&mut served.connect().await).await.starts_with("HTTP/1.1 200"));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_no_head_in_time_is_cut_off() {
    LocalSet::new()
        .run_until(async {
            let served = Served::start().await;
            let began = Instant::now();
            let mut silent = served.connect().await;

            assert_eq!(rest(&mut silent).await, "");
            assert!(
                began.elapsed() >= LIMITS.header_timeout && began.elapsed() < LIMITS.header_timeout * 2,
                "{:?}",
                began.elapsed()
            );
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn dripping_a_head_gains_no_time() {
    LocalSet::new()
        .run_until(async {
            let served = Served::start().await;
            let began = Instant::now();
            let (mut reading, mut writing) = served.connect().await.into_split();
            let drip = async {
                for byte in b"GET / HTTP/1.1\r\nx-slow: ".iter().chain(std::iter::repeat(&b'x')) {
                    if writing.write_all(&[*byte]).await.is_err() {
                        break;
                    }
                    sleep(Duration::from_secs(1)).await;
                }
            };
            let cut = async {
                let mut text = Vec::new();
                let _ = reading.read_to_end(&mut text).await;
            };
            tokio::select! { () = drip => {} () = cut => {} }

            assert!(began.elapsed() < LIMITS.header_timeout * 2, "{:?}", began.elapsed());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_kept_for_ever() {
    LocalSet::new()
        .run_until(async {
            let served = Served::start().await;
            let began = Instant::now();
            let mut client = served.connect().await;
            loop {
                if client.write_all(REQUEST).await.is_err() || client.read(&mut [0; 1024]).await.unwrap_or(0) == 0 {
                    break;
                }
                sleep(Duration::from_secs(1)).await;
            }

            assert!(began.elapsed() <= LIMITS.request_timeout * 2, "{:?}", began.elapsed());
        })
        .await;
}

/// A connection in memory, whose time passes only when nothing is left to be done.
fn converse_in_memory(metrics: &Metrics, stopping: &Stopping) -> (DuplexStream, JoinHandle<()>) {
    let endless = || async { Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(vec![0; 1 << 16]))) };
    let (client, server) = duplex(1 << 16);
    let (router, peer) = (Router::new().route("/", get(endless)), SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let conversation = converse(server, peer, None, router, LIMITS, metrics.clone(), stopping.clone());
    (client, tokio::task::spawn_local(conversation))
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_cut_off_and_one_that_takes_little_is_not() {
    LocalSet::new()
        .run_until(async {
            let (metrics, (_shutdown, stopping)) = (Metrics::default(), Shutdown::new());
            let began = Instant::now();
            let (mut stalled, cut) = converse_in_memory(&metrics, &stopping);
            let (mut slow, goes_on) = converse_in_memory(&metrics, &stopping);
            stalled.write_all(REQUEST).await.unwrap();
            slow.write_all(REQUEST).await.unwrap();
            let reading = tokio::task::spawn_local(async move {
                while slow.read_exact(&mut [0; 1024]).await.is_ok() {
                    sleep(STALL_TIME - Duration::from_secs(1)).await;
                }
            });

            cut.await.unwrap();
            assert_eq!(began.elapsed().as_secs(), STALL_TIME.as_secs());
            assert!(metrics.read().contains(&("moq_relay_http_stalled_total", 1)));
            goes_on.await.unwrap();
            assert!(began.elapsed() >= LIMITS.request_timeout * 2, "{:?}", began.elapsed());
            assert!(metrics.read().contains(&("moq_relay_http_stalled_total", 1)), "only the other");
            reading.await.unwrap();
        })
        .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_system_takes_more_of_an_answer_when_its_reader_has_taken_little() {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut reader = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
    let (stream, _) = socket.accept().await.unwrap();
    prepare(&stream).unwrap();
    let some = vec![0; 1 << 16];
    while timeout(Duration::from_millis(200), stream.writable()).await.is_ok() {
        while stream.try_write(&some).is_ok() {}
    }

    for round in 0..4 {
        reader.read_exact(&mut [0; 3 << 16]).await.unwrap();
        let room = timeout(Duration::from_secs(10), stream.writable()).await;
        room.unwrap_or_else(|_| panic!("no room in round {round}")).unwrap();
        while stream.try_write(&some).is_ok() {}
    }
}

#[tokio::test]
async fn more_connections_than_allowed_are_closed_at_once() {
    LocalSet::new()
        .run_until(async {
            let served = Served::start().await;
            let mut inside = Vec::new();
            for _ in 0..LIMITS.max_connections {
                let mut client = served.connect().await;
                ask(&mut client).await;
                inside.push(client);
            }

            assert_eq!(rest(&mut served.connect().await).await, "");
            assert!(served.metrics.read().contains(&("moq_relay_sessions_refused_total", 1)));
            ask(&mut inside[0]).await;
        })
        .await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    LocalSet::new()
        .run_until(async {
            let served = Served::start().await;
            let mut client = served.connect().await;
            let head = format!("GET / HTTP/1.1\r\nhost: relay\r\nx-long: {}\r\n\r\n", "x".repeat(LIMITS.max_header));
            client.write_all(head.as_bytes()).await.unwrap();

            assert!(rest(&mut client).await.starts_with("HTTP/1.1 431"));
        })
        .await;
}

#[tokio::test]
async fn stopping_closes_connections_that_ask_for_nothing() {
    LocalSet::new()
        .run_until(async {
            let served = Served::start().await;
            let mut client = served.connect().await;
            ask(&mut client).await;
            served.shutdown.drain();

            assert_eq!(rest(&mut client).await, "");
            served.server.await.unwrap();
        })
        .await;
}

#[test]
fn an_address_has_its_share_and_loopback_all() {
    let crowd = Crowd::default();
    let limits = Limits { max_connections: 20, ..LIMITS };
    let enter = |address: &str| crowd.enter(address.parse().unwrap(), &limits);

    let first = [enter("192.0.2.1"), enter("192.0.2.1")];
    assert!(first.iter().all(Option::is_some));
    assert!(enter("192.0.2.1").is_none() && enter("::ffff:192.0.2.1").is_none());
    assert!(enter("192.0.2.2").is_some());
    drop(first);
    assert!(enter("192.0.2.1").is_some());

    let _network = [enter("2001:db8::1"), enter("2001:db8::2")];
    assert!(enter("2001:db8::3").is_none());
    assert!(enter("2001:db8:0:1::1").is_some());

    let loopback: Vec<_> = (0..8).flat_map(|_| [enter("127.0.0.1"), enter("::1")]).collect();
    assert!(loopback.iter().all(Option::is_some));
}

#[test]
fn nobody_leaves_a_trace() {
    let crowd = Crowd::default();
    drop(crowd.enter(Ipv4Addr::LOCALHOST.into(), &LIMITS));

    let counts = crowd.0.borrow();
    assert_eq!((counts.all, counts.each.len()), (0, 0));
}
