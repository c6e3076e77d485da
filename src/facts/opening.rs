//! How a tunnel begins: what its first client bytes say about where it leads.

use std::net::IpAddr;

use super::DomainName;

/// What a tunnel's first client bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A whole ClientHello, naming this server.
    Hello(ServerName),
    /// No TLS: another protocol, or an origin that spoke first, which a TLS server never does.
    NotTls,
    /// It begins as TLS does and cannot be judged; why.
    Malformed(&'static str),
    /// A ClientHello that does not end within the limit.
    TooLarge,
    /// No whole ClientHello came in time.
    Late,
    /// The client ended in the middle of its ClientHello.
    Cut,
}

/// The server that a ClientHello names (RFC 6066 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerName {
    /// One host name, in canonical form.
    Name(DomainName),
    /// An address, which RFC 6066 forbids but a few clients send. Never equal to a name that was asked for.
    Address(IpAddr),
    /// There is no `server_name` extension.
    Missing,
}
