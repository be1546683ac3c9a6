//! A server asks its clients to leave: what it publishes goes on, as their last resort. The relay is not needed for this.

use moq_lite::session::Session;
use moq_native::{
    Client, ClientConfig, Server, ServerConfig,
    tls::{Certificates, Trust},
};
use moq_proto::{Cost, Version};

use crate::{
    lanes::{Skill, can},
    media::{publish, receive, receive_up_to},
    peer::{Peer, soon, story, until},
    process::folder,
};

#[test]
fn a_server_that_asks_its_client_to_leave_becomes_its_last_resort() {
    story(async {
        let mut config = ServerConfig::new("127.0.0.1:0".parse().unwrap(), Certificates::generate(&["localhost"]).unwrap());
        config.tcp = Some("127.0.0.1:0".parse().unwrap());
        let socket = folder().join("socket");
        config.unix = Some(socket.clone());
        let mut server = Server::bind(config).unwrap();
        let (udp, tcp) = (server.local_addr(), server.tcp_addr().unwrap());
        let unix = format!("unix://{}", socket.display());
        for url in [format!("https://{udp}/"), format!("moqt://{udp}/"), format!("tcp://{tcp}"), unix] {
            for &version in Version::ALL {
                let (here, there) = meet(&mut server, &url, version).await;
                assert_eq!((here.version, there.version), (version, version), "{url}");
                last_resort(&here, &there).await;
            }
        }
    });
}

/// Both ends of a session: the server's, and the client's.
async fn meet(server: &mut Server, url: &str, version: Version) -> (Peer, Peer) {
    let mut config = ClientConfig::default();
    config.trust = Trust::Fingerprints(server.fingerprints());
    config.protocols = vec![version.alpn().to_owned()];
    config.websocket_after = None;
    let client = Client::new(config).unwrap();
    let url = url.parse().unwrap();
    // Apart from the story, whose own size they would add to: a test's stack is small.
    let accept = Box::pin(async {
        let connection = server.accept().await.unwrap().accept().await.unwrap();
        Session::accept(connection, &[version]).await.unwrap()
    });
    let connect = Box::pin(async { Session::connect(client.connect(&url).await.unwrap(), &[version]).await.unwrap() });
    let (here, there) = soon("a session", async { tokio::join!(accept, connect) }).await;
    (Peer::run(here), Peer::run(there))
}

async fn last_resort(here: &Peer, there: &Peer) {
    let room = here.publish("room");
    let mut groups = there.watch("room").await;
    let path = "room".parse().unwrap();
    let is_last_resort = || there.routes(&path).first().is_some_and(|route| route.cost == Cost::MAX);
    let sequence = publish(&room.video, 1);
    receive(&mut groups, 1, sequence).await;
    assert!(!is_last_resort());

    here.closer.go_away("https://elsewhere.example/");
    if can(here.version, Skill::GoAway) {
        until("the client hears it", is_last_resort).await;
    }
    // The session goes on, and so does what was asked for and what is asked for now.
    let sequence = publish(&room.video, 1);
    receive(&mut groups, 1, sequence).await;
    let mut anew = there.watch("room").await;
    receive_up_to(&mut anew, 1, sequence).await;
    assert_eq!(is_last_resort(), can(here.version, Skill::GoAway), "{}", here.version);
}
