//! From the bytes that a peer sends to the verdict, for every entrance: the code that the relay itself goes through, without its
//! sockets.
//!
//! HTTPS has no row of its own, because it has no code of its own: it is HTTP from its first decrypted byte on, and goes
//! through [`web::converse`] like all HTTP here.
//! Spec: RFC 9204, section 4.5 (the fields of CONNECT); RFC 9112 (requests); moq-lite-05, "SETUP".

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, http::Uri};
use moq_lite::model::{
    broadcast,
    cache::Budget,
    origin::{Horizon, Origin, Publication},
    route::Route,
};
use moq_native::{Transport, backend::quic::http3::Request};
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

use super::Verdict;
use crate::{
    auth::{Admission, Auth, Refused},
    connection::{self, Caller},
    metrics::Metrics,
    shutdown::{Shutdown, Stopping},
    tls::Pins,
    web::{self, Limits, Site, Upgrade},
};

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

/// Room for every target, and more time than a walk takes.
const LIMITS: Limits = Limits {
    header_timeout: Duration::from_secs(24 * 3600),
    request_timeout: Duration::from_secs(24 * 3600),
    max_connections: 1,
    max_per_ip: 1,
    max_header: 16 * 1024,
};

/// Where a request can come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    WebTransport,
    /// Raw QUIC, TCP and Unix sockets go through the same code; only a name tells them apart.
    Setup(Version, Transport),
    WebSocket,
    /// A page with its token in the query.
    Page,
    /// A page with its token in `Authorization`.
    Header,
    /// A group of a track of the broadcast at the path.
    Fetch,
}

impl Entrance {
    pub(super) const ALL: [Self; 7] = [
        Self::WebTransport,
        Self::Setup(Version::Lite05, Transport::Quic),
        Self::Setup(Version::Lite06, Transport::Tcp),
        Self::WebSocket,
        Self::Page,
        Self::Header,
        Self::Fetch,
    ];

    pub(super) fn is_page(self) -> bool {
        matches!(self, Self::Page | Self::Header | Self::Fetch)
    }

    /// What is left of a target once the library beneath has read it, before anybody here sees it; or what becomes of one that
    /// goes no further.
    ///
    /// Behind a name or an address, a target without a slash in front is part of that. HTTP has other forms than a path:
    /// a whole URL, and an address alone, which is for proxies. Spec: RFC 9112, section 3.2.
    pub(super) fn handed_over(self, target: &str) -> Result<String, Verdict> {
        let is_path = target.starts_with('/');
        match self {
            Self::WebSocket if !is_path => match target.parse::<Uri>() {
                Ok(uri) => uri.path_and_query().map(|target| target.as_str().to_owned()).ok_or(Verdict::Out(400)),
                Err(_) => Err(Verdict::NotCarried),
            },
            // `/announced` or `/fetch` and then a name is another page.
            Self::Page | Self::Header | Self::Fetch if !is_path && !target.is_empty() && !target.starts_with(['?', '#']) => {
                Err(Verdict::Out(404))
            }
            _ => Ok(target.to_owned()),
        }
    }
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
    stopping: Stopping,
    _shutdown: Shutdown,
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
        let (router, (shutdown, stopping)) = (web::router(Arc::new(site)), Shutdown::new());
        let servers = JoinSet::new();
        Self { auth, origin, on_air: None, router, upgrades, client: None, servers, stopping, _shutdown: shutdown }
    }

    /// Nobody new comes in any more.
    pub(super) fn close(&mut self) {
        self.upgrades.close();
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
            Entrance::WebTransport => match Request::decode(&connect(target)) {
                Ok(request) => self.judge(request.target(), Transport::WebTransport).await,
                Err(_) => Verdict::NotCarried,
            },
            Entrance::Setup(version, transport) => {
                let layout = version.dialect().setup.unwrap();
                let setup = Setup { path: Some(target.to_owned()), probe: ProbeLevel::Report, ..Setup::default() };
                let read = layout.decode(&layout.encode(&setup)).unwrap();
                self.judge(&read.path.unwrap_or_default(), transport).await
            }
            Entrance::WebSocket => self.upgrade(target).await,
            Entrance::Page | Entrance::Header => self.page(&format!("/announced{target}"), header).await,
            Entrance::Fetch => {
                let (path, rest) = target.split_at(target.find(['?', '#']).unwrap_or(target.len()));
                self.page(&format!("/fetch{path}/video{rest}"), header).await
            }
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
        match self.ask(&format!("GET {target} HTTP/1.1\r\nhost: relay\r\n{header}\r\n")).await {
            Some((200, body)) => Verdict::Page(body),
            // Said of a broadcast to those alone who may watch it.
            Some((404, body)) if body.starts_with("no such broadcast") => Verdict::Page(String::new()),
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
        // Those before have ended, or do so now that their client is gone.
        while self.servers.try_join_next().is_some() {}
        self.servers.spawn_local(web::converse(
            server,
            PEER,
            None,
            self.router.clone(),
            LIMITS,
            Metrics::default(),
            self.stopping.clone(),
        ));
        BufReader::new(client)
    }
}

/// The fields of the CONNECT of a client that writes `:path` as it likes: literal fields, none of them in a table.
fn connect(target: &str) -> Vec<u8> {
    let fields =
        [(":method", "CONNECT"), (":scheme", "https"), (":authority", "relay"), (":path", target), (":protocol", "webtransport")];
    // No table is needed, so there is nothing to insert and no base.
    let mut section = vec![0, 0];
    for (name, value) in fields {
        prefixed(&mut section, 0b0010_0000, 3, name);
        prefixed(&mut section, 0, 7, value);
    }
    section
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
