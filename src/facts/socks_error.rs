//! Why a SOCKS5 request is refused.

use super::{HostError, tokens};

/// Why bytes are not a SOCKS5 request that can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocksError {
    /// Another version.
    #[error("the version is not 5")]
    Version,
    /// A method selection without methods.
    #[error("the method selection offers no method")]
    NoMethods,
    /// BIND, UDP ASSOCIATE, or an unknown command.
    #[error("the command is not CONNECT")]
    Command,
    /// The reserved byte is set.
    #[error("the reserved byte is not zero")]
    Reserved,
    /// Not IPv4, a name or IPv6.
    #[error("the address type is unknown")]
    AddressType,
    /// The name or the port is not valid.
    #[error(transparent)]
    Host(#[from] HostError),
}

tokens! { SocksError, cause:
    Version => "socks_version",
    NoMethods => "socks_no_methods",
    Command => "socks_command",
    Reserved => "socks_reserved",
    AddressType => "socks_address_type",
    Host(HostError::Empty) => "socks_host",
}
