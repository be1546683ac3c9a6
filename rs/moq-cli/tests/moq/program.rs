//! The program under test: its input, its output, and its end, none of which is waited for in vain.

use std::{
    io::{Read, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use crate::relay::{Over, Relay};

/// How long anything may take that a test waits for. Only ever reached when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running program, ended when dropped.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    output: Arc<Gathered>,
    errors: Arc<Gathered>,
    ended: mpsc::Receiver<()>,
}

/// What a program has written so far.
#[derive(Default)]
struct Gathered {
    bytes: Mutex<Vec<u8>>,
    more: Condvar,
}

impl Gathered {
    fn gather(mut from: impl Read + Send + 'static, end: mpsc::SyncSender<()>) -> Arc<Self> {
        let this = Arc::<Self>::default();
        let into = this.clone();
        thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                into.bytes.lock().unwrap().extend_from_slice(&buffer[..read]);
                into.more.notify_all();
            }
            drop(end);
        });
        this
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) output: Vec<u8>,
    pub(crate) errors: String,
}

impl Ended {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.output.clone()).unwrap()
    }

    /// Makes sure that it was a good end, with nothing to complain about.
    pub(crate) fn well(self) -> Self {
        assert_eq!((self.status, self.errors.as_str()), (Some(0), ""), "{}", String::from_utf8_lossy(&self.output));
        self
    }
}

impl Program {
    /// Starts it with nobody to read its output.
    pub(crate) fn unread(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moq"));
        command.args(args);
        Self::spawn(command, false)
    }

    /// Starts `moq` with these arguments, and nothing of the tests' own environment that could change what it does.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::with_env(args, &[])
    }

    pub(crate) fn with_env(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moq"));
        command.args(args).env_remove("MOQ_JWT").envs(env.iter().copied());
        Self::spawn(command, true)
    }

    fn spawn(mut command: Command, is_read: bool) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (end, ended) = mpsc::sync_channel(1);
        let stdout = child.stdout.take().filter(|_| is_read);
        let output = stdout.map_or_else(Arc::default, |stdout| Gathered::gather(stdout, end.clone()));
        let errors = Gathered::gather(child.stderr.take().unwrap(), end);
        let stdin = child.stdin.take();
        Self { child, stdin, output, errors, ended }
    }

    /// Runs to its end.
    pub(crate) fn run(args: &[&str]) -> Ended {
        Self::start(args).end()
    }

    /// Types something.
    pub(crate) fn write(&mut self, input: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(input).unwrap();
    }

    /// Closes its input.
    pub(crate) fn close(&mut self) {
        self.stdin = None;
    }

    /// Waits until it has written this, after whatever else.
    pub(crate) fn says(&self, text: &str) {
        self.says_after("", text);
    }

    /// Waits until it has written this after that.
    pub(crate) fn says_after(&self, that: &str, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut bytes = self.output.bytes.lock().unwrap();
        while !String::from_utf8_lossy(&bytes).split_once(that).is_some_and(|(_, after)| after.contains(text)) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it never says {text:?}, but {:?}\n{}", String::from_utf8_lossy(&bytes), self.errors.text());
            bytes = self.output.more.wait_timeout(bytes, left.min(Duration::from_millis(500))).unwrap().0;
        }
    }

    /// Sends a signal by name, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Closes its input and waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        self.close();
        self.wait()
    }

    /// Waits for its end, whatever its input.
    pub(crate) fn wait(mut self) -> Ended {
        // The end of all it writes is its end.
        if self.ended.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Disconnected) {
            panic!("it does not end: {:?}\n{}", self.output.text(), self.errors.text());
        }
        let status = self.child.wait().unwrap().code();
        Ended { status, output: self.output.bytes.lock().unwrap().clone(), errors: self.errors.text() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Relay {
    /// Starts `moq` with this command, at this URL, with these arguments after it. The command may be two words.
    pub(crate) fn moq(&self, over: Over, command: &str, args: &[&str]) -> Program {
        let url = self.url(over, "/");
        let command: Vec<&str> = command.split(' ').collect();
        Program::start(&[&command, &["--tls-fingerprint", &self.fingerprint, &url][..], args].concat())
    }
}
