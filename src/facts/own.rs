//! The proxy's own sockets, so that no request is ever led back into them, and how its network leads elsewhere than an
//! address says.

use std::net::{IpAddr, SocketAddr};

use super::Nat64Prefix;

/// Where this process listens, the addresses of the machine that lead there, and the network's NAT64 prefixes.
///
/// A loop through the proxy's own port would let a client borrow the proxy's identity towards its admin listener, and
/// would multiply one request without end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnAddresses {
    listening: Vec<SocketAddr>,
    /// In order, each once, so that equal sets are equal.
    machine: Vec<IpAddr>,
    nat64: Vec<Nat64Prefix>,
}

impl OwnAddresses {
    /// What listens, and every address of this machine's interfaces (they matter for sockets that listen on all).
    pub fn new(listening: Vec<SocketAddr>, machine: Vec<IpAddr>) -> Self {
        Self { listening, ..Self::default() }.with_machine(machine)
    }

    /// The same sockets, on a machine with these addresses.
    #[must_use]
    pub fn with_machine(&self, machine: Vec<IpAddr>) -> Self {
        let mut machine: Vec<_> = machine.into_iter().map(|ip| ip.to_canonical()).collect();
        machine.sort_unstable();
        machine.dedup();
        Self { listening: self.listening.clone(), machine, nat64: self.nat64.clone() }
    }

    /// In a network that translates addresses under these prefixes to IPv4.
    #[must_use]
    pub fn with_nat64(self, nat64: Vec<Nat64Prefix>) -> Self {
        Self { nat64, ..self }
    }

    /// The IPv4 addresses that this one leads to by the network's own NAT64; nearly always none.
    pub fn translated(&self, ip: IpAddr) -> impl Iterator<Item = IpAddr> {
        let ip = match ip {
            IpAddr::V6(ip) => Some(ip),
            IpAddr::V4(_) => None,
        };
        self.nat64.iter().filter_map(move |prefix| prefix.inside(ip?)).map(IpAddr::V4)
    }

    /// Whether a connection to this address would end in one of our own sockets.
    pub fn contains(&self, addr: SocketAddr) -> bool {
        let well_known = match addr.ip() {
            IpAddr::V6(ip) => Nat64Prefix::inside_well_known(ip).map(IpAddr::V4),
            IpAddr::V4(_) => None,
        };
        let mut ways = [addr.ip().to_canonical()].into_iter().chain(well_known).chain(self.translated(addr.ip()));
        ways.any(|ip| self.is_own(ip, addr.port()))
    }

    fn is_own(&self, ip: IpAddr, port: u16) -> bool {
        self.listening.iter().any(|own| {
            let own_ip = own.ip().to_canonical();
            own.port() == port && (own_ip == ip || ip.is_unspecified() || (own_ip.is_unspecified() && self.is_here(ip)))
        })
    }

    /// Loopback as a whole counts: a socket on 0.0.0.0 answers on all of 127.0.0.0/8.
    fn is_here(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.machine.contains(&ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dial_that_would_end_here_is_known() {
        let listening = vec!["127.0.0.1:3128".parse().unwrap(), "0.0.0.0:3129".parse().unwrap()];
        let own = OwnAddresses::new(listening, vec!["192.0.2.7".parse().unwrap()])
            .with_nat64(vec!["2001:db8:64::/96".parse().unwrap()]);
        for (addr, here) in [
            ("127.0.0.1:3128", true),
            ("127.0.0.2:3128", false),
            ("127.0.0.1:3127", false),
            ("0.0.0.0:3128", true),
            ("[::]:3128", true),
            ("[::ffff:127.0.0.1]:3128", true),
            ("127.0.0.9:3129", true),
            ("192.0.2.7:3129", true),
            ("192.0.2.8:3129", false),
            ("192.0.2.7:3128", false),
            ("[64:ff9b::c000:207]:3129", true),
            ("[64:ff9b::c000:208]:3129", false),
            ("[2001:db8:64::c000:207]:3129", true),
            ("[2001:db8:64::c000:208]:3129", false),
            ("[2001:db8:65::c000:207]:3129", false),
        ] {
            assert_eq!(own.contains(addr.parse().unwrap()), here, "{addr}");
        }
    }
}
