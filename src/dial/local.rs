//! Connections to listening sockets of this very machine, for a proxy that asks itself and for commands that ask it.
//!
//! Guaranteed: no packet leaves the machine. An address that is not this machine's is refused before anything is sent.
//!
//! Deliberately not done: policy. No client's request ever gets here; what does is in the program's own words.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::machine_addresses;

/// Connects to a listener of this machine. One that is bound to every address is reached over loopback. Blocks for at
/// most `patience`, which then limits each read and write too.
///
/// # Errors
/// `InvalidInput` for an address of another machine; what the system says otherwise.
pub fn to_own_listener(listener: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let address = reachable(listener);
    if !address.ip().is_loopback() && !machine_addresses()?.contains(&address.ip()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is not an address of this machine"));
    }
    let stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

/// Where a listener is reached from its own machine.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn a_socket_on_every_address_is_reached_over_loopback_and_another_machine_never() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let stream = to_own_listener(listener.local_addr().unwrap(), PATIENCE).unwrap();
        assert!(stream.peer_addr().unwrap().ip().is_loopback());
        for stranger in ["192.0.2.1:3128", "[2001:db8::1]:3128"] {
            let error = to_own_listener(stranger.parse().unwrap(), PATIENCE).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{stranger}");
        }
    }
}
