//! Middlebox: sockets, clock and thread around the judges.

use std::{
    collections::HashMap,
    future::{pending, poll_fn},
    io, mem,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    thread,
    time::Duration,
};

use tokio::{
    io::ReadBuf,
    net::UdpSocket,
    sync::oneshot,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};

use crate::{
    flow::{self, Flow},
    judge::Verdict,
    line::{Line, Packet, Way},
    profile::{Profile, Window},
    report::{Action, Asked, Counts, Report},
};

/// Most clients at a time. Packets of further ones are refused.
const FLOWS_MAX: usize = 256;

/// How long a client may be silent before it is forgotten, as a NAT forgets it.
const FLOW_IDLE: Duration = Duration::from_secs(60);

/// Largest packet that passes, in bytes; UDP has no larger.
const PACKET_MAX: usize = 65_535;

/// Packets taken in before those on their way get their go.
const TURN: usize = 64;

/// What a middle-box is built from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients connect. Port 0: one that is free.
    pub listen: SocketAddr,
    /// Where the relay listens.
    pub to: SocketAddr,
    /// What all decisions follow from. Each client has draws of its own, by the order of their coming.
    pub seed: u64,
    /// From clients to the relay.
    pub up: Profile,
    /// From the relay to clients.
    pub down: Profile,
    /// How often each client's port towards the relay changes. `None`: never.
    pub rebind: Option<Duration>,
}

/// A middle-box that runs, on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Middlebox {
    address: SocketAddr,
    began: Instant,
    shared: Arc<Mutex<Shared>>,
    /// Dropped: the thread ends.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    report: Report,
    /// Blackholes that were asked for and are not in force yet.
    blackholes: Vec<Window>,
}

impl Middlebox {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let socket = {
            let _inside = runtime.enter();
            flow::bind(settings.listen)?
        };
        let address = socket.local_addr()?;
        let report = Report::new(settings.seed, [&settings.up, &settings.down], settings.rebind.is_some());
        let shared = Arc::new(Mutex::new(Shared { report, blackholes: Vec::new() }));
        let began = Instant::now();
        let (stop, stopped) = oneshot::channel();
        let works = Works::new(settings, socket, began, shared.clone());
        let thread = thread::Builder::new().name("impair".to_owned()).spawn(move || runtime.block_on(works.run(stopped)))?;
        Ok(Self { address, began, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nothing pass, either way, from now on for so long.
    pub fn blackhole(&self, length: Duration) {
        let mut shared = lock(&self.shared);
        shared.blackholes.push(Window { from: self.began.elapsed(), length, every: None });
        let asked = Asked::Done(Action::Blackhole);
        if !shared.report.asked.contains(&asked) {
            shared.report.asked.push(asked);
        }
    }

    /// What it has done so far.
    pub fn report(&self) -> Report {
        let report = lock(&self.shared).report.clone();
        Report { elapsed: self.began.elapsed(), ..report }
    }
}

impl Drop for Middlebox {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic there has been told on its way.
            let _ = thread.join();
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What runs on the thread.
struct Works {
    settings: Settings,
    socket: UdpSocket,
    began: Instant,
    shared: Arc<Mutex<Shared>>,
    flows: HashMap<u64, Flow>,
    /// The flow of each client.
    clients: HashMap<SocketAddr, u64>,
    line: Line,
    /// Those that were asked for as it ran.
    blackholes: Vec<Window>,
    buffer: Vec<u8>,
}

impl Works {
    fn new(settings: Settings, socket: UdpSocket, began: Instant, shared: Arc<Mutex<Shared>>) -> Self {
        let buffer = vec![0; PACKET_MAX];
        Self {
            settings,
            socket,
            began,
            shared,
            flows: HashMap::new(),
            clients: HashMap::new(),
            line: Line::default(),
            blackholes: Vec::new(),
            buffer,
        }
    }

    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let every = self.settings.rebind.filter(|every| !every.is_zero());
        let mut rebind = every.map(|every| interval_at(self.began + every, every));
        if let Some(rebind) = &mut rebind {
            rebind.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            let due = self.line.next_due().map(|due| self.began + due);
            tokio::select! {
                biased;
                _ = &mut stopped => return,
                () = due_at(due) => self.release(),
                () = tick(&mut rebind) => self.rebind(),
                () = poll_fn(|cx| self.poll_take(cx)) => {}
            }
        }
    }

    /// Takes in what has arrived, a turn's worth at most. Ready as soon as there was something.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = mem::take(&mut self.buffer);
        let mut taken = self.take_up(cx, &mut buffer);
        let flows: Vec<u64> = self.flows.keys().copied().collect();
        for flow in flows {
            taken += self.take_down(flow, cx, &mut buffer);
        }
        self.buffer = buffer;
        if taken > 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes in what clients send. Returns how much was found, so that only who found nothing waits.
    fn take_up(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> usize {
        for taken in 0..TURN {
            let mut packet = ReadBuf::new(buffer);
            match self.socket.poll_recv_from(cx, &mut packet) {
                Poll::Pending => return taken,
                Poll::Ready(Ok(client)) => match self.flow_of(client) {
                    Some(flow) => self.take(flow, Way::Up, packet.filled()),
                    None => lock(&self.shared).report.up.add(Action::Refuse),
                },
                // A client that is gone; its packets are lost.
                Poll::Ready(Err(_)) => {}
            }
        }
        TURN
    }

    /// The same for what the relay sends to one client.
    fn take_down(&mut self, flow: u64, cx: &mut Context<'_>, buffer: &mut [u8]) -> usize {
        for taken in 0..TURN {
            let mut packet = ReadBuf::new(buffer);
            let Some(Flow { socket, .. }) = self.flows.get(&flow) else { return taken };
            match socket.poll_recv(cx, &mut packet) {
                Poll::Pending => return taken,
                Poll::Ready(Ok(())) => self.take(flow, Way::Down, packet.filled()),
                // Nobody listens where the relay should be; the packet that found out is lost.
                Poll::Ready(Err(_)) => {}
            }
        }
        TURN
    }

    /// The flow of a client, a new one if need be. `None`: there is no room for one more.
    fn flow_of(&mut self, client: SocketAddr) -> Option<u64> {
        if let Some(flow) = self.clients.get(&client) {
            return Some(*flow);
        }
        let now = self.began.elapsed();
        if self.flows.len() >= FLOWS_MAX {
            self.flows.retain(|_, flow| now.saturating_sub(flow.heard) < FLOW_IDLE);
            self.clients.retain(|_, flow| self.flows.contains_key(flow));
        }
        if self.flows.len() >= FLOWS_MAX {
            return None;
        }
        let index = lock(&self.shared).report.flows;
        let mut flow = Flow::new(&self.settings, index, client, now).ok()?;
        self.blackholes.iter().for_each(|window| flow.blackhole(*window));
        self.flows.insert(index, flow);
        self.clients.insert(client, index);
        lock(&self.shared).report.flows += 1;
        Some(index)
    }

    /// Decides on a packet, and puts what passes on its way.
    fn take(&mut self, index: u64, way: Way, payload: &[u8]) {
        let shared = self.shared.clone();
        let mut shared = lock(&shared);
        self.enforce(mem::take(&mut shared.blackholes));
        let now = self.began.elapsed();
        let Some(flow) = self.flows.get_mut(&index) else { return };
        if way == Way::Up {
            flow.heard = now;
        }
        let (number, verdict) = flow.came(way, now, payload.len());
        let counts = counts(&mut shared.report, way);
        counts.judged(&verdict, now, payload.len());
        let Verdict::Passed(passage) = verdict else { return };
        let mut payload = payload.to_vec();
        if let Some(bit) = passage.flipped {
            payload[bit / 8] ^= 0x80 >> (bit % 8);
        }
        if passage.is_twice && !self.line.push(passage.due, Packet { flow: index, way, number, payload: payload.clone() }) {
            counts.add(Action::Refuse);
        }
        if !self.line.push(passage.due, Packet { flow: index, way, number, payload }) {
            counts.add(Action::Refuse);
        }
    }

    /// Lets new blackholes hold for everybody, newcomers included.
    fn enforce(&mut self, windows: Vec<Window>) {
        for window in windows {
            self.flows.values_mut().for_each(|flow| flow.blackhole(window));
            self.blackholes.push(window);
        }
    }

    /// Sends what is due.
    fn release(&mut self) {
        let now = self.began.elapsed();
        while let Some(packet) = self.line.pop(now) {
            let Some(flow) = self.flows.get_mut(&packet.flow) else { continue };
            let sent = match packet.way {
                Way::Up => flow.socket.try_send(&packet.payload),
                Way::Down => self.socket.try_send_to(&packet.payload, flow.client),
            };
            let is_overtaken = flow.went(packet.way, packet.number);
            let mut shared = lock(&self.shared);
            let counts = counts(&mut shared.report, packet.way);
            if is_overtaken {
                counts.add(Action::Reorder);
            }
            match sent {
                Ok(_) => counts.passed += 1,
                // A UDP socket that is full, or somebody who is gone.
                Err(_) => counts.add(Action::Refuse),
            }
        }
    }

    fn rebind(&mut self) {
        for flow in self.flows.values_mut() {
            // Without a free port the old one stays.
            if flow.rebind(self.settings.to).is_ok() {
                lock(&self.shared).report.rebinds += 1;
            }
        }
    }
}

fn counts(report: &mut Report, way: Way) -> &mut Counts {
    match way {
        Way::Up => &mut report.up,
        Way::Down => &mut report.down,
    }
}

async fn due_at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

async fn tick(interval: &mut Option<tokio::time::Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => pending().await,
    }
}
