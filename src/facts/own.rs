//! The proxy's own sockets, so that no request is ever led back into them.

use std::net::{IpAddr, SocketAddr};

/// Where this process listens, and the addresses of the machine that lead there.
///
/// A loop through the proxy's own port would let a client borrow the proxy's identity towards its admin listener, and
/// would multiply one request without end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnAddresses {
    listening: Vec<SocketAddr>,
    machine: Vec<IpAddr>,
}

impl OwnAddresses {
    /// What listens, and every address of this machine's interfaces (they matter for sockets that listen on all).
    pub fn new(listening: Vec<SocketAddr>, machine: Vec<IpAddr>) -> Self {
        let canonical = |ip: IpAddr| ip.to_canonical();
        Self { listening, machine: machine.into_iter().map(canonical).collect() }
    }

    /// Whether a connection to this address would end in one of our own sockets.
    pub fn contains(&self, addr: SocketAddr) -> bool {
        let ip = addr.ip().to_canonical();
        self.listening.iter().any(|own| {
            let own_ip = own.ip().to_canonical();
            own.port() == addr.port()
                && (own_ip == ip || ip.is_unspecified() || (own_ip.is_unspecified() && self.is_here(ip)))
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
        let own = OwnAddresses::new(listening, vec!["192.0.2.7".parse().unwrap()]);
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
        ] {
            assert_eq!(own.contains(addr.parse().unwrap()), here, "{addr}");
        }
    }
}
