//! The relay's own binary, on free ports of this machine.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Instant,
};

use crate::program::PATIENCE;

/// Open to everybody at these paths. Who is inside has so long to leave.
fn config(address: SocketAddr, socket: &Path, public: &str, drain_timeout: &str) -> String {
    format!(
        "drain_timeout = {drain_timeout:?}\n[server]\nlisten = \"{address}\"\ntls.generate = \"localhost\"\ntcp.bind = \"127.0.0.1:0\"\nunix.bind = {socket:?}\n\
         [web.http]\nlisten = \"{address}\"\n[auth]\npublic = {public:?}\n"
    )
}

/// What is wrong with a relay that never says where it listens.
const SILENT: &str = "the relay does not listen; is it an old one? cargo build -p moq-relay";

/// How the program reaches the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    WebTransport,
    Quic,
    WebSocket,
    Tcp,
    Unix,
}

impl Over {
    pub(crate) const ALL: [Self; 5] = [Self::WebTransport, Self::Quic, Self::WebSocket, Self::Tcp, Self::Unix];
}

/// A relay that runs until it is dropped.
pub(crate) struct Relay {
    child: Child,
    udp: SocketAddr,
    tcp: SocketAddr,
    socket: PathBuf,
    web: SocketAddr,
    pub(crate) fingerprint: String,
}

impl Relay {
    /// Starts one that is open to everybody, and waits until it listens.
    pub(crate) fn start() -> Self {
        Self::public("")
    }

    /// Starts one that is open to everybody below `path`, and waits until it listens.
    pub(crate) fn public(path: &str) -> Self {
        Self::any(path, "0s")
    }

    /// Starts one that is open to everybody and gives its peers so long to leave, and waits until it listens.
    pub(crate) fn patient(drain_timeout: &str) -> Self {
        Self::any("", drain_timeout)
    }

    fn any(path: &str, drain_timeout: &str) -> Self {
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        Self::listen(address, path, drain_timeout).unwrap_or_else(|log| panic!("{SILENT}\n{log}"))
    }

    /// Starts one that is open to everybody, on the same number for UDP and TCP, as the documentation has it.
    pub(crate) fn on_one_port() -> Self {
        Self::patient_on_one_port("0s")
    }

    /// The same, and gives its peers so long to leave, the first time.
    pub(crate) fn patient_on_one_port(drain_timeout: &str) -> Self {
        let mut log = String::new();
        // Somebody may take the port after it was found free.
        for _ in 0..5 {
            let port = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap().port();
            match Self::listen((Ipv6Addr::UNSPECIFIED, port).into(), "", drain_timeout) {
                Ok(relay) => return relay,
                Err(why) => log = why,
            }
        }
        panic!("{SILENT}\n{log}");
    }

    /// Starts one at this address, open to everybody below `path`, and waits until it listens. What it said, if it does not.
    fn listen(address: SocketAddr, path: &str, drain_timeout: &str) -> Result<Self, String> {
        let mut command = Command::new(built(&["moq-relay"]).join("moq-relay"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MOQ_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        let socket = fresh().with_extension("sock");
        command
            .arg(file(&config(address, &socket, path, drain_timeout)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (tell, told) = mpsc::sync_channel(64);
        // Reads on for as long as the relay writes, so that it never waits for a reader.
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(tell.try_send(line))));

        let (mut udp, mut tcp, mut web, mut log) = (None, None, None, String::new());
        let (udp, tcp, web) = loop {
            if let (Some(udp), Some(tcp), Some(web)) = (udp, tcp, web) {
                break (udp, tcp, web);
            }
            let Ok(line) = told.recv_timeout(PATIENCE) else {
                let _ = child.kill();
                let _ = child.wait();
                return Err(log);
            };
            log += &format!("{line}\n");
            let field = |name| line.split_once(name).map(|(_, rest)| rest.split(' ').next().unwrap().to_owned());
            let address = field("address=").and_then(|address| address.parse().ok());
            match field("transport=").as_deref() {
                Some("quic") => udp = address,
                Some("tcp") => tcp = address,
                Some("http") => web = address,
                _ => {}
            }
        };
        let fingerprint = get(web, "/certificate.sha256");
        Ok(Self { child, udp, tcp, socket, web, fingerprint })
    }

    /// Where it listens for HTTP and WebSocket.
    pub(crate) fn port(&self) -> u16 {
        self.web.port()
    }

    /// The URL that development relays have. For one [on one port](Self::on_one_port).
    pub(crate) fn development(&self) -> String {
        format!("http://localhost:{}", self.port())
    }

    /// The URL of a path at this relay.
    pub(crate) fn url(&self, over: Over, path: &str) -> String {
        match over {
            Over::WebTransport => format!("https://{}{path}", self.udp),
            Over::Quic => format!("moqt://{}{path}", self.udp),
            Over::WebSocket => format!("ws://{}{path}", self.web),
            Over::Tcp => format!("tcp://{}{path}", self.tcp),
            Over::Unix => format!("unix://{}?path={path}", self.socket.display()),
        }
    }

    /// Starts it again where it was before it [ended](Self::end), with a new certificate and open to everybody below `path`. For
    /// one [on one port](Self::on_one_port).
    pub(crate) fn restart(&mut self, path: &str) {
        let address = (Ipv6Addr::UNSPECIFIED, self.port()).into();
        let deadline = Instant::now() + PATIENCE;
        *self = loop {
            match Self::listen(address, path, "0s") {
                Ok(relay) => break relay,
                // Somebody else's socket may have the port for a moment.
                Err(log) => assert!(Instant::now() < deadline, "{SILENT}\n{log}"),
            }
        };
    }

    /// Sends it this signal, which ends it.
    pub(crate) fn end(&mut self, signal: &str) {
        assert!(Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status().unwrap().success());
        self.child.wait().unwrap();
    }

    /// Waits until it has ended by itself, and returns with what.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Asks it to stop.
    pub(crate) fn stop(&self) {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the program under test is, and beside it these, as building the workspace puts them there; built if they are not.
pub(crate) fn built(programs: &[&str]) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let folder = Path::new(env!("CARGO_BIN_EXE_moq")).parent().unwrap();
    let _one = BUILDING.lock().unwrap();
    for program in programs {
        if !folder.join(program).exists() {
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--package", program, "--bin", program]).current_dir(env!("CARGO_MANIFEST_DIR"));
            build.env("CARGO_TARGET_DIR", folder.parent().unwrap());
            assert!(build.status().unwrap().success(), "building {program}");
        }
    }
    folder.to_owned()
}

/// A file of its own for each call, with this text.
pub(crate) fn file(text: &str) -> PathBuf {
    let path = fresh();
    fs::write(&path, text).unwrap();
    path
}

/// A path where there is nothing yet.
fn fresh() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("moq-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The body of an answer.
fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.trim().to_owned()
}
