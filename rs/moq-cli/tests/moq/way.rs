//! A way to a relay over TCP that can be cut, or lead to another relay, while relay and program are well.

use std::{
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering::SeqCst},
    },
    thread,
};

/// Leads there for as long as the tests run.
pub(crate) struct Way {
    address: SocketAddr,
    port: Arc<AtomicU16>,
    passing: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    /// To whoever listens at this port of this machine.
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, passing) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<_>>>::default());
        let (all, port) = (passing.clone(), Arc::new(AtomicU16::new(port)));
        let to = port.clone();
        thread::spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                let Ok(there) = TcpStream::connect((Ipv4Addr::LOCALHOST, to.load(SeqCst))) else { continue };
                let ends = || (here.try_clone().unwrap(), there.try_clone().unwrap());
                let ((here_read, there_write), (here_write, there_read)) = (ends(), ends());
                all.lock().unwrap().extend([here, there]);
                pass(here_read, there_write);
                pass(there_read, here_write);
            }
        });
        Self { address, port, passing }
    }

    /// The URL of the relay's WebSocket, this way.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Leads to another port for whoever comes from now on. What has come stays.
    pub(crate) fn turn(&self, port: u16) {
        self.port.store(port, SeqCst);
    }

    /// Cuts whatever goes this way. What comes after it passes.
    pub(crate) fn cut(&self) {
        for stream in self.passing.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}
