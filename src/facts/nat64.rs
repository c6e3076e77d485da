//! The IPv4 address that a network's own NAT64 derives from an IPv6 address (RFC 6052).
//!
//! Which prefixes do so, only the network knows, so they are configured. What is under the well-known one has its class
//! from the address inside already ([`AddressClass`](super::AddressClass)).
//!
//! Deliberately lenient: the bits that must be zero (64 to 71) and the suffix are not looked at, since translators differ
//! in whether they do, and an address that some would translate has to be judged.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::Ipv6Net;

/// The well-known prefix (RFC 6052 §2.1).
const WELL_KNOWN: Nat64Prefix = Nat64Prefix(Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96));

/// The lengths that a prefix may have (RFC 6052 §2.2).
const LENGTHS: [u8; 6] = [32, 40, 48, 56, 64, 96];

/// A prefix under which a network translates to IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat64Prefix(Ipv6Net);

/// Why a text is not a NAT64 prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nat64Error {
    /// Not an IPv6 block at all.
    #[error("it is no IPv6 block such as 2001:db8:64::/96")]
    NoBlock,
    /// Another length than RFC 6052 knows.
    #[error("its length is not 32, 40, 48, 56, 64 or 96 (RFC 6052)")]
    Length,
    /// Bits beyond its length.
    #[error("it has bits beyond its length")]
    HostBits,
    /// A /96 whose ninth byte is not zero.
    #[error("its bits 64 to 71 are not zero (RFC 6052)")]
    Reserved,
}

impl Nat64Prefix {
    /// The IPv4 address that a packet to this one ends at, if it is under the prefix.
    pub fn inside(&self, ip: Ipv6Addr) -> Option<Ipv4Addr> {
        if !self.0.contains(&ip) {
            return None;
        }
        let [_, _, _, _, b4, b5, b6, b7, _, b9, b10, b11, b12, b13, b14, b15] = ip.octets();
        let [a, b, c, d] = match self.0.prefix_len() {
            32 => [b4, b5, b6, b7],
            40 => [b5, b6, b7, b9],
            48 => [b6, b7, b9, b10],
            56 => [b7, b9, b10, b11],
            64 => [b9, b10, b11, b12],
            _ => [b12, b13, b14, b15],
        };
        Some(Ipv4Addr::new(a, b, c, d))
    }

    /// As [`Nat64Prefix::inside`], by the well-known prefix.
    pub(super) fn inside_well_known(ip: Ipv6Addr) -> Option<Ipv4Addr> {
        WELL_KNOWN.inside(ip)
    }
}

impl FromStr for Nat64Prefix {
    type Err = Nat64Error;

    fn from_str(text: &str) -> Result<Self, Nat64Error> {
        let net: Ipv6Net = text.parse().map_err(|_| Nat64Error::NoBlock)?;
        let [_, _, _, _, _, _, _, _, reserved, ..] = net.addr().octets();
        match net.prefix_len() {
            length if !LENGTHS.contains(&length) => Err(Nat64Error::Length),
            _ if net.trunc() != net => Err(Nat64Error::HostBits),
            _ if reserved != 0 => Err(Nat64Error::Reserved),
            _ => Ok(Self(net)),
        }
    }
}

impl fmt::Display for Nat64Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 6052 §2.4, and each prefix's near miss.
    #[test]
    fn the_address_inside_is_where_the_standard_puts_it() {
        for (prefix, ip, inside) in [
            ("2001:db8::/32", "2001:db8:c000:221::", Some("192.0.2.33")),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::", Some("192.0.2.33")),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::", Some("192.0.2.33")),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::", Some("192.0.2.33")),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::", Some("192.0.2.33")),
            ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33", Some("192.0.2.33")),
            ("2001:db8::/32", "2001:db9:c000:221::", None),
            ("2001:db8:100::/40", "2001:db8:2c0:2:21::", None),
            ("2001:db8:122::/48", "2001:db8:123:c000:2:2100::", None),
            ("2001:db8:122:300::/56", "2001:db8:122:4c0:0:221::", None),
            ("2001:db8:122:344::/64", "2001:db8:122:345:c0:2:2100::", None),
            ("2001:db8:122:344::/96", "2001:db8:122:344:0:1:c000:221", None),
            // The bits that must be zero are not, and there is a suffix; some translators accept it.
            ("2001:db8:122::/48", "2001:db8:122:c000:ff02:21ff:ffff:ffff", Some("192.0.2.33")),
            ("fd00:64::/96", "fd00:64::a00:1", Some("10.0.0.1")),
        ] {
            let prefix: Nat64Prefix = prefix.parse().unwrap();
            assert_eq!(prefix.inside(ip.parse().unwrap()).map(|ip| ip.to_string()).as_deref(), inside, "{prefix} {ip}");
        }
        assert_eq!(Nat64Prefix::inside_well_known("64:ff9b::a00:1".parse().unwrap()), Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(Nat64Prefix::inside_well_known("64:ff9b:0:0:0:1:a00:1".parse().unwrap()), None);
    }

    #[test]
    fn a_prefix_is_one_that_the_standard_knows() {
        for (text, error) in [
            ("2001:db8::/32", None),
            ("2001:db8::/40", None),
            ("2001:db8:64::/96", None),
            ("2001:db8::/33", Some(Nat64Error::Length)),
            ("2001:db8::/0", Some(Nat64Error::Length)),
            ("2001:db8::/128", Some(Nat64Error::Length)),
            ("2001:db8:1::/32", Some(Nat64Error::HostBits)),
            ("2001:db8::1/96", Some(Nat64Error::HostBits)),
            ("2001:db8:0:0:100::/96", Some(Nat64Error::Reserved)),
            ("2001:db8:0:0:1::/96", None),
            ("2001:db8::", Some(Nat64Error::NoBlock)),
            ("192.0.2.0/24", Some(Nat64Error::NoBlock)),
            ("", Some(Nat64Error::NoBlock)),
        ] {
            assert_eq!(text.parse::<Nat64Prefix>().err(), error, "{text}");
        }
    }
}
