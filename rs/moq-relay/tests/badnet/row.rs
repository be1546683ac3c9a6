//! One row: a publisher, the relay, a viewer, and a bad network at one of the two.

use std::{
    cell::RefCell,
    env,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use futures::future::join_all;
use impair::{Middlebox, Report, Settings};
use moq_lite::model::demand::Ask;
use moq_native::{ClientConfig, tls::Trust};
use moq_proto::Version;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    comeback::Comeback,
    peer::{Over, Peer, soon, story},
    process::{OPEN, Relay},
    seen::{Seen, watch},
    video,
};

/// How long the short form plays.
const PLAYS: Duration = Duration::from_secs(6);

/// When the first blackhole begins, and from one to the next: no multiple of a group.
const BLACKHOLES: (Duration, Duration) = (Duration::from_millis(1_500), Duration::from_millis(9_870));

/// How old a group may be that is not the newest, as a player with a buffer asks for.
const MAX_AGE: Duration = Duration::from_secs(1);

/// How long a group may be on air without being the first to come after a blackhole. What is on its way when it begins comes
/// first: half a round trip of 40 ms, two turns, and what a busy machine adds.
const SLACK: Duration = Duration::from_millis(200);

/// By how much one row darkens later than the one before, so that blackholes end at different times of a group's life.
const PHASE: Duration = Duration::from_millis(83);

/// What is wrong with the network, and what must hold all the same.
pub(crate) struct Trouble {
    pub(crate) name: &'static str,
    /// Both ways.
    pub(crate) profile: &'static str,
    pub(crate) rebind: Option<Duration>,
    /// How long nothing passes, again and again.
    pub(crate) blackhole: Option<Duration>,
    /// The longest that playback may stand still.
    pub(crate) stall: Duration,
}

impl Trouble {
    /// None at all, so far.
    pub(crate) fn named(name: &'static str) -> Self {
        Self { name, profile: "", rebind: None, blackhole: None, stall: Duration::MAX }
    }
}

/// Who is behind the bad network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Viewer,
    Publisher,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    side: Side,
    over: Over,
    version: Version,
    /// IPv4 reaches the relay's socket for both families in the clothes of IPv6.
    host: IpAddr,
}

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

const ROWS: [Row; 6] = [
    Row { side: Side::Viewer, over: Over::WebTransport, version: Version::Lite05, host: V4 },
    Row { side: Side::Viewer, over: Over::WebTransport, version: Version::Lite06, host: V6 },
    Row { side: Side::Viewer, over: Over::Quic, version: Version::Lite05, host: V6 },
    Row { side: Side::Viewer, over: Over::Quic, version: Version::Lite06, host: V4 },
    Row { side: Side::Publisher, over: Over::WebTransport, version: Version::Lite05, host: V6 },
    Row { side: Side::Publisher, over: Over::Quic, version: Version::Lite06, host: V4 },
];

/// Plays every row with this trouble, all at the same time.
pub(crate) fn plays_on(trouble: &Trouble) {
    let relay = Relay::start(&OPEN.replacen("127.0.0.1:0", "[::]:0", 1));
    story(async {
        join_all(ROWS.iter().zip(1..).map(|(row, seed)| play(&relay, trouble, row, seed))).await;
    });
}

async fn play(relay: &Relay, trouble: &Trouble, row: &Row, seed: u64) {
    let to = SocketAddr::new(row.host, relay.udp.port());
    let (up, down) = (trouble.profile.parse().unwrap(), trouble.profile.parse().unwrap());
    let listen = SocketAddr::new(row.host, 0);
    let network = Middlebox::start(Settings { listen, to, seed, up, down, rebind: trouble.rebind }).unwrap();
    let door = |side| if row.side == side { network.address() } else { to };

    let publisher = join(relay, row, door(Side::Publisher)).await;
    let viewer = join(relay, row, door(Side::Viewer)).await;
    let name = format!("{}/{seed}", trouble.name);
    let room = publisher.publish(&name);
    let epoch = Instant::now();
    let seen = Rc::new(RefCell::new(Seen::default()));
    let (begun, starts) = (Rc::new(Notify::new()), Rc::new(RefCell::new(Vec::new())));
    let groups = viewer.watch_as(&name, Ask { max_age: Some(MAX_AGE), ..Ask::default() }).await;
    let mut tasks = JoinSet::new();
    tasks.spawn_local(watch(groups, seen.clone(), epoch, begun.clone()));
    tasks.spawn_local(video::publish(room, epoch, starts.clone()));
    soon("the first group", begun.notified()).await;

    sleep(PHASE * seed as u32).await;
    let blackholes = darken(trouble, &network, epoch).await;
    let (report, seen) = (network.report(), seen.borrow());
    figures(trouble, row, &seen, &report);
    assert_eq!(seen.faults, Vec::<String>::new(), "{row:?}\n{report}");
    assert!(!publisher.is_over() && !viewer.is_over(), "{row:?}: a session is lost\n{report}");
    assert_eq!(report.flows, 1, "{row:?}: a client came again");
    report.acted().unwrap();
    let stall = seen.longest_stall().max(epoch.elapsed() - seen.arrivals.last().unwrap().came);
    assert!(stall <= trouble.stall, "{row:?}: playback stood still for {stall:?}\n{report}");
    for end in blackholes {
        let comeback = Comeback::after(end, &seen, &starts.borrow()).expect("playback goes on after the blackhole");
        println!("           {:<9} {:<12} {} {comeback}", format!("{:?}", row.side), format!("{:?}", row.over), row.version);
        assert!(comeback.overdue <= SLACK, "{row:?}: {comeback}\n{report}");
    }
}

/// Connects to the relay through this door.
async fn join(relay: &Relay, row: &Row, door: SocketAddr) -> Peer {
    let mut config = ClientConfig::default();
    config.trust = Trust::Fingerprints(vec![relay.get("/certificate.sha256").body.parse().unwrap()]);
    config.protocols = vec![row.version.alpn().to_owned()];
    config.websocket_after = None;
    let scheme = if row.over == Over::Quic { "moqt" } else { "https" };
    Peer::dial(config, &format!("{scheme}://{door}/").parse().unwrap(), &[row.version]).await.unwrap()
}

/// Prints a row of the table.
fn figures(trouble: &Trouble, row: &Row, seen: &Seen, report: &Report) {
    let (delays, (sent, came)) = (seen.delays(), seen.completeness());
    let percentile = |percent: usize| delays[(delays.len() - 1) * percent / 100].as_millis();
    println!(
        "{:<10} {:<9} {:<12} {} {}  delay p50 {:>3} p99 {:>4} ms, stall {:>4} ms, {:>3} of {sent} frames lost | {}",
        trouble.name,
        format!("{:?}", row.side),
        format!("{:?}", row.over),
        row.version,
        if row.host.is_ipv4() { "IPv4" } else { "IPv6" },
        percentile(50),
        percentile(99),
        seen.longest_stall().as_millis(),
        sent - came,
        report.line(),
    );
}

/// Lets the time pass, with blackholes in it where they belong. Returns when they ended, since the epoch.
async fn darken(trouble: &Trouble, network: &Middlebox, epoch: Instant) -> Vec<Duration> {
    let seconds = env::var("MOQ_BADNET_SECONDS").ok().map(|seconds| Duration::from_secs(seconds.parse().unwrap()));
    let (began, plays) = (Instant::now(), seconds.unwrap_or(PLAYS));
    let mut blackholes = Vec::new();
    if let Some(length) = trouble.blackhole {
        let (mut next, every) = (began + BLACKHOLES.0, BLACKHOLES.1);
        while blackholes.is_empty() || next < began + plays {
            sleep_until(next).await;
            network.blackhole(length);
            blackholes.push(epoch.elapsed() + length);
            next += every;
        }
        // What follows the last one is to be seen too.
        sleep(length + trouble.stall).await;
    }
    sleep_until(began + plays).await;
    blackholes
}
