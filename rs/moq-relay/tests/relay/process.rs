//! The relay's own binary, started on free ports, and a plain HTTP client to talk to it.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// How long the relay may take to do what a test waits for. Only ever reached when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration with everything on free ports of this machine, open to everybody.
pub(crate) const OPEN: &str = r#"
[server]
listen = "127.0.0.1:0"
tls.generate = "localhost"

[web.http]
listen = "127.0.0.1:0"

[auth]
public = ""
"#;

/// A configuration with every other listener there is, on free ports and a Unix socket of its own for each call.
pub(crate) fn wide(config: &str) -> String {
    // A path of a socket has 108 bytes, which folders of builds may have used up.
    let folder = std::env::temp_dir().join(format!("moq-relay-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let socket = folder.join(format!("{}.sock", COUNT.fetch_add(1, Ordering::Relaxed)));
    let streams = format!("[server]\ntcp.listen = \"127.0.0.1:0\"\nunix.path = {socket:?}\n");
    format!("[web.https]\nlisten = \"127.0.0.1:0\"\n{}", config.replace("[server]\n", &streams))
}

/// The binary, with nothing of the tests' own environment that could configure it.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moq-relay"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MOQ_") || name == "RUST_LOG" || name == "RUST_BACKTRACE" {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the binary to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    command().args(args).output().unwrap()
}

/// A file of its own for each call, with this text.
pub(crate) fn file(text: &str) -> PathBuf {
    let path = folder().join("relay.toml");
    fs::write(&path, text).unwrap();
    path
}

/// An empty folder of its own for each call.
pub(crate) fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("relay-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    // What an earlier run left behind.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A relay that runs until it is dropped.
pub(crate) struct Relay {
    child: Child,
    pub udp: SocketAddr,
    pub web: Option<SocketAddr>,
    pub https: Option<SocketAddr>,
    pub tcp: Option<SocketAddr>,
    log: Arc<Mutex<String>>,
    ended: Mutex<mpsc::Receiver<()>>,
}

impl Relay {
    /// Starts one that closes its sessions as soon as it is told to end, and waits until it listens.
    pub(crate) fn start(config: &str) -> Self {
        Self::patient(config, "0s")
    }

    /// Starts one that gives its peers so long to leave, and waits until it listens.
    pub(crate) fn patient(config: &str, drain_timeout: &str) -> Self {
        Self::spawn(command().arg(file(config)).args(["--drain-timeout", drain_timeout]))
    }

    /// Starts this command and waits until it listens.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, lines) = (Arc::new(Mutex::new(String::new())), BufReader::new(child.stderr.take().unwrap()));
        let (found, listening) = mpsc::sync_channel(16);
        let (end, ended) = mpsc::sync_channel(16);
        let kept = log.clone();
        // Reads on for as long as the relay writes, so that it never waits for a reader.
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Some(listener) = listener(&line) {
                    let _ = found.send(Some(listener));
                }
                if says(&line, "ready") {
                    let _ = found.send(None);
                }
                *kept.lock().unwrap() += &format!("{line}\n");
            }
            drop(end);
        });
        let (mut udp, mut web, mut https, mut tcp) = (None, None, None, None);
        loop {
            match listening.recv_timeout(PATIENCE) {
                Ok(Some((transport, address))) if transport == "quic" => udp = Some(address),
                Ok(Some((transport, address))) if transport == "https" => https = Some(address),
                Ok(Some((transport, address))) if transport == "tcp" => tcp = Some(address),
                Ok(Some((_, address))) => web = Some(address),
                Ok(None) => break,
                Err(_) => panic!("the relay does not listen:\n{}", log.lock().unwrap()),
            }
        }
        Self { child, udp: udp.expect("QUIC"), web, https, tcp, log, ended: Mutex::new(ended) }
    }

    /// The Unix socket it listens on.
    pub(crate) fn unix(&self) -> String {
        let log = self.log();
        let (_, path) = log.split_once("transport=unix address=").expect("a Unix socket");
        path.lines().next().unwrap().to_owned()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it has logged this.
    pub(crate) fn logs(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "{text} is never logged:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal by name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end and returns how it ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        // The end of its log is the end of the process.
        match self.ended.get_mut().unwrap().recv_timeout(PATIENCE) {
            Err(mpsc::RecvTimeoutError::Disconnected) => self.child.wait().unwrap(),
            _ => panic!("the relay does not end:\n{}", self.log()),
        }
    }

    /// Where HTTP answers, as seen from this machine.
    pub(crate) fn http(&self) -> SocketAddr {
        let mut address = self.web.expect("a web listener");
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        address
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.try_ask(method, path, headers).unwrap()
    }

    /// The same for requests that may not get an answer.
    pub(crate) fn try_ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(self.http())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            request += "host: localhost\r\n";
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if !headers.iter().any(|(name, _)| *name == "connection") {
            request += "connection: close\r\n";
        }
        stream.write_all(format!("{request}\r\n").as_bytes())?;
        Answer::read(stream, method == "HEAD")
    }
}

/// Whether the line, text or JSON, has this message.
fn says(line: &str, message: &str) -> bool {
    line.contains(&format!(": {message} ")) || line.contains(&format!("\"message\":\"{message}\""))
}

/// The transport and address of a line, text or JSON, about a listener.
fn listener(line: &str) -> Option<(String, SocketAddr)> {
    let field = |name: &str| {
        let (_, value) = line.split_once(&format!("{name}=")).or_else(|| line.split_once(&format!("\"{name}\":\"")))?;
        value.split([' ', '"']).next().map(str::to_owned)
    };
    says(line, "listening").then_some(())?;
    Some((field("transport")?, field("address")?.parse().ok()?))
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    pub(crate) fn read(stream: impl Read, is_head: bool) -> io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head)?, 0, "the answer ends after {head:?}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Self { status, head, body: String::new() };
        if status != 101 && !is_head {
            let length = answer.header("content-length").map_or(u64::MAX, |length| length.parse().unwrap());
            reader.take(length).read_to_string(&mut answer.body)?;
        }
        Ok(answer)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}
