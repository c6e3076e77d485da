//! What a listener's own paths depend on.

use std::net::SocketAddr;

use super::pac;
use crate::facts::{Destination, Host, Port};

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
    /// Whether an absolute-form target names this very listener; clients with a proxy set ask for its paths so.
    pub(super) fn is_this_listener(&self, destination: &Destination) -> bool {
        match destination.host() {
            Host::Ip(ip) => *ip == self.address.ip() && destination.port().get() == self.address.port(),
            Host::Name(_) => false,
        }
    }

    /// The PAC that this listener serves; none where it has no port.
    pub(super) fn pac(&self) -> Option<String> {
        let port = Port::new(self.address.port()).ok()?;
        Some(pac::script(&Destination::new(Host::Ip(self.address.ip()), port), self.tls))
    }
}
