//! The addresses of this machine, for knowing a way back into our own sockets.

use std::io;
use std::net::IpAddr;

/// Every address of every network interface, those that are down included.
///
/// # Errors
/// If the system does not say. A caller that then went on without them could be led into its own sockets.
pub fn machine_addresses() -> io::Result<Vec<IpAddr>> {
    Ok(if_addrs::get_if_addrs()?.into_iter().map(|interface| interface.ip()).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn loopback_is_one_of_them() {
        assert!(super::machine_addresses().unwrap().iter().any(std::net::IpAddr::is_loopback));
    }
}
