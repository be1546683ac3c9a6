//! The middle-box between real sockets, and the program as it is typed.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::{SocketAddr, UdpSocket},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use impair::{Action, Middlebox, Profile, Settings};

/// How long what must come may take. Only ever reached when a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long to wait for what must not come.
const A_WHILE: Duration = Duration::from_millis(200);

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A middle-box in front of `relay`, the same both ways.
fn in_front_of(relay: &UdpSocket, profile: &str, rebind: Option<Duration>) -> Middlebox {
    let to = relay.local_addr().unwrap();
    let profile: Profile = profile.parse().unwrap();
    let listen = SocketAddr::new(to.ip(), 0);
    Middlebox::start(Settings { listen, to, seed: 7, up: profile.clone(), down: profile, rebind }).unwrap()
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = [0; 2048];
    let (length, from) = socket.recv_from(&mut bytes).unwrap();
    (bytes[..length].to_vec(), from)
}

#[test]
fn packets_pass_both_ways_and_clients_are_told_apart() {
    for loopback in ["127.0.0.1:0", "[::1]:0"] {
        let (relay, clients) = (socket(loopback), [socket(loopback), socket(loopback)]);
        let middlebox = in_front_of(&relay, "", None);
        for (number, client) in clients.iter().enumerate() {
            let ping = format!("ping {number}");
            client.send_to(ping.as_bytes(), middlebox.address()).unwrap();
            let (bytes, from) = receive(&relay);
            assert_eq!(bytes, ping.as_bytes());
            relay.send_to(format!("pong {number}").as_bytes(), from).unwrap();
        }
        for (number, client) in clients.iter().enumerate() {
            assert_eq!(receive(client), (format!("pong {number}").into_bytes(), middlebox.address()));
        }
        let report = middlebox.report();
        assert_eq!((report.up.packets, report.down.packets, report.flows), (2, 2, 2));
        assert_eq!(report.acted(), Ok(()));
    }
}

#[test]
fn what_the_judge_says_is_what_happens() {
    let (relay, client) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let middlebox = in_front_of(&relay, "loss=20%,duplicate=20%,corrupt=20%,reorder=20%x30ms,delay=30ms", None);
    let began = Instant::now();
    for number in 0..200u8 {
        client.send_to(&[number; 100], middlebox.address()).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    let is_through = |report: &impair::Report| {
        report.up.passed == report.up.packets - report.up.of(Action::Loss) + report.up.of(Action::Duplicate)
    };
    while middlebox.report().up.packets < 200 || !is_through(&middlebox.report()) {
        assert!(began.elapsed() < PATIENCE, "{}", middlebox.report());
        thread::sleep(Duration::from_millis(5));
    }
    assert!(began.elapsed() > Duration::from_millis(230), "nothing was delayed");
    let report = middlebox.report();
    assert_eq!(report.acted(), Ok(()));

    let came: Vec<_> = (0..report.up.passed).map(|_| receive(&relay).0).collect();
    let damaged = came.iter().filter(|bytes| bytes.iter().any(|byte| *byte != bytes[50])).count();
    assert!(damaged as u64 >= report.up.of(Action::Corrupt), "{damaged} damaged\n{report}");
    let overtaken = came.windows(2).filter(|pair| pair[1][50] < pair[0][50]).count();
    assert!(overtaken > 0 && report.up.of(Action::Reorder) > 0, "{overtaken} overtaken\n{report}");
}

#[test]
fn the_port_changes_and_what_goes_to_the_old_one_is_lost() {
    let (relay, client) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let middlebox = in_front_of(&relay, "", Some(Duration::from_millis(50)));
    let mut seen = Vec::new();
    while seen.len() < 3 {
        client.send_to(b"ping", middlebox.address()).unwrap();
        let (_, from) = receive(&relay);
        if !seen.contains(&from) {
            seen.push(from);
        }
    }
    let report = middlebox.report();
    assert!(report.rebinds >= 2, "{report}");
    assert_eq!((report.flows, report.acted()), (1, Ok(())));

    relay.send_to(b"stray", seen[0]).unwrap();
    client.set_read_timeout(Some(A_WHILE)).unwrap();
    assert!(client.recv(&mut [0; 16]).is_err(), "the old port still leads to the client");
}

#[test]
fn a_blackhole_swallows_everything_and_ends() {
    let (relay, client) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let middlebox = in_front_of(&relay, "", None);
    middlebox.blackhole(A_WHILE);
    assert!(middlebox.report().acted().is_err());
    let began = Instant::now();
    relay.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    while relay.recv(&mut [0; 16]).is_err() {
        assert!(began.elapsed() < PATIENCE, "it never ends");
        client.send_to(b"ping", middlebox.address()).unwrap();
    }
    assert!(began.elapsed() >= A_WHILE - Duration::from_millis(10), "it ended after {:?}", began.elapsed());
    let report = middlebox.report();
    assert!(report.up.of(Action::Blackhole) > 0, "{report}");
    assert_eq!(report.acted(), Ok(()));
}

#[test]
fn more_clients_than_there_is_room_for_are_refused_and_counted() {
    // As many as the middle-box remembers, and one.
    const CLIENTS: usize = 257;
    let relay = socket("127.0.0.1:0");
    let middlebox = in_front_of(&relay, "", None);
    let clients: Vec<_> = (0..CLIENTS).map(|_| socket("127.0.0.1:0")).collect();
    for client in &clients[1..] {
        client.send_to(b"ping", middlebox.address()).unwrap();
        receive(&relay);
    }
    clients[0].send_to(b"ping", middlebox.address()).unwrap();
    // Comes after it.
    clients[1].send_to(b"again", middlebox.address()).unwrap();
    assert_eq!(receive(&relay).0, b"again");
    let report = middlebox.report();
    assert_eq!((report.flows, report.up.of(Action::Refuse)), (256, 1));
}

#[test]
fn a_dropped_middlebox_frees_its_port() {
    let (relay, client) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let middlebox = in_front_of(&relay, "delay=10s", None);
    client.send_to(b"still under way", middlebox.address()).unwrap();
    let address = middlebox.address();
    drop(middlebox);
    UdpSocket::bind(address).unwrap();
}

#[test]
fn the_program_tells_where_it_listens_and_what_it_did() {
    let (relay, client) = (socket("[::1]:0"), socket("[::1]:0"));
    let to = relay.local_addr().unwrap().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_impair"))
        .args(["--listen", "[::1]:0", "--to", &to, "--delay", "5ms", "--down", "delay=0s,loss=100%", "--seed", "7"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    output.read_line(&mut first).unwrap();
    let address: SocketAddr = first.split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(first.trim_end(), format!("impair {address} -> {to}, seed 7"));

    client.send_to(b"ping", address).unwrap();
    let (_, from) = receive(&relay);
    relay.send_to(b"pong", from).unwrap();
    client.set_read_timeout(Some(A_WHILE)).unwrap();
    assert!(client.recv(&mut [0; 16]).is_err(), "what is lost has come");

    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut table = String::new();
    output.read_to_string(&mut table).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{table}");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [["came", "1", "1"].as_slice(), &["passed", "1", "0"], &["lost", "0", "0.0%", "1", "100.0%"]] {
        assert!(rows.iter().any(|found| found == row), "{row:?} is not in\n{table}");
    }
}

#[test]
fn the_program_fails_when_what_was_asked_for_never_happens() {
    let run = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_impair")).args(args).output().unwrap();
    let idle = run(&["--to", "127.0.0.1:9", "--loss", "2%", "--seed", "7", "--for", "10ms"]);
    assert_eq!(idle.status.code(), Some(3));
    assert_eq!(String::from_utf8(idle.stderr).unwrap(), "impair: asked for and never happened: lost (seed 7)\n");

    let nonsense = run(&["--to", "127.0.0.1:9", "--down", "speed=2"]);
    assert_eq!(nonsense.status.code(), Some(1));
    assert!(String::from_utf8(nonsense.stderr).unwrap().contains("--down: \"speed=2\" is no impairment"));
    assert_eq!(run(&["--to", "127.0.0.1:9", "--loss", "2"]).status.code(), Some(2));
}
