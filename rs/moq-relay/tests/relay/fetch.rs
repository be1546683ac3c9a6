//! `GET /fetch`: groups over HTTP, as they grow and for as long as one may have them.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{
    cell::RefCell,
    collections::HashSet,
    fs,
    rc::Rc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use moq_lite::model::{broadcast, track};
use moq_proto::{CloseCode, Version, close};
use moq_token::{Claims, Key};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    auth::{claims, config, key},
    peer::{A_WHILE, Over, Peer, soon, story},
    process::{OPEN, Relay, folder},
};

/// What HTTP puts behind the last chunk of an answer that is whole.
const END: &str = "\r\n0\r\n\r\n";

/// Less than what a publisher is given to answer in.
const A_FEW_SECONDS: Duration = Duration::from_secs(4);

/// An answer as it comes in.
struct Incoming {
    stream: TcpStream,
    received: String,
}

impl Incoming {
    async fn ask(relay: &Relay, method: &str, target: &str) -> Self {
        let mut stream = TcpStream::connect(relay.http()).await.unwrap();
        let request =
            format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\norigin: https://a.example\r\n\r\n");
        // Too long a request is cut off before all of it is read, perhaps with an answer.
        let _ = stream.write_all(request.as_bytes()).await;
        Self { stream, received: String::new() }
    }

    async fn get(relay: &Relay, target: &str) -> Self {
        Self::ask(relay, "GET", target).await
    }

    /// Reads on; `false` at the end of the connection.
    async fn more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match soon("more of the answer", self.stream.read(&mut buffer)).await {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                self.received += std::str::from_utf8(&buffer[..length]).unwrap();
                true
            }
        }
    }

    /// Reads until this has come.
    async fn until(&mut self, text: &str) {
        while !self.received.contains(text) {
            assert!(self.more().await, "{text} never came: {}", self.received);
        }
    }

    /// Reads to the end. Returns the status, and the body if it is whole.
    async fn end(mut self) -> (u16, Option<String>) {
        while self.more().await {}
        let status = self.received.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
        let (head, body) = self.received.split_once("\r\n\r\n").unwrap_or_default();
        if !head.contains("transfer-encoding: chunked") {
            return (status, Some(body.to_owned()));
        }
        if body != &END[2..] && !body.ends_with(END) {
            return (status, None);
        }
        let mut rest = body;
        let mut whole = String::new();
        while let Some((length, more)) = rest.split_once("\r\n") {
            let length = usize::from_str_radix(length, 16).unwrap();
            whole += &more[..length];
            rest = &more[length + 2..];
        }
        (status, Some(whole))
    }
}

pub(crate) async fn fetch(relay: &Relay, target: &str) -> (u16, Option<String>) {
    Incoming::get(relay, target).await.end().await
}

fn whole(status: u16, body: &str) -> (u16, Option<String>) {
    (status, Some(body.to_owned()))
}

async fn publisher(relay: &Relay, path: &str) -> Peer {
    Peer::join(relay, Over::WebTransport, Version::Lite05, path).await
}

/// What the relay counted under this reason, which it tells at its end.
fn counted(log: &str, reason: &str) -> u64 {
    let line = format!("moq_relay_fetches_refused_total\" reason=\"{reason}\" value=");
    let Some((_, count)) = log.split_once(&line) else { return 0 };
    count.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or_else(|_| panic!("{log}"))
}

#[test]
fn a_group_is_the_payloads_of_its_frames() {
    let relay = Relay::start(OPEN);
    story(async {
        for version in [Version::Lite02, Version::Lite04, Version::Lite05, Version::Lite06] {
            let publisher = Peer::join(&relay, Over::WebSocket, version, "/demo").await;
            let room = publisher.publish("room");
            room.video.append_group().write_all(["key", "", "delta"]);
            room.video.append_group().write_all(["later"]);

            let wait = "/fetch/demo/room/video?wait=10s";
            assert_eq!(fetch(&relay, wait).await, whole(200, "later"), "{version}");
            assert_eq!(fetch(&relay, &format!("{wait}&group=latest&frame=chunked")).await, whole(200, "later"), "{version}");
            assert_eq!(fetch(&relay, &format!("{wait}&frame=0")).await, whole(200, "later"), "{version}");
            assert_eq!(fetch(&relay, "/fetch/demo/room/video?frame=1").await.0, 404, "{version}");
            assert_eq!(fetch(&relay, "/fetch/demo/room/video?group=1").await, whole(200, "later"), "{version}");
            if version >= Version::Lite05 {
                // Older publishers cannot be asked for what is past.
                assert_eq!(fetch(&relay, "/fetch/demo/room/video?group=0").await, whole(200, "keydelta"), "{version}");
                assert_eq!(fetch(&relay, "/fetch/demo/room/video?group=0&frame=2").await, whole(200, "delta"), "{version}");
            }
            drop(room);
            publisher.closer.close(close::session::NO_ERROR, "bye");
            while fetch(&relay, "/announced").await != whole(200, "") {
                tokio::time::sleep(A_WHILE / 20).await;
            }
        }
    });
}

#[test]
fn an_answer_says_who_may_read_it_and_that_it_is_not_to_be_kept() {
    let relay = Relay::start(OPEN);
    story(async {
        let publisher = publisher(&relay, "/demo").await;
        let room = publisher.publish("room");
        room.video.append_group().write_all(["key"]);
        let mut get = Incoming::get(&relay, "/fetch/demo/room/video?wait=10s").await;
        get.until(END).await;
        let mut head = Incoming::ask(&relay, "HEAD", "/fetch/demo/room/video").await;
        while head.more().await {}

        for answer in [&get, &head] {
            let (head, _) = answer.received.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            for line in ["access-control-allow-origin: *", "x-content-type-options: nosniff", "cache-control: no-store"] {
                assert!(head.lines().any(|there| there == line), "{line}\n{head}");
            }
            assert!(!head.contains("content-type: "), "{head}");
        }
        assert!(head.received.ends_with("\r\n\r\n") && !head.received.contains("key"));
        assert_eq!(Incoming::ask(&relay, "POST", "/fetch/demo/room/video").await.end().await.0, 405);
    });
}

#[test]
fn a_group_is_sent_as_it_grows() {
    let relay = Relay::start(OPEN);
    story(async {
        let publisher = publisher(&relay, "/demo").await;
        let room = publisher.publish("room");
        let mut group = room.video.append_group();
        group.write_frame("key", None).unwrap();
        let mut answer = Incoming::get(&relay, "/fetch/demo/room/video?wait=10s").await;
        for frame in ["key", "delta", "more"] {
            answer.until(frame).await;
            match frame {
                "key" => group.write_frame("delta", None).unwrap(),
                "delta" => group.write_frame("more", None).unwrap(),
                _ => {}
            }
            assert!(!answer.received.ends_with(END));
        }
        group.finish();
        assert_eq!(answer.end().await, whole(200, "keydeltamore"));
    });
}

#[test]
fn a_large_group_comes_whole() {
    let relay = Relay::start(OPEN);
    story(async {
        let publisher = publisher(&relay, "/demo").await;
        let room = publisher.publish("room");
        let frames: Vec<String> = (0..8).map(|number| number.to_string().repeat(1 << 20)).collect();
        room.video.append_group().write_all(frames.clone());

        let (status, body) = fetch(&relay, "/fetch/demo/room/video?wait=10s").await;
        assert_eq!(status, 200);
        assert!(body.unwrap() == frames.concat());
    });
}

#[test]
fn a_group_that_breaks_off_has_no_end() {
    let relay = Relay::start(OPEN);
    story(async {
        let publisher = publisher(&relay, "/demo").await;
        let room = publisher.publish("room");
        let mut group = room.video.append_group();
        group.write_frame("key", None).unwrap();
        let mut answer = Incoming::get(&relay, "/fetch/demo/room/video?wait=10s").await;
        answer.until("key").await;
        group.abort(close::stream::CANCELLED);

        assert_eq!(answer.end().await, (200, None));
    });
}

/// Refuses each track with the code in its name. Those that are to be asked for again are there from the second time on.
async fn refuse_at_first(broadcast: broadcast::Producer) {
    let (mut asked, mut made) = (HashSet::new(), Vec::new());
    while let Some(request) = broadcast.requested().await {
        let name = request.name().to_owned();
        let (again, code) = name.split_once('-').unwrap_or(("", &name));
        if !again.is_empty() && !asked.insert(name.clone()) {
            let track = request.accept(track::Info::default(), Instant::now());
            track.append_group().write_all(["at last"]);
            made.push(track);
        } else {
            request.reject(CloseCode::new(code.parse().unwrap()));
        }
    }
}

#[test]
fn what_is_not_there_is_missed_at_once_or_waited_for() {
    let relay = Relay::start(&(OPEN.replace("public = \"\"", "public = \"demo\"") + "[log]\nlevel = \"debug\"\n"));
    let mut relay = relay;
    story(async {
        let publisher = publisher(&relay, "/demo").await;
        let room = publisher.publish("room");
        room.video.append_group().write_all(["key"]);
        assert_eq!(fetch(&relay, "/fetch/demo/room/video?wait=10s").await.0, 200);

        let asked = Instant::now();
        let rows = [
            ("/fetch/demo/nobody/video", 404),
            ("/fetch/demo/room/video?group=7", 404),
            ("/fetch/demo/room/video?frame=7", 404),
            ("/fetch", 400),
            ("/fetch/", 400),
            ("/fetch/video", 400),
            ("/fetch/demo/", 400),
            ("/fetch/demo/a%2Fb/video", 400),
            ("/fetch/demo/../room/video", 400),
            ("/fetch/demo/room/video?group=abc", 400),
            ("/fetch/demo/room/video?wait=1h", 400),
            ("/fetch/news/room/video", 401),
            ("/fetch/demo/room/video?jwt=abc", 401),
        ];
        for (target, status) in rows {
            assert_eq!(fetch(&relay, target).await.0, status, "{target}");
        }
        // Whatever code a publisher has for what it lacks: of moq-lite-06, of JavaScript, of older tables.
        let unknown = tokio::task::spawn_local(refuse_at_first(room.broadcast));
        for code in [0x33, 0, 1, 13, 31] {
            assert_eq!(fetch(&relay, &format!("/fetch/demo/room/{code}")).await.0, 404, "{code}");
            assert_eq!(fetch(&relay, &format!("/fetch/demo/room/again-{code}?wait=10s")).await, whole(200, "at last"), "{code}");
        }
        assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());

        let mut next = Incoming::get(&relay, "/fetch/demo/room/video?group=1&wait=15s").await;
        tokio::time::sleep(2 * A_WHILE).await;
        let said = Instant::now();
        let mut group = room.video.append_group();
        group.write_frame("ne", None).unwrap();
        next.until("ne").await;
        println!("the next group after {:?}", said.elapsed());
        tokio::time::sleep(2 * A_WHILE).await;
        group.write_frame("xt", None).unwrap();
        group.finish();
        assert_eq!(next.end().await, whole(200, "next"), "it goes on being sent");
        let past = Instant::now();
        assert_eq!(fetch(&relay, "/fetch/demo/room/video?group=9&wait=1s").await.0, 404, "it does not come");
        assert!(past.elapsed() >= Duration::from_secs(1), "{:?}", past.elapsed());

        let later = Incoming::get(&relay, "/fetch/demo/late/video?wait=15s").await;
        tokio::time::sleep(2 * A_WHILE).await;
        let aired = Instant::now();
        let late = publisher.publish("late");
        late.video.append_group().write_all(["at last"]);
        assert_eq!(later.end().await, whole(200, "at last"));
        println!("the late broadcast after {:?}", aired.elapsed());
        unknown.abort();
    });
    relay.signal("TERM");
    relay.wait();
    for (reason, count) in [("path", 4), ("query", 2), ("unauthorized", 4), ("not-found", 9), ("failed", 0)] {
        assert_eq!(counted(&relay.log(), reason), count, "{reason}\n{}", relay.log());
    }
}

#[test]
fn a_group_that_the_publisher_has_not_come_to_is_missed_at_once() {
    let relay = Relay::start(OPEN);
    story(async {
        for version in [Version::Lite02, Version::Lite04, Version::Lite05, Version::Lite06] {
            let publisher = Peer::join(&relay, Over::WebSocket, version, "/demo").await;
            let room = publisher.publish("room");
            // Whatever it is asked for that it does not keep, it leaves open: shipped browsers wait until they have it.
            let (silent, asked) = (room.video.fetcher(), Rc::new(RefCell::new(Vec::new())));
            let heard = asked.clone();
            let listening = tokio::task::spawn_local(async move {
                loop {
                    let wanted = silent.next().await;
                    heard.borrow_mut().push(wanted);
                }
            });
            for _ in 0..3 {
                room.video.append_group().write_all(["past"]);
            }
            room.video.append_group().write_all(["key"]);
            while !fetch(&relay, "/announced").await.1.unwrap().contains("room") {
                tokio::time::sleep(A_WHILE / 20).await;
            }
            let misses = async |who: &str| {
                let asked = Instant::now();
                assert_eq!(fetch(&relay, "/fetch/demo/room/video?group=4").await.0, 404, "{version}, {who}");
                asked.elapsed()
            };

            let unknown = misses("nobody has asked for anything").await;
            assert_eq!(fetch(&relay, "/fetch/demo/room/video?group=3&wait=10s").await, whole(200, "key"), "{version}");
            let left = misses("nobody watches any more").await;
            let mut growing = room.video.append_group();
            growing.write_frame("next", None).unwrap();
            let mut latest = Incoming::get(&relay, "/fetch/demo/room/video").await;
            latest.until("next").await;
            let asked_for_more = Instant::now();
            assert_eq!(fetch(&relay, "/fetch/demo/room/video?frame=1").await.0, 404, "{version}: a frame to come");
            assert!(asked_for_more.elapsed() < A_FEW_SECONDS, "{version}: {:?}", asked_for_more.elapsed());
            let viewer = Peer::join(&relay, Over::WebSocket, Version::Lite06, "/demo").await;
            let mut watching = viewer.watch("room").await;
            while soon("the open group", watching.next()).await.unwrap().sequence() < 4 {}
            assert_eq!(fetch(&relay, "/fetch/demo/room/video?group=5").await.0, 404, "{version}, somebody watches");
            let asked_for: Vec<u64> = asked.borrow().iter().map(track::Wanted::sequence).collect();
            assert!(asked_for.iter().all(|group| *group == 4), "{version}: asked in vain for {asked_for:?}");
            assert_eq!(asked_for.is_empty(), version < Version::Lite05, "{version}: {asked_for:?}");
            println!("{version}: {unknown:?} when nothing is known, {left:?} when what is known may be old");
            assert!(unknown < A_FEW_SECONDS && left < A_FEW_SECONDS, "{version}: {unknown:?}, {left:?}");

            let coming = Incoming::get(&relay, "/fetch/demo/room/video?group=5&wait=15s").await;
            let more = Incoming::get(&relay, "/fetch/demo/room/video?group=4&frame=1&wait=15s").await;
            tokio::time::sleep(2 * A_WHILE).await;
            growing.write_frame("more", None).unwrap();
            assert_eq!(more.end().await, whole(200, "more"), "{version}: it is waited for");
            growing.finish();
            room.video.append_group().write_all(["after"]);
            assert_eq!(coming.end().await, whole(200, "after"), "{version}: it is waited for");
            drop((room, watching, latest));
            listening.abort();
            publisher.closer.close(close::session::NO_ERROR, "bye");
            while fetch(&relay, "/announced").await != whole(200, "") {
                tokio::time::sleep(A_WHILE / 20).await;
            }
        }
    });
}

#[test]
fn a_publisher_with_nothing_to_show_is_not_waited_for_long() {
    let mut relay = Relay::start(&(OPEN.to_owned() + "[log]\nlevel = \"debug\"\n"));
    story(async {
        let publisher = publisher(&relay, "/demo").await;
        let _room = publisher.publish("room");
        while fetch(&relay, "/announced").await.1.unwrap().is_empty() {
            tokio::time::sleep(A_WHILE / 20).await;
        }
        assert_eq!(fetch(&relay, "/fetch/demo/room/video").await.0, 504);
    });
    relay.signal("TERM");
    relay.wait();
    assert_eq!(counted(&relay.log(), "late"), 1, "{}", relay.log());
}

/// A relay that trusts the key, and the folder with its file.
fn trusting(key: &Key) -> (Relay, std::path::PathBuf) {
    let folder = folder();
    let file = folder.join(format!("{}.jwk", key.id().unwrap()));
    fs::write(&file, key.public().unwrap().to_json().as_str()).unwrap();
    (Relay::start(&config(&format!("key_dir = {folder:?}\npublic.publish = \"\""))), file)
}

#[test]
fn an_answer_ends_with_the_rights_of_its_reader() {
    let own = key("own");
    let (relay, file) = trusting(&own);
    story(async {
        let publisher = publisher(&relay, "/demo").await;
        let room = publisher.publish("room");
        let mut group = room.video.append_group();
        group.write_frame("key", None).unwrap();
        let expires = UNIX_EPOCH + Duration::from_secs(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3);
        let mut answers = Vec::new();
        for (claims, after) in [(Claims { expires: Some(expires), ..claims("demo") }, "delta"), (claims("demo"), "more")] {
            let token = own.sign(&Claims { publish: vec![], ..claims }).unwrap();
            let target = format!("/fetch/demo/room/video?wait=10s&jwt={token}");
            let mut answer = Incoming::get(&relay, &target).await;
            answer.until("key").await;
            answers.push((answer, after));
        }

        let (short, _) = answers.remove(0);
        assert_eq!(short.end().await, (200, None), "no whole answer");
        let late = SystemTime::now().duration_since(expires).expect("not early");
        assert!(late < Duration::from_secs(2), "{late:?}");

        group.write_frame("more", None).unwrap();
        let (mut long, after) = answers.remove(0);
        long.until(after).await;
        fs::remove_file(file).unwrap();
        let removed = Instant::now();
        assert_eq!(long.end().await, (200, None), "no whole answer");
        assert!(removed.elapsed() < Duration::from_secs(2), "{:?}", removed.elapsed());
        println!("ended {late:?} after the token, {:?} after the key", removed.elapsed());
    });
}
