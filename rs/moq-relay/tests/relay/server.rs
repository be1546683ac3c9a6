//! An HTTP server that the relay asks: on a free port of this machine, with answers that a test can change.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, Response},
    serve::Listener,
};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener},
    runtime::Runtime,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
    server::TlsStream,
};

use crate::process::{PATIENCE, folder};

/// A server that runs until it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<State>,
    _runtime: Runtime,
}

/// How a question is answered.
type Answering = dyn Fn(&Asked) -> Reply + Send + Sync;

struct State {
    answer: Mutex<Arc<Answering>>,
    asked: Mutex<Vec<Asked>>,
    at_once: AtomicUsize,
    at_once_max: AtomicUsize,
}

/// What the relay has asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Asked {
    /// A member of the JSON that was sent.
    pub(crate) fn member(&self, name: &str) -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(&self.body).unwrap()[name].clone()
    }
}

/// What it is answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    pub(crate) after: Duration,
}

impl Reply {
    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, headers: vec![], body: body.into(), after: Duration::ZERO }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::ok("") }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Server {
    pub(crate) fn http(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let (runtime, state) = begin(answer);
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        serve(&runtime, &state, listener);
        Self { url, state, _runtime: runtime }
    }

    /// With a certificate for `localhost`, and the file of the authority that vouches for it.
    pub(crate) fn https(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Self, PathBuf) {
        let (runtime, state) = begin(answer);
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let ca = folder().join("ca.pem");
        fs::write(&ca, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
        let config = ServerConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let socket = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let url = format!("https://localhost:{}", socket.local_addr().unwrap().port());
        serve(&runtime, &state, Tls { socket, acceptor: TlsAcceptor::from(Arc::new(config)) });
        (Self { url, state, _runtime: runtime }, ca)
    }

    pub(crate) fn unix(path: &Path, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let (runtime, state) = begin(answer);
        let listener = runtime.block_on(async { UnixListener::bind(path) }).unwrap();
        serve(&runtime, &state, listener);
        Self { url: format!("unix:{}", path.display()), state, _runtime: runtime }
    }

    /// Answers so from now on.
    pub(crate) fn set(&self, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        *self.state.answer.lock().unwrap() = Arc::new(answer);
    }

    /// All that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// Waits until it was asked something like this.
    pub(crate) async fn is_asked(&self, what: &str, such: impl Fn(&Asked) -> bool) -> Asked {
        self.are_asked(what, 1, such).await.remove(0)
    }

    /// Waits until it was asked so many things like this.
    pub(crate) async fn are_asked(&self, what: &str, count: usize, such: impl Fn(&Asked) -> bool) -> Vec<Asked> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let asked: Vec<_> = self.asked().into_iter().filter(&such).collect();
            if asked.len() >= count {
                return asked;
            }
            assert!(Instant::now() < deadline, "never asked: {what}: {:?}", self.asked());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Most questions that were open at one time.
    pub(crate) fn at_once_max(&self) -> usize {
        self.state.at_once_max.load(SeqCst)
    }
}

fn begin(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Runtime, Arc<State>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (asked, at_once, at_once_max) = Default::default();
    (runtime, Arc::new(State { answer: Mutex::new(Arc::new(answer)), asked, at_once, at_once_max }))
}

fn serve<L: Listener>(runtime: &Runtime, state: &Arc<State>, listener: L)
where
    L::Addr: std::fmt::Debug,
{
    let state = state.clone();
    let router = Router::new().fallback(move |request: Request<Body>| answer(state.clone(), request));
    runtime.spawn(async move { axum::serve(listener, router).await });
}

async fn answer(state: Arc<State>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
    let asked = Asked { method: parts.method.to_string(), target: parts.uri.to_string(), headers: parts.headers, body };
    state.asked.lock().unwrap().push(asked.clone());
    let at_once = state.at_once.fetch_add(1, SeqCst) + 1;
    state.at_once_max.fetch_max(at_once, SeqCst);
    let answer = state.answer.lock().unwrap().clone();
    let reply = answer(&asked);
    tokio::time::sleep(reply.after).await;
    state.at_once.fetch_sub(1, SeqCst);
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(reply.body.into()).unwrap()
}

struct Tls {
    socket: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let Ok((stream, peer)) = self.socket.accept().await else { continue };
            // Whoever does not believe us leaves.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}
