//! From a URL to a socket: names are looked up, and addresses raced so that one that does not answer costs little.
//!
//! Spec: RFC 8305, "Happy Eyeballs".

use std::{io, net::SocketAddr, time::Duration};

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::{net::lookup_host, time::sleep};
use url::{Host, Url};

use super::ConnectError;

/// How long one address may keep silent before the next is tried beside it (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

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

/// Looks the host up and hands its addresses to `attempt`, one after the other a quarter of a second apart or as soon as the
/// one before has failed. The first to succeed wins.
///
/// # Errors
/// What the last attempt failed with, or why there are no addresses.
pub(super) async fn first<T, F>(url: &Url, port: u16, attempt: impl Fn(SocketAddr) -> F) -> Result<T, ConnectError>
where
    F: Future<Output = Result<T, ConnectError>>,
{
    let host = host(url)?;
    let failed = |source| ConnectError::Resolve { host: host.clone(), source };
    let addresses: Vec<SocketAddr> = lookup_host((host.as_str(), port)).await.map_err(failed)?.collect();
    let missing = failed(io::Error::new(io::ErrorKind::NotFound, "no address"));
    race(interleave(addresses), attempt).await.unwrap_or(Err(missing))
}

/// `None`: there was no address to try.
async fn race<T, F>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    attempt: impl Fn(SocketAddr) -> F,
) -> Option<Result<T, ConnectError>>
where
    F: Future<Output = Result<T, ConnectError>>,
{
    let mut addresses = addresses.into_iter().take(ADDRESSES_MAX).peekable();
    let mut attempts = FuturesUnordered::new();
    let mut last = None;
    loop {
        attempts.extend(addresses.next().map(&attempt));
        let more = addresses.peek().is_some();
        tokio::select! {
            biased;
            ended = attempts.next() => match ended {
                None => return last,
                Some(Ok(connected)) => return Some(Ok(connected)),
                Some(failed) => last = Some(failed),
            },
            () = sleep(ATTEMPT_DELAY), if more => {}
        }
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
    fn families_take_turns() {
        let found = addresses(&["[::1]:1", "[::2]:1", "1.1.1.1:1", "[::3]:1", "2.2.2.2:1"]);
        assert_eq!(interleave(found), addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_a_quarter_of_a_second() {
        let begun = Instant::now();
        let connected = race(addresses(&["1.1.1.1:1", "2.2.2.2:1"]), async |address: SocketAddr| {
            if address.ip().to_string() == "1.1.1.1" {
                std::future::pending::<()>().await;
            }
            Ok(address)
        });
        assert_eq!(connected.await.unwrap().unwrap(), "2.2.2.2:1".parse().unwrap());
        assert_eq!(begun.elapsed(), ATTEMPT_DELAY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_moves_on_at_once_and_the_last_one_is_told() {
        let begun = Instant::now();
        let refused = race(addresses(&["1.1.1.1:1", "2.2.2.2:1"]), async |address: SocketAddr| {
            Err::<(), _>(ConnectError::Tcp(io::Error::other(address.to_string())))
        });
        assert_eq!(refused.await.unwrap().unwrap_err().to_string(), "TCP: 2.2.2.2:1");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(race(Vec::new(), async |_| Ok(())).await.is_none());
    }
}
