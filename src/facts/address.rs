//! What an IP address is: an ordinary one, or one that only means something here.
//!
//! The table is that of the IANA special-purpose registries (RFC 6890 and its updates, read 2026-11), plus multicast, the
//! IPv6 space that IANA has not allocated, and the metadata services of the big clouds. Forms that carry an IPv4
//! address inside (v4-mapped, 6to4, NAT64, ISATAP) are what the address inside is: a packet to them ends there.
//!
//! Deliberately strict: ranges that the registry calls globally reachable but that no ordinary service uses (AS112, AMT,
//! the anycast addresses in 192.0.0.0/24) are special-purpose here too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// The class of an address. Only [`AddressClass::Global`] is dialled without a rule that names the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// An ordinary address of the public Internet.
    Global,
    /// A cloud's metadata service: it gives credentials to any client that can reach it.
    Metadata,
    /// This network, this host (RFC 791, RFC 4291 §2.5.2).
    Unspecified,
    /// This machine.
    Loopback,
    /// Private and unique-local networks (RFC 1918, RFC 4193), and the deprecated site-local ones (RFC 3879).
    Private,
    /// Shared between a provider and its customers (RFC 6598).
    Shared,
    /// One link (RFC 3927, RFC 4291 §2.5.6).
    LinkLocal,
    /// For examples in documents (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// For measurements (RFC 2544, RFC 5180).
    Benchmarking,
    /// Many hosts at once.
    Multicast,
    /// Transition mechanisms that lead somewhere else than they say (Teredo, SIIT, local NAT64, IPv4-compatible).
    Transition,
    /// Protocol assignments, discard prefixes, and space that is not allocated at all.
    Reserved,
}

/// Addresses of metadata services. Most are link-local or private as well; they are listed because the ranges around
/// them may be opened by a rule and they must not be. Azure's wire server and Alibaba's are in ordinary-looking space.
const METADATA_V4: [(Ipv4Addr, &str); 8] = [
    (Ipv4Addr::new(169, 254, 169, 254), "AWS, Azure, Google Cloud, Oracle, DigitalOcean, Hetzner and most others"),
    (Ipv4Addr::new(169, 254, 170, 2), "AWS ECS task credentials"),
    (Ipv4Addr::new(169, 254, 170, 23), "AWS EKS pod identity"),
    (Ipv4Addr::new(169, 254, 0, 23), "Tencent Cloud"),
    (Ipv4Addr::new(169, 254, 42, 42), "Scaleway"),
    (Ipv4Addr::new(168, 63, 129, 16), "Azure wire server"),
    (Ipv4Addr::new(100, 100, 100, 200), "Alibaba Cloud"),
    (Ipv4Addr::new(192, 0, 0, 192), "Oracle Cloud classic"),
];

/// As [`METADATA_V4`], for IPv6.
const METADATA_V6: [(Ipv6Addr, &str); 5] = [
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), "AWS"),
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23), "AWS EKS pod identity"),
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), "Google Cloud"),
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), "Scaleway"),
    (Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), "Oracle Cloud"),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, len: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), len)
}

const fn v6(a: u16, b: u16, c: u16, d: u16, len: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), len)
}

/// The IPv4 registry, and multicast. No two entries overlap except where the first, narrower one is meant to win.
const SPECIAL_V4: [(Ipv4Net, AddressClass); 18] = [
    (v4(0, 0, 0, 0, 8), AddressClass::Unspecified),
    (v4(10, 0, 0, 0, 8), AddressClass::Private),
    (v4(100, 64, 0, 0, 10), AddressClass::Shared),
    (v4(127, 0, 0, 0, 8), AddressClass::Loopback),
    (v4(169, 254, 0, 0, 16), AddressClass::LinkLocal),
    (v4(172, 16, 0, 0, 12), AddressClass::Private),
    (v4(192, 0, 0, 0, 24), AddressClass::Reserved),
    (v4(192, 0, 2, 0, 24), AddressClass::Documentation),
    (v4(192, 31, 196, 0, 24), AddressClass::Reserved), // AS112, RFC 7535
    (v4(192, 52, 193, 0, 24), AddressClass::Reserved), // AMT, RFC 7450
    (v4(192, 88, 99, 0, 24), AddressClass::Transition), // 6to4 relays, RFC 7526
    (v4(192, 168, 0, 0, 16), AddressClass::Private),
    (v4(192, 175, 48, 0, 24), AddressClass::Reserved), // AS112, RFC 7534
    (v4(198, 18, 0, 0, 15), AddressClass::Benchmarking),
    (v4(198, 51, 100, 0, 24), AddressClass::Documentation),
    (v4(203, 0, 113, 0, 24), AddressClass::Documentation),
    (v4(224, 0, 0, 0, 4), AddressClass::Multicast),
    (v4(240, 0, 0, 0, 4), AddressClass::Reserved), // with the broadcast address
];

/// The IPv6 registry. Asked after the embedded forms; what is neither here nor in 2000::/3 is reserved.
const SPECIAL_V6: [(Ipv6Net, AddressClass); 14] = [
    (v6(0x64, 0xff9b, 1, 0, 48), AddressClass::Transition), // local NAT64, RFC 8215: where it ends, only the network knows
    (v6(0x100, 0, 0, 0, 64), AddressClass::Reserved),       // discard, RFC 6666
    (v6(0x2001, 0, 0, 0, 32), AddressClass::Transition),    // Teredo, RFC 4380
    (v6(0x2001, 2, 0, 0, 48), AddressClass::Benchmarking),  // RFC 5180
    (v6(0x2001, 0, 0, 0, 23), AddressClass::Reserved),      // protocol assignments, RFC 2928, with ORCHID and DRIP
    (v6(0x2001, 0xdb8, 0, 0, 32), AddressClass::Documentation),
    (v6(0x2620, 0x4f, 0x8000, 0, 48), AddressClass::Reserved), // AS112, RFC 7534
    (v6(0x3fff, 0, 0, 0, 20), AddressClass::Documentation),    // RFC 9637
    (v6(0x3ffe, 0, 0, 0, 16), AddressClass::Reserved),         // 6bone, returned, RFC 3701
    (v6(0x5f00, 0, 0, 0, 16), AddressClass::Reserved),         // segment routing, RFC 9602
    (v6(0xfc00, 0, 0, 0, 7), AddressClass::Private),
    (v6(0xfe80, 0, 0, 0, 10), AddressClass::LinkLocal),
    (v6(0xfec0, 0, 0, 0, 10), AddressClass::Private),
    (v6(0xff00, 0, 0, 0, 8), AddressClass::Multicast),
];

/// IPv6 space that IANA gives out for ordinary use (RFC 4291 §2.4 and the global unicast registry).
const GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 0, 0, 3);

impl AddressClass {
    /// The class of an address.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    /// Whether it is dialled without a rule that names the range.
    pub fn is_global(self) -> bool {
        self == Self::Global
    }

    /// How to name it to a person: "a private address".
    pub fn describe(self) -> &'static str {
        match self {
            Self::Global => "a public address",
            Self::Metadata => "a cloud metadata address",
            Self::Unspecified => "an unspecified address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::Shared => "a shared (carrier) address",
            Self::LinkLocal => "a link-local address",
            Self::Documentation => "a documentation address",
            Self::Benchmarking => "a benchmarking address",
            Self::Multicast => "a multicast address",
            Self::Transition => "a transition-mechanism address",
            Self::Reserved => "a reserved address",
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        if METADATA_V4.iter().any(|(metadata, _)| *metadata == ip) {
            return Self::Metadata;
        }
        SPECIAL_V4.iter().find(|(net, _)| net.contains(&ip)).map_or(Self::Global, |(_, class)| *class)
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        if METADATA_V6.iter().any(|(metadata, _)| *metadata == ip) {
            return Self::Metadata;
        }
        if ip.is_unspecified() {
            return Self::Unspecified;
        }
        if ip.is_loopback() {
            return Self::Loopback;
        }
        let own = SPECIAL_V6.iter().find(|(net, _)| net.contains(&ip)).map(|(_, class)| *class);
        match Embedded::of(ip) {
            // These lead nowhere but to the address inside.
            Some(Embedded::Exactly(inside)) => Self::of_v4(inside),
            // An IPv4-compatible or SIIT address is never ordinary, but may hide worse.
            Some(Embedded::Deprecated(inside)) => match Self::of_v4(inside) {
                Self::Global => Self::Transition,
                class => class,
            },
            // ISATAP is a form of the last 64 bits, under any prefix: the worse of the two counts.
            Some(Embedded::Interface(inside)) => match (own, Self::of_v4(inside)) {
                (Some(class), Self::Global) => class,
                (None, Self::Global) => Self::by_allocation(ip),
                (_, class) => class,
            },
            None => own.unwrap_or_else(|| Self::by_allocation(ip)),
        }
    }

    fn by_allocation(ip: Ipv6Addr) -> Self {
        if GLOBAL_UNICAST.contains(&ip) { Self::Global } else { Self::Reserved }
    }
}

/// Returns the IPv4 address embedded in an IPv6 address in any known form: v4-mapped, NAT64, 6to4, ISATAP, or a
/// deprecated one.
pub fn embedded_ipv4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    Embedded::of(ip)
        .map(|(Embedded::Exactly(inside) | Embedded::Deprecated(inside) | Embedded::Interface(inside))| inside)
}

/// An IPv4 address inside an IPv6 one.
enum Embedded {
    /// v4-mapped (RFC 4291 §2.5.5.2), 6to4 (RFC 3056), NAT64 by the well-known prefix (RFC 6052).
    Exactly(Ipv4Addr),
    /// IPv4-compatible (RFC 4291 §2.5.5.1) and SIIT's IPv4-translated form (RFC 2765), both deprecated.
    Deprecated(Ipv4Addr),
    /// ISATAP (RFC 5214 §6.1).
    Interface(Ipv4Addr),
}

impl Embedded {
    fn of(ip: Ipv6Addr) -> Option<Self> {
        let [a, b, c, d, e, f, g, h] = ip.segments();
        let last = ipv4(g, h);
        match [a, b, c, d, e, f] {
            [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(Self::Exactly(last)),
            [0, 0, 0, 0, 0, 0] | [0, 0, 0, 0, 0xffff, 0] => Some(Self::Deprecated(last)),
            [0x2002, high, low, _, _, _] => Some(Self::Exactly(ipv4(high, low))),
            [_, _, _, _, 0 | 0x200, 0x5efe] => Some(Self::Interface(last)),
            _ => None,
        }
    }
}

fn ipv4(high: u16, low: u16) -> Ipv4Addr {
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::AddressClass::{self, *};

    fn class(text: &str) -> AddressClass {
        AddressClass::of(text.parse().unwrap())
    }

    /// Each special address next to its near miss.
    #[test]
    fn special_ranges_end_where_the_registry_says() {
        for (text, expected) in [
            ("0.0.0.0", Unspecified),
            ("0.255.255.255", Unspecified),
            ("1.0.0.0", Global),
            ("9.255.255.255", Global),
            ("10.0.0.0", Private),
            ("10.255.255.255", Private),
            ("11.0.0.0", Global),
            ("100.63.255.255", Global),
            ("100.64.0.0", Shared),
            ("100.127.255.255", Shared),
            ("100.128.0.0", Global),
            ("126.255.255.255", Global),
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("128.0.0.0", Global),
            ("169.253.255.255", Global),
            ("169.254.0.1", LinkLocal),
            ("169.255.0.0", Global),
            ("172.15.255.255", Global),
            ("172.16.0.0", Private),
            ("172.31.255.255", Private),
            ("172.32.0.0", Global),
            ("192.0.0.9", Reserved),
            ("192.0.1.0", Global),
            ("192.0.2.1", Documentation),
            ("192.0.3.0", Global),
            ("192.31.196.1", Reserved),
            ("192.52.193.1", Reserved),
            ("192.88.99.1", Transition),
            ("192.88.100.0", Global),
            ("192.167.255.255", Global),
            ("192.168.0.1", Private),
            ("192.169.0.0", Global),
            ("192.175.48.1", Reserved),
            ("198.17.255.255", Global),
            ("198.18.0.0", Benchmarking),
            ("198.19.255.255", Benchmarking),
            ("198.20.0.0", Global),
            ("198.51.100.1", Documentation),
            ("203.0.113.1", Documentation),
            ("203.0.114.0", Global),
            ("223.255.255.255", Global),
            ("224.0.0.1", Multicast),
            ("239.255.255.255", Multicast),
            ("240.0.0.1", Reserved),
            ("255.255.255.255", Reserved),
            ("8.8.8.8", Global),
            ("::", Unspecified),
            ("::1", Loopback),
            ("64:ff9b:1::1", Transition),
            ("100::1", Reserved),
            ("100:0:0:1::1", Reserved),
            ("2001::1", Transition),
            ("2001:2::1", Benchmarking),
            ("2001:3::1", Reserved),
            ("2001:10::1", Reserved),
            ("2001:20::1", Reserved),
            ("2001:1ff:ffff::1", Reserved),
            ("2001:200::1", Global),
            ("2001:db8::1", Documentation),
            ("2001:db9::1", Global),
            ("2606:4700::1111", Global),
            ("2620:4f:8000::1", Reserved),
            ("3fff::1", Documentation),
            ("3fff:1000::1", Global),
            ("5f00::1", Reserved),
            ("4000::1", Reserved),
            ("1fff::1", Reserved),
            ("fbff::1", Reserved),
            ("fc00::1", Private),
            ("fd12::1", Private),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("fec0::1", Private),
            ("ff02::1", Multicast),
        ] {
            assert_eq!(class(text), expected, "{text}");
        }
    }

    #[test]
    fn metadata_services_are_more_than_their_range() {
        for text in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
        ] {
            assert_eq!(class(text), Metadata, "{text}");
        }
        assert_eq!(class("168.63.129.17"), Global);
        assert_eq!(class("169.254.169.253"), LinkLocal);
    }

    #[test]
    fn an_address_inside_another_counts() {
        for (text, expected) in [
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:10.0.0.1", Private),
            ("::ffff:8.8.8.8", Global),
            ("64:ff9b::7f00:1", Loopback),
            ("64:ff9b::808:808", Global),
            ("2002:7f00:1::", Loopback),
            ("2002:a00:1::", Private),
            ("2002:808:808::", Global),
            ("::127.0.0.1", Loopback),
            ("::8.8.8.8", Transition),
            ("::ffff:0:127.0.0.1", Loopback),
            ("::ffff:0:8.8.8.8", Transition),
            ("2606:4700::5efe:10.0.0.1", Private),
            ("2606:4700::200:5efe:8.8.8.8", Global),
            ("fe80::5efe:8.8.8.8", LinkLocal),
            ("2606:4700::5eff:10.0.0.1", Global),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", Transition),
        ] {
            assert_eq!(class(text), expected, "{text}");
        }
    }
}
