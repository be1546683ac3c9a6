//! Certificates that are exchanged under a relay at work.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{
    cell::Cell,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use moq_native::{ClientConfig, tls::Trust};
use moq_proto::{Version, close};
use tokio::task::{JoinSet, spawn_blocking, spawn_local};

use crate::{
    authority::{Authority, Issued},
    peer::{Peer, next, soon, story},
    process::{OPEN, PATIENCE, Relay, folder},
};

/// Clients that shake hands all the time.
const CLIENTS: usize = 2;

/// What they speak.
const VERSION: Version = Version::Lite05;

/// How soon a good pair is shown.
const TAKEN_WITHIN: Duration = Duration::from_secs(2);

/// Who a relay of these tests is.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// How a pair of files is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    // Good at the end.
    CertificateFirst,
    KeyFirst,
    Renamed,
    LinkTurned,
    InDrops,
    // Not good.
    HalfCertificate,
    HalfKey,
    Mismatch,
    NoCertificate,
    NoKey,
    Ended,
}

/// A round of them; good and bad take turns, so that each is a change.
const ROUND: [Step; 12] = [
    Step::HalfCertificate,
    Step::CertificateFirst,
    Step::Mismatch,
    Step::KeyFirst,
    Step::NoCertificate,
    Step::LinkTurned,
    Step::NoKey,
    Step::Renamed,
    Step::Ended,
    Step::InDrops,
    Step::HalfKey,
    Step::KeyFirst,
];

/// All of them: four rounds and two more.
const STEPS: usize = 50;

/// The files of a relay, reached by a link as the tools of most authorities leave them.
struct Files {
    folder: PathBuf,
    versions: usize,
}

impl Files {
    fn new(first: &Issued) -> Self {
        let mut files = Self { folder: folder(), versions: 0 };
        files.turn(first);
        files
    }

    fn paths(&self) -> (PathBuf, PathBuf) {
        (self.folder.join("live/cert.pem"), self.folder.join("live/key.pem"))
    }

    /// Points the link at a new version.
    fn turn(&mut self, issued: &Issued) {
        self.versions += 1;
        let version = self.folder.join(format!("{}", self.versions));
        fs::create_dir(&version).unwrap();
        issued.write(&version.join("cert.pem"), &version.join("key.pem"));
        symlink(&version, self.folder.join("next")).unwrap();
        fs::rename(self.folder.join("next"), self.folder.join("live")).unwrap();
    }

    fn take(&mut self, step: Step, authority: &Authority) -> Issued {
        let issued = authority.issue(&NAMES);
        let Issued { certificate, key, .. } = &issued;
        let (certificate_path, key_path) = self.paths();
        let pause = || thread::sleep(Duration::from_millis(20));
        let write = |path: &Path, text: &str| fs::write(path, text).unwrap();
        let rename = |path: &Path, text: &str| {
            fs::write(path.with_extension("new"), text).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        };
        match step {
            Step::CertificateFirst => {
                write(&certificate_path, certificate);
                pause();
                write(&key_path, key);
            }
            Step::KeyFirst => {
                write(&key_path, key);
                pause();
                write(&certificate_path, certificate);
            }
            Step::Renamed => {
                rename(&key_path, key);
                pause();
                rename(&certificate_path, certificate);
            }
            Step::LinkTurned => self.turn(&issued),
            Step::InDrops => {
                write(&key_path, key);
                for end in [0, 100, 200, 300, certificate.len()] {
                    write(&certificate_path, &certificate[..end]);
                    pause();
                }
            }
            Step::HalfCertificate => write(&certificate_path, &certificate[..certificate.len() / 2]),
            Step::HalfKey => write(&key_path, &key[..key.len() / 2]),
            Step::Mismatch => write(&key_path, key),
            Step::NoCertificate => fs::remove_file(&certificate_path).unwrap(),
            Step::NoKey => fs::remove_file(&key_path).unwrap(),
            Step::Ended => {
                authority.issue_until(&NAMES, SystemTime::now() - Duration::from_secs(60)).write(&certificate_path, &key_path);
            }
        }
        issued
    }
}

/// Waits until something is so, and returns how long that took.
fn until(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never happens: {what}");
        thread::sleep(Duration::from_millis(10));
    }
    start.elapsed()
}

/// Takes all the steps: those of the first round are waited for, the others follow each other as they come.
fn rotate(relay: &Relay, authority: &Authority, mut files: Files) {
    let mut latest = None;
    for (number, step) in ROUND.into_iter().cycle().take(STEPS).enumerate() {
        let is_good = matches!(step, Step::CertificateFirst | Step::KeyFirst | Step::Renamed | Step::LinkTurned | Step::InDrops);
        let told = relay.log().matches("not taken").count();
        let issued = files.take(step, authority);
        latest = is_good.then_some(issued.fingerprint);
        if number < ROUND.len() {
            match latest {
                Some(shown) => {
                    let took = until("a good pair is shown", || is_shown(relay, &shown.to_string()));
                    assert!(took < TAKEN_WITHIN, "{step:?} takes {took:?}");
                }
                None => drop(until("a bad pair is told", || relay.log().matches("not taken").count() > told)),
            }
        } else {
            thread::sleep(Duration::from_millis(70));
        }
    }
    let latest = latest.expect("the last step is a good one").to_string();
    until("the last pair is shown", || is_shown(relay, &latest));
}

fn is_shown(relay: &Relay, fingerprint: &str) -> bool {
    relay.get("/certificate.sha256").body == fingerprint
}

fn config(trust: &Trust) -> ClientConfig {
    let mut config = ClientConfig::default();
    config.trust = trust.clone();
    config.protocols = vec![VERSION.alpn().to_owned()];
    config.websocket_after = None;
    config
}

#[test]
fn fifty_rotations_good_and_bad_cost_no_session_and_no_handshake() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(&NAMES));
    let (certificate, key) = files.paths();
    let tls = format!("tls.cert = {certificate:?}\ntls.key = {key:?}");
    let relay = Arc::new(Relay::start(&OPEN.replace("tls.generate = \"localhost\"", &tls)));
    let trust = authority.trust(&files.folder);

    story(async {
        let url = |scheme: &str| format!("{scheme}://{}/", relay.udp).parse().unwrap();
        let publisher = Peer::dial(config(&trust), &url("moqt"), &[VERSION]).await.unwrap();
        let room = publisher.publish("room");
        let mut viewers = Vec::new();
        for scheme in ["https", "moqt"] {
            let viewer = Peer::dial(config(&trust), &url(scheme), &[VERSION]).await.unwrap();
            let groups = viewer.watch("room").await;
            viewers.push((viewer, groups));
        }

        let (is_over, handshakes) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let (is_over, handshakes, trust) = (is_over.clone(), handshakes.clone(), trust.clone());
            let url: url::Url = url(["https", "moqt"][number % 2]);
            clients.spawn_local(async move {
                while !is_over.get() {
                    // A client of its own each time: none has a ticket to come back with.
                    let peer = soon("a handshake", Peer::dial(config(&trust), &url, &[VERSION])).await.unwrap();
                    peer.closer.close(close::session::NO_ERROR, "");
                    peer.ended().await.ok();
                    handshakes.set(handshakes.get() + 1);
                }
            });
        }
        let (turned, rotating) = (is_over.clone(), relay.clone());
        let rotated = spawn_local(async move {
            let rotated = spawn_blocking(move || rotate(&rotating, &authority, files)).await;
            turned.set(true);
            rotated.unwrap();
        });
        while !is_over.get() {
            room.video.append_group().write_all(["live"]);
            for (_, groups) in &mut viewers {
                assert_eq!(next(groups).await, ["live"]);
            }
        }
        rotated.await.unwrap();
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        assert!(handshakes.get() > STEPS, "{} handshakes are no load", handshakes.get());
        println!("{} handshakes during {STEPS} rotations", handshakes.get());
    });
}

#[test]
fn a_signal_has_files_read_at_once() {
    let authority = Authority::new();
    let mut files = Files::new(&authority.issue(&NAMES));
    let (certificate, key) = files.paths();
    let tls = format!("tls.cert = {certificate:?}\ntls.key = {key:?}");
    let relay = Relay::start(&OPEN.replace("tls.generate = \"localhost\"", &tls));

    for signal in ["HUP", "USR1"] {
        let issued = files.take(Step::Renamed, &authority);
        relay.signal(signal);
        let took = until("the pair is shown", || is_shown(&relay, &issued.fingerprint.to_string()));
        assert!(took < TAKEN_WITHIN, "{signal}: {took:?}");
    }
}

#[test]
fn a_generated_certificate_stands_beside_files() {
    let authority = Authority::new();
    let issued = authority.issue(&["relay.test"]);
    let files = Files::new(&issued);
    let (certificate, key) = files.paths();
    let tls = format!("tls.generate = \"localhost\"\ntls.cert = {certificate:?}\ntls.key = {key:?}");
    let relay = Relay::start(&OPEN.replace("tls.generate = \"localhost\"", &tls));

    let of = |host: &str| relay.ask("GET", "/certificate.sha256", &[("host", host)]).body;
    assert_eq!(of("relay.test:443"), issued.fingerprint.to_string());
    let generated = relay.get("/certificate.sha256?all").body;
    assert_ne!(generated, issued.fingerprint.to_string());

    story(async {
        let trust = Trust::Fingerprints(vec![generated.parse().unwrap()]);
        let url = format!("https://localhost:{}/", relay.udp.port()).parse().unwrap();
        soon("a session", Peer::dial(config(&trust), &url, &[VERSION])).await.unwrap();
    });
}
