//! Flow: one client, its socket towards the relay, and its own luck in each direction.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::{
    Profile, Settings, Window,
    chance::mix,
    judge::{Judge, Verdict},
    line::Way,
};

/// Bytes asked of the system for each socket, so that what is lost is lost here, and counted.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) client: SocketAddr,
    /// Towards the relay.
    pub(crate) socket: UdpSocket,
    up: Direction,
    down: Direction,
    /// When a packet of the client last came in.
    pub(crate) heard: Duration,
}

#[derive(Debug)]
struct Direction {
    judge: Judge,
    came: u64,
    /// One more than the number of the latest packet that has come out.
    out: u64,
}

impl Flow {
    /// The client that came as the `index`th, at `now`.
    pub(crate) fn new(settings: &Settings, index: u64, client: SocketAddr, now: Duration) -> io::Result<Self> {
        let seed = mix(settings.seed ^ mix(index));
        let direction = |profile: &Profile, seed| {
            let blackholes = profile.blackholes.iter().map(|window| window.after(now)).collect();
            let profile = Profile { blackholes, ..profile.clone() };
            Direction { judge: Judge::new(profile, seed), came: 0, out: 0 }
        };
        Ok(Self {
            client,
            socket: toward(settings.to)?,
            up: direction(&settings.up, mix(seed)),
            down: direction(&settings.down, mix(!seed)),
            heard: now,
        })
    }

    fn direction(&mut self, way: Way) -> &mut Direction {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    /// Lets nothing pass, either way, in one more window.
    pub(crate) fn blackhole(&mut self, window: Window) {
        self.up.judge.blackhole(window);
        self.down.judge.blackhole(window);
    }

    /// Decides on a packet that comes in, and gives it its number.
    pub(crate) fn came(&mut self, way: Way, now: Duration, bytes: usize) -> (u64, Verdict) {
        let direction = self.direction(way);
        direction.came += 1;
        (direction.came - 1, direction.judge.judge(now, bytes))
    }

    /// Notes a packet that goes out. Says whether a later one has overtaken it.
    pub(crate) fn went(&mut self, way: Way, number: u64) -> bool {
        let direction = self.direction(way);
        let is_overtaken = number + 1 < direction.out;
        direction.out = direction.out.max(number + 1);
        is_overtaken
    }

    /// Speaks to the relay from another port from now on. What the relay sends to the old one is lost, as behind a NAT.
    pub(crate) fn rebind(&mut self, relay: SocketAddr) -> io::Result<()> {
        self.socket = toward(relay)?;
        Ok(())
    }
}

/// A socket towards the relay, on a port that the system chooses.
fn toward(relay: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if relay.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = bind((any, 0).into())?;
    socket2::SockRef::from(&socket).connect(&relay.into())?;
    Ok(socket)
}

/// A socket with room for bursts. Call it inside a tokio runtime.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // A system that refuses outright keeps its default.
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cause;

    const SECOND: Duration = Duration::from_secs(1);

    fn settings(up: &str) -> Settings {
        let (listen, to) = ("127.0.0.1:0".parse().unwrap(), "127.0.0.1:9".parse().unwrap());
        Settings { listen, to, seed: 7, up: up.parse().unwrap(), down: Profile::default(), rebind: None }
    }

    #[tokio::test]
    async fn the_windows_of_a_profile_begin_with_the_clients_first_packet() {
        let settings = settings("blackhole=1s+1s");
        let mut flow = Flow::new(&settings, 0, settings.to, 10 * SECOND).unwrap();
        // One that was asked for as it ran goes by the clock.
        flow.blackhole("15s+1s".parse().unwrap());
        let lost: Vec<u32> =
            (10..20).filter(|at| flow.came(Way::Up, *at * SECOND, 100).1 == Verdict::Lost(Cause::Blackhole)).collect();
        assert_eq!(lost, [11, 15]);
    }

    #[tokio::test]
    async fn clients_and_ways_have_draws_of_their_own() {
        let settings = Settings { down: "loss=50%".parse().unwrap(), ..settings("loss=50%") };
        let lost = |index, way| {
            let mut flow = Flow::new(&settings, index, settings.to, Duration::ZERO).unwrap();
            (0..64).map(|_| matches!(flow.came(way, Duration::ZERO, 100).1, Verdict::Lost(_))).collect::<Vec<_>>()
        };
        assert_eq!(lost(0, Way::Up), lost(0, Way::Up));
        assert_ne!(lost(0, Way::Up), lost(1, Way::Up));
        assert_ne!(lost(0, Way::Up), lost(0, Way::Down));
    }

    #[tokio::test]
    async fn a_packet_is_overtaken_when_a_later_one_is_out() {
        let settings = settings("");
        let mut flow = Flow::new(&settings, 0, settings.to, Duration::ZERO).unwrap();
        let overtaken = [0, 2, 1, 1, 2, 3].map(|number| flow.went(Way::Up, number));
        assert_eq!(overtaken, [false, false, true, true, false, false]);
        assert!(!flow.went(Way::Down, 0));
    }
}
