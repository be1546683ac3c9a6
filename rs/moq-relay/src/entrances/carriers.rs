//! From the bytes that a peer sends to the verdict, for every entrance: the code that the relay itself goes through, without its
//! sockets.
//!
//! Spec: RFC 9204, section 4.5 (the fields of CONNECT); RFC 9112 (requests); moq-lite-05, "SETUP".

use std::{io, net::SocketAddr, sync::Arc};

use axum::Router;
use hyper::{server::conn::http1, service::Service as _};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use moq_lite::model::{
    broadcast,
    cache::Budget,
    origin::{Horizon, Origin, Publication},
    route::Route,
};
use moq_native::Transport;
use moq_proto::{
    Path, Version,
    lite::message::{ProbeLevel, Setup},
};
use moq_token::Grant;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream},
    sync::mpsc,
    task::JoinSet,
};
use web_transport_proto::{ConnectRequest, Frame, VarInt};

use super::Verdict;
use crate::{
    auth::{Admission, Auth, Refused},
    connection::{self, Caller},
    tls::Pins,
    web::{self, Peer, Site, Upgrade},
};

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

/// Where a request can come in. The SETUP of raw QUIC is that of TCP and Unix sockets as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    WebTransport,
    Setup(Version),
    WebSocket,
    /// A page with its token in the query.
    Page,
    /// A page with its token in `Authorization`.
    Header,
}

impl Entrance {
    pub(super) const ALL: [Self; 6] = [
        Self::WebTransport,
        Self::Setup(Version::Lite05),
        Self::Setup(Version::Lite06),
        Self::WebSocket,
        Self::Page,
        Self::Header,
    ];

    pub(super) fn is_page(self) -> bool {
        matches!(self, Self::Page | Self::Header)
    }

    /// Whether the library beneath reads a URL before anybody here sees the path.
    pub(super) fn reads_urls(self) -> bool {
        self == Self::WebTransport
    }
}

/// What is left of a target once it was read as part of a URL.
pub(super) fn handed_over(target: &str) -> String {
    moq_native::request_target(&format!("https://relay{target}").parse().unwrap()).to_owned()
}

/// Every entrance of one relay.
pub(super) struct Carriers {
    auth: Arc<Auth>,
    origin: Origin,
    on_air: Option<Publication>,
    router: Router,
    upgrades: mpsc::Receiver<Upgrade>,
    client: Option<BufReader<DuplexStream>>,
    servers: JoinSet<()>,
}

impl Carriers {
    pub(super) fn new(auth: Auth) -> Self {
        let (auth, origin) = (Arc::new(auth), Origin::new(moq_lite::session::random_hop()));
        let (promised, upgrades) = mpsc::channel(1);
        let site = Site {
            auth: auth.clone(),
            origin: origin.clone(),
            fetches: Arc::default(),
            pins: Pins::default(),
            udp: PEER,
            versions: vec![Version::Lite05],
            protocols: Version::ALPNS.iter().map(|token| (*token).to_owned()).collect(),
            sessions: Some(promised),
        };
        let router = web::router(Arc::new(site));
        Self { auth, origin, on_air: None, router, upgrades, client: None, servers: JoinSet::new() }
    }

    /// Has one broadcast announced in place of the one before.
    pub(super) fn put_on_air(&mut self, path: Option<Path>) {
        self.on_air = None;
        let Some(path) = path else { return };
        let broadcast = broadcast::Producer::new(Budget::new(0).account());
        let everywhere = self.origin.producer(Path::root(), vec![Path::root()], Horizon::new());
        self.on_air = Some(everywhere.publish(&path, Route::local(), broadcast.consume()).unwrap());
    }

    /// Asks to come in.
    pub(super) async fn knock(&mut self, entrance: Entrance, target: &str, header: Option<&str>) -> Verdict {
        match entrance {
            Entrance::WebTransport => match ConnectRequest::decode(&mut connect(target).as_slice()) {
                Ok(request) => self.judge(moq_native::request_target(&request.url), Transport::WebTransport).await,
                Err(_) => Verdict::NotCarried,
            },
            Entrance::Setup(version) => {
                let layout = version.dialect().setup.unwrap();
                let setup = Setup { path: Some(target.to_owned()), probe: ProbeLevel::Report, ..Setup::default() };
                let read = layout.decode(&layout.encode(&setup)).unwrap();
                self.judge(&read.path.unwrap_or_default(), Transport::Quic).await
            }
            Entrance::WebSocket => self.upgrade(target).await,
            Entrance::Page | Entrance::Header => self.page(target, header).await,
        }
    }

    async fn judge(&self, target: &str, transport: Transport) -> Verdict {
        told(connection::authorize(&self.auth, target, &Caller { peer: PEER, transport, certificate: None }).await)
    }

    async fn upgrade(&mut self, target: &str) -> Verdict {
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: relay\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        match self.ask(&request).await {
            Some((101, _)) => told(Ok(self.upgrades.recv().await.unwrap().admission)),
            answer => refused(answer),
        }
    }

    async fn page(&mut self, target: &str, header: Option<&str>) -> Verdict {
        let header = header.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        match self.ask(&format!("GET /announced{target} HTTP/1.1\r\nhost: relay\r\n{header}\r\n")).await {
            Some((200, body)) => Verdict::Page(body),
            answer => refused(answer),
        }
    }

    /// Status and body of the answer. `None`: there was none.
    async fn ask(&mut self, request: &str) -> Option<(u16, String)> {
        let mut client = self.client.take().unwrap_or_else(|| self.connect());
        client.get_mut().write_all(request.as_bytes()).await.ok()?;
        let answer = answer(&mut client).await.ok();
        // After a switch of protocols, or a request the server could not read, the connection is of no more use.
        if answer.as_ref().is_some_and(|(status, body)| *status != 101 && !(*status == 400 && body.is_empty())) {
            self.client = Some(client);
        }
        answer
    }

    fn connect(&mut self) -> BufReader<DuplexStream> {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let router = TowerToHyperService::new(self.router.clone());
        let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(Peer { address: PEER, certificate: None });
            router.call(request)
        });
        let serve = http1::Builder::new().serve_connection(TokioIo::new(server), service).with_upgrades();
        // Those before have ended, or do so now that their client is gone.
        while self.servers.try_join_next().is_some() {}
        self.servers.spawn_local(async move {
            let _ = serve.await;
        });
        BufReader::new(client)
    }
}

/// The CONNECT request of a client that writes `:path` as it likes: literal fields, none of them in a table.
fn connect(target: &str) -> Vec<u8> {
    let fields =
        [(":method", "CONNECT"), (":scheme", "https"), (":authority", "relay"), (":path", target), (":protocol", "webtransport")];
    // No table is needed, so there is nothing to insert and no base.
    let mut section = vec![0, 0];
    for (name, value) in fields {
        prefixed(&mut section, 0b0010_0000, 3, name);
        prefixed(&mut section, 0, 7, value);
    }
    let mut request = Vec::new();
    Frame::HEADERS.encode(&mut request);
    VarInt::try_from(section.len()).unwrap().encode(&mut request);
    request.extend(section);
    request
}

/// A text behind its length, which begins in the low `bits` of a byte whose other bits are `flags`. Spec: RFC 7541, section 5.1.
fn prefixed(section: &mut Vec<u8>, flags: u8, bits: u8, text: &str) {
    let most = (1_usize << bits) - 1;
    if text.len() < most {
        section.push(flags | text.len() as u8);
    } else {
        section.push(flags | most as u8);
        let mut rest = text.len() - most;
        while rest >= 128 {
            section.push(rest as u8 | 128);
            rest >>= 7;
        }
        section.push(rest as u8);
    }
    section.extend(text.as_bytes());
}

fn told(verdict: Result<Admission, Refused>) -> Verdict {
    let sorted = |paths: Vec<Path>| {
        let mut paths: Vec<Vec<String>> = paths.iter().map(|path| path.segments().map(str::to_owned).collect()).collect();
        paths.sort();
        paths.iter().map(|names| names.join("/")).collect()
    };
    match verdict {
        Ok(Admission { grant: Grant { root, publish, subscribe, .. }, .. }) => {
            Verdict::In { root: root.to_string(), publish: sorted(publish), subscribe: sorted(subscribe) }
        }
        Err(refused) => Verdict::Out(refused.status().as_u16()),
    }
}

/// An answer other than the one hoped for. One without a word of ours never came to us.
fn refused(answer: Option<(u16, String)>) -> Verdict {
    match answer {
        Some((status, body)) if !body.is_empty() => Verdict::Out(status),
        _ => Verdict::NotCarried,
    }
}

async fn answer(client: &mut BufReader<DuplexStream>) -> io::Result<(u16, String)> {
    let (mut status, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if client.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if status.is_none() {
            status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        } else if line == "\r\n" {
            break;
        } else if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body).await?;
    Ok((status.unwrap(), String::from_utf8(body).unwrap()))
}
