//! Ports that stay reserved between choosing and using them.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A loopback port that is bound and does not listen: connecting there is refused, and the system assigns it to no
/// other socket. On Linux a process that sets `SO_REUSEADDR`, as servers do, can listen there all the same.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _held: Option<Socket>,
}

impl Port {
    pub fn reserve() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let number = socket.local_addr().unwrap().as_socket().unwrap().port();
        // Elsewhere two bound sockets exclude each other, so the port is given back and the risk taken.
        Self { number, _held: cfg!(target_os = "linux").then_some(socket) }
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}
