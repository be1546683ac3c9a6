//! A server in front of a relay: it has what the relay has, hands on what it is given, and sends its clients away when told to.

use std::{cell::RefCell, net::SocketAddr, rc::Rc, sync::mpsc, thread};

use moq_lite::{
    model::origin::{Horizon, Origin},
    session::{Closer, Roles, Session, random_hop},
};
use moq_native::{
    AnyConnection, Client, ClientConfig, Server, ServerConfig,
    tls::{Certificates, Trust},
};
use moq_proto::{HopId, Path, Version};
use tokio::task::{LocalSet, spawn_local};

use crate::program::PATIENCE;

/// One that runs until it is dropped.
pub(crate) struct Front {
    address: SocketAddr,
    orders: tokio::sync::mpsc::Sender<String>,
    seen: mpsc::Receiver<Seen>,
}

/// What became of a client.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// It asks for this path and query.
    Came(Option<String>),
    Left,
}

impl Front {
    /// Of the relay at `url`, and waits until it listens.
    pub(crate) fn of(url: &str) -> Self {
        let (ready, is_ready) = mpsc::sync_channel(1);
        let (orders, mut told) = tokio::sync::mpsc::channel::<String>(8);
        let (tell, seen) = mpsc::sync_channel(64);
        let url = url.parse().unwrap();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                let mut config = ClientConfig::default();
                config.trust = Trust::Anyone;
                let connection = Client::new(config).unwrap().connect(&url).await.unwrap();
                let (hop, clients) = (random_hop(), Clients::default());
                let origin = Origin::new(hop);
                let behind = Session::connect(connection, Version::ALL).await.unwrap();
                spawn_local(behind.run(roles(&origin, hop)));

                let certificates = Certificates::generate(&["localhost"]).unwrap();
                let mut server = Server::bind(ServerConfig::new("127.0.0.1:0".parse().unwrap(), certificates)).unwrap();
                ready.send(server.local_addr()).unwrap();
                loop {
                    tokio::select! {
                        order = told.recv() => match order {
                            Some(uri) => clients.borrow().iter().for_each(|client| client.go_away(&*uri)),
                            None => break,
                        },
                        incoming = server.accept() => {
                            let incoming = incoming.unwrap();
                            let (clients, roles, tell) = (Rc::clone(&clients), roles(&origin, hop), tell.clone());
                            spawn_local(async move {
                                let target = incoming.request_target().map(str::to_owned);
                                let connection = incoming.accept().await.unwrap();
                                let mut session = Session::accept(connection, Version::ALL).await.unwrap();
                                let target = target.or(session.request_target().await.unwrap());
                                clients.borrow_mut().push(session.closer());
                                let _ = tell.send(Seen::Came(target));
                                let _ = session.run(roles).await;
                                let _ = tell.send(Seen::Left);
                            });
                        }
                    }
                }
            });
        });
        let address = is_ready.recv_timeout(PATIENCE).expect("a server in front of the relay");
        Self { address, orders, seen }
    }

    /// The URL of a path here, over raw QUIC.
    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        format!("moqt://{host}:{}{path}", self.address.port())
    }

    /// Waits until a client comes, and returns the path and query it asks for.
    pub(crate) fn came(&self) -> String {
        match self.seen.recv_timeout(PATIENCE).expect("a client comes") {
            Seen::Came(target) => target.unwrap_or_default(),
            Seen::Left => panic!("a client leaves first"),
        }
    }

    /// Asks all clients to leave for this URI.
    pub(crate) fn send_away(&self, uri: &str) {
        self.orders.blocking_send(uri.to_owned()).unwrap();
    }

    /// Waits until a client leaves.
    pub(crate) fn left(&self) {
        assert_eq!(self.seen.recv_timeout(PATIENCE).expect("a client leaves"), Seen::Left);
    }
}

type Clients = Rc<RefCell<Vec<Closer<AnyConnection>>>>;

/// All is for everybody.
fn roles(origin: &Origin, hop: HopId) -> Roles<AnyConnection> {
    let (mut roles, root, horizon) = (Roles::new(hop), Path::root(), Horizon::new());
    roles.inbound = Some(origin.producer(root.clone(), vec![root.clone()], horizon.clone()));
    roles.outbound = Some(origin.consumer(root.clone(), vec![root], horizon));
    roles
}
