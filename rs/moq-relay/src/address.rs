//! Addresses: whom one belongs to, and networks of them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Whom an address belongs to: itself, or its IPv6 network of 64 bits, which one household has whole.
pub(crate) fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

/// All addresses that begin alike, such as `10.0.0.0/8`; or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network(IpNet);

/// Text that is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NetworkError {
    #[error("not an address such as 192.0.2.7, nor a network such as 10.0.0.0/8 or 2001:db8::/32")]
    Malformed,
    #[error("its address has bits set beyond the first {0}; a network is written with its first address")]
    Beyond(u8),
}

impl Network {
    /// This machine: 127.0.0.0/8 and `::1`.
    pub(crate) const LOOPBACK: [Self; 2] = [
        Self(IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8))),
        Self(IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128))),
    ];

    /// Whether `address` is one of them. An IPv4 address in the clothes of IPv6 is what it is.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let single = || text.parse::<IpAddr>().map(IpNet::from);
        let network: IpNet = text.parse().or_else(|_| single()).map_err(|_| NetworkError::Malformed)?;
        if network.trunc() == network { Ok(Self(network)) } else { Err(NetworkError::Beyond(network.prefix_len())) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_household_of_ipv6_has_64_bits() {
        let of = |text: &str| household(text.parse().unwrap()).to_string();

        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::1"), "::1");
    }

    #[test]
    fn a_network_holds_what_begins_alike() {
        let rows = [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "2001:db8::1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("::/0", "2001:db8::", true),
        ];
        for (written, address, inside) in rows {
            assert_eq!(network(written).contains(address.parse().unwrap()), inside, "{address} in {written}");
        }
        assert_eq!(network("127.0.0.0/8"), Network::LOOPBACK[0]);
        assert_eq!(network("::1/128"), Network::LOOPBACK[1]);
    }

    #[test]
    fn what_is_no_network_is_told_so() {
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129", "10.0.0.0/-1", "10.0.0.0/8/8"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError::Malformed), "{text}");
        }
        assert_eq!("10.1.0.0/8".parse::<Network>(), Err(NetworkError::Beyond(8)));
    }
}
