//! impair: a bad network in front of a relay, from the command line.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;
use impair::{Burst, Middlebox, Profile, Rate, Reorder, Settings, Share, Window};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{interval, sleep},
};

/// How often the live line is renewed.
const LIVE: Duration = Duration::from_secs(1);

const HELP: &str = "\
Examples, with a relay on port 4443:
  impair --to 127.0.0.1:4443 --loss 2% --delay 20ms           a mobile network: clients connect to the printed address
  impair --to [::1]:4443 --listen [::1]:4444 --rebind 2s      a NAT that forgets every two seconds
  impair --to 127.0.0.1:4443 --burst 5%x6 --down rate=2M      losses that come together; a slow way to the client
  impair --to 127.0.0.1:4443 --blackhole 10s+2s/30s           from second 10 on, nothing for 2 s in every 30
  impair --to 127.0.0.1:4443 --loss 2% --seed 7 --for 60s     the same losses again, for a minute

Impairments hold both ways, a delay of 20 ms for 40 ms there and back; --up and --down change one way, as KEY=VALUE,KEY=VALUE
with the names of the options. Every client has a line of its own. HTTP does not pass: ask the relay itself for its certificate.

A table of what was done goes to standard output at the end (SIGINT, SIGTERM or --for).
Exit status: 0 done, 1 it failed, 2 the command line makes no sense, 3 something that was asked for never happened.";

/// A bad network for QUIC, or anything else over UDP, between clients and a relay.
#[derive(Parser)]
#[command(name = "impair", version, after_help = HELP, max_term_width = 110)]
struct Options {
    /// Address that clients connect to. Port 0: one that is free.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Address of the relay.
    #[arg(long, value_name = "ADDRESS")]
    to: SocketAddr,
    /// Packets lost, each by itself.
    #[arg(long, value_name = "SHARE")]
    loss: Option<Share>,
    /// Packets lost together, and how many at a time on average: 5%x6.
    #[arg(long, value_name = "SHARExPACKETS")]
    burst: Option<Burst>,
    /// How long a packet takes, one way.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    delay: Option<Duration>,
    /// How much longer at most. Order is kept.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    jitter: Option<Duration>,
    /// Packets held back, so that later ones overtake them, and for how long: 1%x10ms.
    #[arg(long, value_name = "SHARExTIME")]
    reorder: Option<Reorder>,
    /// Packets that come twice.
    #[arg(long, value_name = "SHARE")]
    duplicate: Option<Share>,
    /// Packets that come with one bit flipped.
    #[arg(long, value_name = "SHARE")]
    corrupt: Option<Share>,
    /// What the line takes, in bits per second: 800k, 2M, 1G.
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
    /// How long a packet may wait for a line with a rate, before it is lost. Default: 100ms.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    queue: Option<Duration>,
    /// When nothing passes, counted from a client's first packet: WHEN+LENGTH, and /EVERY to have it again. May be given
    /// more than once.
    #[arg(long, value_name = "WINDOW")]
    blackhole: Vec<Window>,
    /// How often each client's port towards the relay changes, as behind a NAT that forgets.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    rebind: Option<Duration>,
    /// What changes from the client to the relay: loss=1%,delay=5ms.
    #[arg(long, value_name = "CHANGES")]
    up: Option<String>,
    /// What changes from the relay to the client.
    #[arg(long, value_name = "CHANGES")]
    down: Option<String>,
    /// Repeats the decisions of an earlier run. Default: a new one, which is printed.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Ends by itself after so long.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    lasting: Option<Duration>,
}

impl Options {
    fn settings(self) -> anyhow::Result<Settings> {
        let default = Profile::default();
        let both = Profile {
            loss: self.loss.unwrap_or(default.loss),
            burst: self.burst,
            delay: self.delay.unwrap_or(default.delay),
            jitter: self.jitter.unwrap_or(default.jitter),
            reorder: self.reorder,
            duplicate: self.duplicate.unwrap_or(default.duplicate),
            corrupt: self.corrupt.unwrap_or(default.corrupt),
            rate: self.rate,
            queue: self.queue.unwrap_or(default.queue),
            blackholes: self.blackhole,
        };
        let (mut up, mut down) = (both.clone(), both);
        up.apply(self.up.as_deref().unwrap_or_default()).context("--up")?;
        down.apply(self.down.as_deref().unwrap_or_default()).context("--down")?;
        // A hasher's keys are what the standard library has of chance.
        let seed = self.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        Ok(Settings { listen: self.listen, to: self.to, seed, up, down, rebind: self.rebind })
    }
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("impair: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> anyhow::Result<ExitCode> {
    let lasting = options.lasting;
    let settings = options.settings()?;
    let (listen, to) = (settings.listen, settings.to);
    let middlebox = Middlebox::start(settings).with_context(|| format!("listening on {listen}"))?;
    println!("impair {} -> {to}, seed {}", middlebox.address(), middlebox.report().seed);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
    runtime.block_on(watch(&middlebox, lasting)).context("listening for signals")?;

    let report = middlebox.report();
    println!("{report}");
    Ok(match report.acted() {
        Ok(()) => ExitCode::SUCCESS,
        Err(idle) => {
            eprintln!("impair: {idle}");
            ExitCode::from(3)
        }
    })
}

/// Shows what happens, on a line that renews itself, until it is over.
async fn watch(middlebox: &Middlebox, lasting: Option<Duration>) -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let over = async {
        match lasting {
            Some(lasting) => sleep(lasting).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let mut live = interval(LIVE);
    let is_seen = std::io::stderr().is_terminal();
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = &mut over => break,
            _ = live.tick(), if is_seen => {
                eprint!("\r\x1b[K{}", middlebox.report().line());
                let _ = std::io::stderr().flush();
            }
        }
    }
    if is_seen {
        eprintln!();
    }
    Ok(())
}
