//! HTTP and WebSocket with TLS.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Instant,
};

use moq_native::{
    ClientConfig,
    tls::{Fingerprint, Trust},
};
use moq_proto::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use crate::{
    authority::Authority,
    peer::{Over, Peer, next, soon, story},
    process::{OPEN, PATIENCE, Relay, folder},
};

const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// A relay with HTTPS on a free port, and these further keys in `[web.https]`.
fn start(more: &str) -> Relay {
    Relay::start(&format!("[log]\nlevel = \"debug\"\n{OPEN}[web.https]\nlisten = \"127.0.0.1:0\"\n{more}"))
}

fn https(relay: &Relay) -> SocketAddr {
    relay.https.expect("an HTTPS listener")
}

fn config(trust: Trust, version: Version) -> ClientConfig {
    let mut config = ClientConfig::default();
    config.trust = trust;
    config.protocols = vec![version.alpn().to_owned()];
    config
}

/// What a request is answered with, over a connection of its own that believes `trust`.
pub(crate) async fn get(address: SocketAddr, trust: &Trust, path: &str) -> std::io::Result<String> {
    let tls = TlsConnector::from(Arc::new(trust.client_config(&["h2", "http/1.1"]).unwrap()));
    let tcp = tokio::net::TcpStream::connect(address).await?;
    let mut stream = tls.connect(address.ip().into(), tcp).await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[test]
fn it_shows_what_quic_shows_unless_it_has_its_own() {
    let relay = start("");
    let fingerprint: Fingerprint = relay.get("/certificate.sha256").body.parse().unwrap();

    story(async {
        let answer = soon("an answer", get(https(&relay), &Trust::Fingerprints(vec![fingerprint]), "/certificate.sha256")).await;
        let answer = answer.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&fingerprint.to_string()), "{answer}");
        assert!(get(https(&relay), &Trust::Fingerprints(vec![]), "/").await.is_err());
    });
}

#[test]
fn a_session_over_wss_goes_from_end_to_end() {
    let (authority, folder) = (Authority::new(), folder());
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    authority.issue(&NAMES).write(&certificate, &key);
    let relay = start(&format!("cert = {certificate:?}\nkey = {key:?}"));
    let (trust, url) = (authority.trust(&folder), format!("wss://{}/demo", https(&relay)).parse().unwrap());

    story(async {
        for version in [Version::Lite02, Version::Lite05, Version::Lite06] {
            let publisher = Peer::join(&relay, Over::WebTransport, version, "/demo").await;
            let room = publisher.publish("room");
            let viewer = Peer::dial(config(trust.clone(), version), &url, &[version]).await.unwrap();
            let mut groups = viewer.watch("room").await;
            room.video.append_group().write_all(["over wss"]);
            assert_eq!(next(&mut groups).await, ["over wss"], "{version}");
        }
    });
}

#[test]
fn a_renewed_certificate_is_shown_and_those_inside_stay() {
    let (authority, folder) = (Authority::new(), folder());
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let old = authority.issue(&NAMES);
    old.write(&certificate, &key);
    let relay = start(&format!("cert = {certificate:?}\nkey = {key:?}"));
    let url = format!("wss://{}/", https(&relay)).parse().unwrap();

    story(async {
        let pinned = config(Trust::Fingerprints(vec![old.fingerprint]), Version::Lite05);
        let viewer = Peer::dial(pinned, &url, &[Version::Lite05]).await.unwrap();

        let new = authority.issue(&NAMES);
        new.write(&certificate, &key);
        let trust = Trust::Fingerprints(vec![new.fingerprint]);
        let start = Instant::now();
        while get(https(&relay), &trust, "/").await.is_err() {
            assert!(start.elapsed() < PATIENCE, "never shown");
        }

        let publisher = Peer::join(&relay, Over::Quic, Version::Lite05, "/").await;
        let room = publisher.publish("room");
        let mut groups = viewer.watch("room").await;
        room.video.append_group().write_all(["still here"]);
        assert_eq!(next(&mut groups).await, ["still here"]);
    });
}

#[test]
fn a_handshake_that_is_late_or_none_ends_and_is_counted() {
    let mut relay = start("[web]\nheader_timeout = \"300ms\"");
    let rest = |mut stream: TcpStream| {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    };
    let connect = || TcpStream::connect(https(&relay)).unwrap();

    rest(connect());
    let mut plain = connect();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    rest(plain);

    relay.signal("TERM");
    relay.wait();
    for counted in ["moq_relay_tls_late_total\" value=1", "moq_relay_tls_failed_total\" value=1"] {
        assert!(relay.log().contains(counted), "{counted}:\n{}", relay.log());
    }
}

#[test]
fn it_needs_an_address_and_files_that_are_there() {
    let rows = [
        ("[web.https]\ncert = \"a.pem\"\nkey = \"a.key\"", "[web.https] listens nowhere"),
        ("[web.https]\nlisten = \"127.0.0.1:0\"\ncert = \"a.pem\"", "1 certificates and 0 keys in [web.https]"),
        ("[web.https]\nlisten = \"127.0.0.1:0\"\ncert = \"/nonexistent.pem\"\nkey = \"a.key\"", "/nonexistent.pem"),
    ];
    for (more, said) in rows {
        let path = folder().join("relay.toml");
        fs::write(&path, format!("{OPEN}{more}")).unwrap();
        for args in [&["--check", path.to_str().unwrap()][..], &[path.to_str().unwrap()]] {
            let output = crate::process::run(args);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code() == Some(1) && told.contains(said), "{more}: {told}");
        }
    }
}
