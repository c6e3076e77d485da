//! Who asks: the other end of a connection, and the identity that it proved.
//!
//! Guaranteed: an identity was proved. What a client merely claims (`User-Agent`, `X-Forwarded-For`) is none.

use std::fmt;
use std::net::SocketAddr;

use crate::places::Holder;

/// Who asks.
///
/// An identity can be found at two moments: when a connection is accepted, and when the head of a request was read. A client is made
/// at the first, and [`Client::identified`] refines it at the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The other end of the connection.
    pub peer: Peer,
    /// Who that is.
    pub identity: Identity,
}

/// The other end of a client's connection, as the system names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A process of this machine.
    Unix(UnixCredentials),
}

/// The process at the other end of a unix socket when it connected, as the system names it (unix(7), `SO_PEERCRED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixCredentials {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its number, where the system tells. It can belong to another process by now.
    pub pid: Option<u32>,
}

/// Who a client has proved to be. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// It has proved nothing.
    Anonymous,
}

impl Client {
    /// Of a connection that was accepted from `peer`, which has proved nothing yet.
    pub fn anonymous(peer: Peer) -> Self {
        Self { peer, identity: Identity::Anonymous }
    }

    /// For a question about a hypothetical request: a client on this machine.
    pub fn hypothetical() -> Self {
        Self::anonymous(Peer::Tcp(([127, 0, 0, 1], 0).into()))
    }

    /// The same client for one request, whose head proved `identity`. That of the connection stays where the head proved none.
    #[must_use]
    pub fn identified(&self, identity: &Identity) -> Self {
        let identity = match identity {
            Identity::Anonymous => self.identity.clone(),
        };
        Self { peer: self.peer, identity }
    }
}

impl Peer {
    /// Whose share of the limits it uses.
    pub fn holder(&self) -> Holder {
        match self {
            Self::Tcp(address) => Holder::Address(address.ip()),
            Self::Unix(process) => Holder::User(process.uid),
        }
    }

    /// Whether both are the same client as far as the peer information shows: the same address, regardless of the port,
    /// or the same user.
    pub fn is_same_client(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(other)) => one.ip().to_canonical() == other.ip().to_canonical(),
            (Self::Unix(one), Self::Unix(other)) => one.uid == other.uid,
            (Self::Tcp(_), Self::Unix(_)) | (Self::Unix(_), Self::Tcp(_)) => false,
        }
    }
}

/// As records show it: `192.0.2.1:50123`, or `uid:1000`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(process) => write!(f, "uid:{}", process.uid),
        }
    }
}

impl Identity {
    /// As records name it; empty for an unidentified client.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Anonymous => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(address: &str) -> Peer {
        Peer::Tcp(address.parse().unwrap())
    }

    fn unix(uid: u32, pid: u32) -> Peer {
        Peer::Unix(UnixCredentials { uid, gid: 100, pid: Some(pid) })
    }

    #[test]
    fn a_client_is_known_by_its_address_or_its_user_and_by_nothing_that_changes_with_a_connection() {
        for (one, other, expected) in [
            (tcp("192.0.2.1:1"), tcp("192.0.2.1:2"), true),
            (tcp("192.0.2.1:1"), tcp("[::ffff:192.0.2.1]:1"), true),
            (tcp("192.0.2.1:1"), tcp("192.0.2.2:1"), false),
            (unix(1000, 7), unix(1000, 8), true),
            (unix(1000, 7), unix(0, 7), false),
            (tcp("127.0.0.1:1"), unix(0, 1), false),
            (unix(0, 1), tcp("127.0.0.1:1"), false),
        ] {
            assert_eq!(one.is_same_client(&other), expected, "{one} {other}");
        }
        assert_ne!(tcp("0.0.0.0:0").holder(), unix(0, 1).holder());
        assert_eq!(unix(1000, 7).holder(), unix(1000, 8).holder());
    }

    #[test]
    fn a_peer_is_shown_without_what_only_the_system_needs() {
        assert_eq!(tcp("[2001:db8::1]:443").to_string(), "[2001:db8::1]:443");
        assert_eq!(unix(1000, 7).to_string(), "uid:1000");
    }

    #[test]
    fn a_head_that_proves_nothing_takes_no_identity_away() {
        let client = Client::anonymous(unix(1000, 7));
        assert_eq!(client.identified(&Identity::Anonymous), client);
        assert_eq!(client.identity.as_str(), "");
    }
}
