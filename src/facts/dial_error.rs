//! Why a connection to an origin or to a parent proxy cannot be made.

use std::io::ErrorKind;

use super::tokens;

/// Why no address could be reached. Of several failures the one that says most is reported: the one later in this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum DialError {
    /// There is no route, or the connection failed while it was made; also if there was no address to try.
    #[error("the destination cannot be reached ({0})")]
    Unreachable(ErrorKind),
    /// Nothing answered in time.
    #[error("the destination did not answer in time")]
    Timeout,
    /// The machine is there, but nothing listens on the port.
    #[error("the destination refused the connection")]
    Refused,
    /// This machine has no socket or port left. The fault is here, not with the destination.
    #[error("this machine has no socket left to connect with")]
    NoSockets,
    /// The parent proxy on the way failed.
    #[error(transparent)]
    Parent(#[from] ParentFault),
    /// The address leads back into a listener of this process. No other address is tried then.
    #[error("the destination is this proxy itself")]
    Loop,
}

tokens! { DialError, cause:
    Unreachable(ErrorKind::HostUnreachable) => "connect_failed",
    Timeout => "connect_timeout",
    Refused => "connect_refused",
    NoSockets => "no_sockets",
    Parent(ParentFault::Closed) => "parent",
    Loop => "loop",
}

/// How a parent proxy failed. Nothing of its response is kept but the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum ParentFault {
    /// Its own name has no address.
    #[error("the parent proxy's own name cannot be resolved")]
    Unresolvable,
    /// Nothing listens there, or there is no route.
    #[error("the parent proxy cannot be reached")]
    Unreachable,
    /// It did not accept the connection, or did not respond, in time.
    #[error("the parent proxy did not answer in time")]
    Timeout,
    /// It responded with 407.
    #[error("the parent proxy wants other credentials")]
    Credentials,
    /// It refused the tunnel with this status.
    #[error("the parent proxy refused the destination with status {0}")]
    Status(u16),
    /// It closed the connection before it responded.
    #[error("the parent proxy closed the connection before it had answered")]
    Closed,
    /// Its response is not acceptable HTTP.
    #[error("the parent proxy's answer is not acceptable HTTP")]
    Nonsense,
}

tokens! { ParentFault, cause:
    Unresolvable => "parent_unresolvable",
    Unreachable => "parent_unreachable",
    Timeout => "parent_timeout",
    Credentials => "parent_credentials",
    Status(403) => "parent_status",
    Closed => "parent_closed",
    Nonsense => "parent_response",
}
