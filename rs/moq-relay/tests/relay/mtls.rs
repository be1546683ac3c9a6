//! Clients that show certificates: what these allow, and when that ends.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::StatusCode;
use moq_lite::{session::Error, transport::ConnectionError};
use moq_native::{
    ClientConfig, ConnectError,
    tls::{Identity, PemFiles, Trust},
};
use moq_proto::{Version, close};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use crate::{
    authority::{Authority, Issued},
    peer::{A_WHILE, Peer, next, soon, story},
    process::{Relay, folder},
};

const VERSION: Version = Version::Lite05;

/// What a right may outlive its end by, which is a second, and what a machine that does other things may add.
const AT_ONCE: Duration = Duration::from_secs(2);

const SCHEMES: [&str; 3] = ["https", "moqt", "wss"];

/// A relay that nobody comes into but by certificate.
struct House {
    authority: Authority,
    folder: PathBuf,
    relay: Relay,
}

impl House {
    /// `mtls`: the mappings. `more`: further keys in `[auth]`.
    fn new(mtls: &str, more: &str) -> Self {
        let (authority, folder) = (Authority::new(), folder());
        let root = authority.write(&folder);
        let relay = Relay::start(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ntls.generate = \"localhost\"\ntls.root = {root:?}\n\
             [web.http]\nlisten = \"127.0.0.1:0\"\n[web.https]\nlisten = \"127.0.0.1:0\"\nroot = {root:?}\n\
             [auth]\nmtls = {mtls}\n{more}"
        ));
        Self { authority, folder, relay }
    }

    fn identity(&self, issued: &Issued) -> Identity {
        let pair = PemFiles { certificate: self.folder.join("client.pem"), key: self.folder.join("client.key") };
        issued.write(&pair.certificate, &pair.key);
        Identity::load(&pair).unwrap()
    }

    async fn join(&self, scheme: &str, path: &str, identity: Option<Identity>) -> Result<Peer, ConnectError> {
        let mut config = ClientConfig::default();
        config.trust = self.trust();
        config.identity = identity;
        config.protocols = vec![VERSION.alpn().to_owned()];
        config.websocket_after = None;
        let address = if scheme == "wss" { self.relay.https.unwrap() } else { self.relay.udp };
        soon("a connection", Peer::dial(config, &format!("{scheme}://{address}{path}").parse().unwrap(), &[VERSION])).await
    }

    fn trust(&self) -> Trust {
        Trust::Fingerprints(vec![self.relay.get("/certificate.sha256").body.parse().unwrap()])
    }

    /// How somebody is turned away.
    async fn refusal(&self, scheme: &str, path: &str, identity: Option<Identity>) -> StatusCode {
        match self.join(scheme, path, identity).await {
            Err(ConnectError::Refused(status)) => status,
            Err(error) => panic!("{scheme} {path}: {error}"),
            Ok(peer) => match peer.ended().await {
                Err(Error::Connection(ConnectionError::Closed { reason, .. })) if reason == "unauthorized" => {
                    StatusCode::UNAUTHORIZED
                }
                Err(Error::Connection(ConnectionError::Closed { reason, .. })) if reason == "forbidden" => StatusCode::FORBIDDEN,
                ended => panic!("{scheme} {path}: {ended:?}"),
            },
        }
    }

    /// The status of a page over HTTPS.
    async fn page(&self, path: &str, headers: &str, identity: Option<&Issued>) -> u16 {
        let mut tls = self.trust().client_config(&["http/1.1"]).unwrap();
        if let Some(issued) = identity {
            tls.client_auth_cert_resolver = self.identity(issued).resolver();
        }
        let address = self.relay.https.unwrap();
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut stream = TlsConnector::from(Arc::new(tls)).connect(address.ip().into(), tcp).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: relay.test\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
    }
}

#[test]
fn a_certificate_allows_what_its_mapping_says_and_no_more() {
    let house =
        House::new(r#"[{ match = "cam.test", root = "cams", publish = "" }, { match = "wall.test", subscribe = "cams" }]"#, "");
    let [cam, wall, stranger] = ["cam.test", "wall.test", "stranger.test"].map(|name| house.authority.issue(&[name]));

    story(async {
        for scheme in SCHEMES {
            let camera = house.join(scheme, "/cams", Some(house.identity(&cam))).await.unwrap();
            let viewer = house.join(scheme, "/", Some(house.identity(&wall))).await.unwrap();
            let room = camera.publish(scheme);
            let mut groups = viewer.watch(&format!("cams/{scheme}")).await;
            room.video.append_group().write_all(["live"]);
            assert_eq!(next(&mut groups).await, ["live"], "{scheme}");

            for (path, issued, status) in [
                ("/news", Some(&cam), StatusCode::FORBIDDEN),
                ("/cams", Some(&stranger), StatusCode::UNAUTHORIZED),
                ("/cams", None, StatusCode::UNAUTHORIZED),
                ("/cams?jwt=abc", Some(&cam), StatusCode::UNAUTHORIZED),
            ] {
                let identity = issued.map(|issued| house.identity(issued));
                assert_eq!(house.refusal(scheme, path, identity).await, status, "{scheme} {path}");
            }
        }
        for (path, issued, status) in [
            ("/announced/cams", Some(&wall), 200),
            ("/announced/cams", Some(&cam), 403),
            ("/announced/news", Some(&wall), 403),
            ("/announced/cams", Some(&stranger), 401),
            ("/announced/cams", None, 401),
            ("/certificate.sha256", None, 200),
        ] {
            assert_eq!(house.page(path, "", issued).await, status, "{path}");
        }
    });
}

#[test]
fn a_fingerprint_means_one_certificate() {
    let authority = Authority::new();
    let one = authority.issue(&["cam.test"]);
    // The relay has to know the fingerprint before it starts, so this house has the authority of the certificate.
    let (folder, mtls) = (folder(), format!(r#"{{ match = "sha256:{}", subscribe = "" }}"#, one.fingerprint));
    let root = authority.write(&folder);
    let relay = Relay::start(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ntls.generate = \"localhost\"\ntls.root = {root:?}\n\
         [web.http]\nlisten = \"127.0.0.1:0\"\n[auth]\nmtls = {mtls}"
    ));
    let other = authority.issue(&["cam.test"]);
    let house = House { authority, folder, relay };

    story(async {
        assert!(house.join("https", "/", Some(house.identity(&one))).await.is_ok());
        assert_eq!(house.refusal("https", "/", Some(house.identity(&other))).await, StatusCode::UNAUTHORIZED);
    });
}

#[test]
fn a_certificate_without_a_mapping_is_as_good_as_none() {
    let house = House::new(r#"{ match = "cam.test", root = "cams", publish = "" }"#, "public = \"demo\"");
    let [cam, stranger] = ["cam.test", "stranger.test"].map(|name| house.authority.issue(&[name]));

    story(async {
        assert!(house.join("https", "/demo", Some(house.identity(&stranger))).await.is_ok());
        // Who is known is judged by that alone, as with a token.
        assert_eq!(house.refusal("https", "/demo", Some(house.identity(&cam))).await, StatusCode::FORBIDDEN);
    });
}

#[test]
fn a_session_ends_with_its_certificate_on_every_transport() {
    let house = House::new(r#"{ match = "cam.test", publish = "", subscribe = "" }"#, "");
    // A certificate counts in seconds.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(now + 4);
    let (short, long) = (house.authority.issue_until(&["cam.test"], end), house.authority.issue(&["cam.test"]));

    story(async {
        let mut sessions = Vec::new();
        for scheme in SCHEMES {
            sessions.push((scheme, house.join(scheme, "/", Some(house.identity(&short))).await.unwrap()));
        }
        let mut stays = house.join("https", "/", Some(house.identity(&long))).await.unwrap();
        for (scheme, session) in sessions {
            match session.ended().await {
                Err(Error::Connection(ConnectionError::Closed { code, reason })) => {
                    assert_eq!(code, close::session::UNAUTHORIZED.get(), "{scheme}");
                    assert_eq!(reason, "unauthorized: the certificate has ended", "{scheme}");
                }
                ended => panic!("{scheme}: {ended:?}"),
            }
            let late = SystemTime::now().duration_since(end).expect("not before its end");
            assert!(late < AT_ONCE, "{scheme}: {late:?}");
        }
        assert!(tokio::time::timeout(A_WHILE, stays.hears()).await.is_err(), "the other one stays");
    });
}

#[test]
fn a_session_ends_when_nobody_vouches_for_it_any_more() {
    let house = House::new(r#"{ match = "cam.test", publish = "", subscribe = "" }"#, "");
    let (of_old, other) = (house.authority.issue(&["cam.test"]), Authority::new());
    let of_new = other.issue(&["cam.test"]);

    story(async {
        let mut sessions = Vec::new();
        for scheme in SCHEMES {
            sessions.push((scheme, house.join(scheme, "/", Some(house.identity(&of_old))).await.unwrap()));
        }
        let changed = SystemTime::now();
        other.write(&house.folder);
        for (scheme, session) in sessions {
            match session.ended().await {
                Err(Error::Connection(ConnectionError::Closed { reason, .. })) => {
                    assert_eq!(reason, "unauthorized: nobody vouches for the certificate any more", "{scheme}");
                }
                ended => panic!("{scheme}: {ended:?}"),
            }
            assert!(changed.elapsed().unwrap() < AT_ONCE, "{scheme}: {:?}", changed.elapsed());
        }
        for scheme in SCHEMES {
            assert!(house.join(scheme, "/", Some(house.identity(&of_new))).await.is_ok(), "{scheme}");
        }
    });
}

#[test]
fn a_page_from_elsewhere_cannot_use_the_certificate_of_its_reader() {
    let house = House::new(r#"{ match = "reader.test", subscribe = "" }"#, "");
    let reader = house.authority.issue(&["reader.test"]);
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    story(async {
        for (origin, page, session) in [
            ("", 200, 101),
            ("origin: https://relay.test\r\n", 200, 101),
            ("origin: https://evil.test\r\n", 401, 401),
            ("origin: http://relay.test\r\n", 401, 401),
            ("origin: null\r\n", 401, 401),
        ] {
            assert_eq!(house.page("/announced", origin, Some(&reader)).await, page, "{origin}");
            assert_eq!(house.page("/", &format!("{upgrade}{origin}"), Some(&reader)).await, session, "{origin}");
        }
    });
}

#[test]
fn what_makes_no_sense_is_explained() {
    let folder = folder();
    let root = Authority::new().write(&folder);
    let start = "[server]\nlisten = \"127.0.0.1:0\"\ntls.generate = \"localhost\"\n";
    let rows = [
        (format!("{start}[auth]\nmtls = {{ match = \"a\", publish = \"\" }}"), "`auth.mtls` is set, and clients are not asked"),
        (
            format!("{start}tls.root = {root:?}\n[auth]\npublic = \"\""),
            "certificates (`server.tls.root`, `web.https.root`) that allow",
        ),
        (format!("{start}tls.root = {root:?}"), "nobody could come in"),
        (format!("{start}tls.root = {root:?}\n[auth]\nmtls = {{ publish = \"\" }}"), "has no `match`"),
        (format!("{start}tls.root = {root:?}\n[auth]\nmtls = {{ match = \"a\" }}"), "allows nothing"),
        (format!("{start}tls.root = {root:?}\n[auth]\nmtls = {{ match = \"sha256:a\" }}"), "64 hexadecimal digits"),
        (format!("{start}tls.root = \"/nonexistent\"\n[auth]\nmtls = {{ match = \"a\", publish = \"\" }}"), "/nonexistent"),
    ];
    for (text, said) in rows {
        let path = folder.join("relay.toml");
        fs::write(&path, &text).unwrap();
        let output = crate::process::run(&["--check", path.to_str().unwrap()]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && told.contains(said), "{text}\nis answered with\n{told}");
    }
}
