//! UDP sockets: both families on one, with room for a burst to every viewer.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Bytes asked for in each direction. A frame to a thousand viewers leaves in one burst of several MiB; the system gives
/// what it allows.
const BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Opens a UDP socket at `address`. `[::]` takes IPv4 too, and is IPv4 alone where there is no IPv6.
///
/// # Errors
/// When the address is taken, not this machine's, or not allowed.
pub(crate) fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    match open(address) {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && has_no_ipv6(&error) => {
            open((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        opened => opened,
    }
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A system that refuses outright keeps its default.
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// EAFNOSUPPORT on Linux, which has no [`io::ErrorKind`] of its own.
const ADDRESS_FAMILY_UNSUPPORTED: i32 = 97;

fn has_no_ipv6(error: &io::Error) -> bool {
    // A machine whose IPv6 is switched off says that the address is not its own.
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(ADDRESS_FAMILY_UNSUPPORTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_socket_takes_both_families() {
        let socket = udp("[::]:0".parse().unwrap()).unwrap();
        let port = socket.local_addr().unwrap().port();
        socket.set_nonblocking(false).unwrap();

        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"four", (Ipv4Addr::LOCALHOST, port)).unwrap();
        let mut bytes = [0; 8];
        assert_eq!(socket.recv(&mut bytes).unwrap(), 4);
    }
}
