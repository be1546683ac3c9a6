//! From a URL to a socket: names are looked up, and addresses raced so that one that does not answer costs little.
//!
//! Spec: RFC 8305, "Happy Eyeballs".

use std::{io, net::SocketAddr, time::Duration};

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::{
    net::{TcpStream, lookup_host},
    time::sleep,
};
use url::{Host, Url};

use super::ConnectError;

/// How long one address may keep silent before the next is tried beside it (RFC 8305, section 5).
const TCP_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The same for QUIC, which never hears that a port is closed: the least that is recommended, so that the other family is tried
/// before a WebSocket, which does hear it, [joins the race](crate::ClientConfig::websocket_after).
pub(super) const QUIC_ATTEMPT_DELAY: Duration = Duration::from_millis(100);

/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// The host of a URL as TLS names it: without the brackets of IPv6.
pub(super) fn host(url: &Url) -> Result<String, ConnectError> {
    match url.host() {
        Some(Host::Domain(name)) => Ok(name.to_owned()),
        Some(Host::Ipv4(address)) => Ok(address.to_string()),
        Some(Host::Ipv6(address)) => Ok(address.to_string()),
        None => Err(ConnectError::Host),
    }
}

/// Whether what goes to the host of `url` stays on this machine.
pub(super) fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Opens a TCP connection to the host of `url`. Nothing that is written waits to be joined by more.
///
/// # Errors
/// As [`first`].
pub(super) async fn tcp(url: &Url, port: u16) -> Result<TcpStream, ConnectError> {
    let attempt = async |address| {
        let opened = TcpStream::connect(address).await.and_then(|socket| socket.set_nodelay(true).map(|()| socket));
        opened.map_err(|source| ConnectError::TcpTo { address, source })
    };
    first(url, port, TCP_ATTEMPT_DELAY, attempt).await
}

/// Looks the host up and hands its addresses to `attempt`, one after the other, `delay` apart or as soon as the one before has
/// failed. The first to succeed wins.
///
/// # Errors
/// What the first attempt failed with, one that somebody has answered before all others; or why there are no addresses.
pub(super) async fn first<T, F>(
    url: &Url,
    port: u16,
    delay: Duration,
    attempt: impl Fn(SocketAddr) -> F,
) -> Result<T, ConnectError>
where
    F: Future<Output = Result<T, ConnectError>>,
{
    let host = host(url)?;
    let failed = |source| ConnectError::Resolve { host: host.clone(), source };
    let addresses: Vec<SocketAddr> = lookup_host((host.as_str(), port)).await.map_err(failed)?.collect();
    let missing = failed(io::Error::new(io::ErrorKind::NotFound, "no address"));
    race(interleave(addresses), delay, attempt).await.unwrap_or(Err(missing))
}

/// `None`: there was no address to try.
async fn race<T, F>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    delay: Duration,
    attempt: impl Fn(SocketAddr) -> F,
) -> Option<Result<T, ConnectError>>
where
    F: Future<Output = Result<T, ConnectError>>,
{
    let mut addresses = addresses.into_iter().take(ADDRESSES_MAX).peekable();
    let mut attempts = FuturesUnordered::new();
    let mut failed: Option<ConnectError> = None;
    loop {
        attempts.extend(addresses.next().map(&attempt));
        let more = addresses.peek().is_some();
        tokio::select! {
            biased;
            ended = attempts.next() => match ended {
                None => return failed.map(Err),
                Some(Ok(connected)) => return Some(Ok(connected)),
                Some(Err(error)) => failed = Some(telling(failed, error)),
            },
            () = sleep(delay), if more => {}
        }
    }
}

/// Which of two failures says more.
fn telling(first: Option<ConnectError>, second: ConnectError) -> ConnectError {
    match first {
        Some(first) if is_answer(&first) || !is_answer(&second) => first,
        _ => second,
    }
}

/// Whether somebody at the address has failed us, rather than the way there.
fn is_answer(error: &ConnectError) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset};
    match error {
        ConnectError::TcpTo { source, .. } => matches!(source.kind(), ConnectionRefused | ConnectionReset),
        ConnectError::Quic(error) => !matches!(error, quinn::ConnectionError::TimedOut),
        _ => false,
    }
}

/// Both families in turn, each in its own order, beginning with whichever the system put first.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let total = addresses.len();
    let first_is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (leading, following): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first_is_ipv6);
    let (mut leading, mut following) = (leading.into_iter(), following.into_iter());
    let mut mixed = Vec::with_capacity(total);
    while mixed.len() < total {
        mixed.extend(leading.next());
        mixed.extend(following.next());
    }
    mixed
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn addresses(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn the_other_family_is_tried_over_quic_before_a_websocket_joins() {
        assert!(QUIC_ATTEMPT_DELAY < crate::ClientConfig::default().websocket_after.unwrap());
    }

    #[test]
    fn what_stays_on_this_machine_has_its_name_and_addresses() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST", true),
            ("127.1.2.3", true),
            ("[::1]", true),
            ("localhost.example", false),
            ("a.localhost", false),
            ("10.0.0.1", false),
            ("0.0.0.0", false),
            ("[::]", false),
        ] {
            assert_eq!(is_this_machine(&format!("http://{host}:4443/").parse().unwrap()), expected, "{host}");
        }
    }

    #[test]
    fn families_take_turns() {
        let found = addresses(&["[::1]:1", "[::2]:1", "1.1.1.1:1", "[::3]:1", "2.2.2.2:1"]);
        assert_eq!(interleave(found), addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_no_more_than_the_delay() {
        let begun = Instant::now();
        let connected = race(addresses(&["1.1.1.1:1", "2.2.2.2:1"]), QUIC_ATTEMPT_DELAY, async |address: SocketAddr| {
            if address.ip().to_string() == "1.1.1.1" {
                std::future::pending::<()>().await;
            }
            Ok(address)
        });
        assert_eq!(connected.await.unwrap().unwrap(), "2.2.2.2:1".parse().unwrap());
        assert_eq!(begun.elapsed(), QUIC_ATTEMPT_DELAY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_moves_on_at_once_and_the_one_that_says_most_is_told() {
        use io::ErrorKind::{ConnectionRefused, NetworkUnreachable};
        for (kinds, told) in [
            ([NetworkUnreachable, NetworkUnreachable], "TCP to 1.1.1.1:1: network unreachable"),
            ([ConnectionRefused, NetworkUnreachable], "TCP to 1.1.1.1:1: connection refused"),
            ([NetworkUnreachable, ConnectionRefused], "TCP to 2.2.2.2:1: connection refused"),
            ([ConnectionRefused, ConnectionRefused], "TCP to 1.1.1.1:1: connection refused"),
        ] {
            let begun = Instant::now();
            let addresses = addresses(&["1.1.1.1:1", "2.2.2.2:1"]);
            let second = addresses[1];
            let refused = race(addresses, TCP_ATTEMPT_DELAY, async |address: SocketAddr| {
                let source = kinds[usize::from(address == second)].into();
                Err::<(), _>(ConnectError::TcpTo { address, source })
            });
            assert_eq!(refused.await.unwrap().unwrap_err().to_string(), told);
            assert_eq!(begun.elapsed(), Duration::ZERO);
        }
        assert!(race(Vec::new(), TCP_ATTEMPT_DELAY, async |_| Ok(())).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn more_addresses_than_anybody_waits_for_are_left_out() {
        let many: Vec<SocketAddr> = (1..=100).map(|host| SocketAddr::from(([10, 0, 0, host], 1))).collect();
        let tried = std::cell::Cell::new(0);
        let silence = race(many, QUIC_ATTEMPT_DELAY, async |_| {
            tried.set(tried.get() + 1);
            std::future::pending::<Result<(), _>>().await
        });
        assert!(tokio::time::timeout(Duration::from_secs(60), silence).await.is_err());
        assert_eq!(tried.get(), ADDRESSES_MAX);
    }
}
