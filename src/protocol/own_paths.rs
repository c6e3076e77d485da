//! What a listener's own paths depend on.

use std::net::{IpAddr, SocketAddr};

use super::pac;
use crate::facts::{Destination, Host, Port};
use crate::stream::ClientStream;

/// What the own paths need to know of their listener.
#[derive(Clone, Debug)]
pub struct OwnPaths {
    /// The address that this listener is bound to.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Whether clients may ask for their own denials here.
    pub denials: bool,
}

impl OwnPaths {
    /// The address at which the client of this stream reaches the listener. A listener on all addresses (`0.0.0.0`, `[::]`)
    /// is reached at the one that the client connected to.
    pub(super) fn reached_at(&self, stream: &ClientStream) -> IpAddr {
        let reached = if self.address.ip().is_unspecified() { stream.local_address() } else { None };
        reached.unwrap_or(self.address).ip().to_canonical()
    }

    /// Whether an absolute-form target names this very listener, reached at this address; clients with a proxy set ask for
    /// its paths so.
    pub(super) fn is_this_listener(&self, reached_at: IpAddr, destination: &Destination) -> bool {
        match destination.host() {
            Host::Ip(ip) => *ip == reached_at && destination.port().get() == self.address.port(),
            Host::Name(_) => false,
        }
    }

    /// The PAC for a client that reaches the listener at this address; none where it has no port.
    pub(super) fn pac(&self, reached_at: IpAddr) -> Option<String> {
        let port = Port::new(self.address.port()).ok()?;
        Some(pac::script(&Destination::new(Host::Ip(reached_at), port), self.tls))
    }
}
