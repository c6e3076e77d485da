//! Why the proxy could not start.

use std::io;
use std::net::SocketAddr;

use crate::policy::text::ProblemReport;

/// Why the proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The policy has mistakes.
    #[error("{0}")]
    Policy(ProblemReport),
    /// An address cannot be bound.
    #[error("cannot listen on {address} ({name}): {error}; is another program using it?")]
    Bind {
        /// The listener's name.
        name: String,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The parent proxy is this very process.
    #[error("[parent] url leads to {0}, where this proxy listens itself; name another proxy, or remove [parent]")]
    OwnParent(SocketAddr),
    /// A certificate or key does not serve.
    #[error("listener {name}: {what}")]
    Tls {
        /// The listener's name.
        name: String,
        /// What is wrong, with the fix.
        what: String,
    },
    /// The admin token's file does not serve.
    #[error("{0}")]
    Token(String),
    /// A file cannot be opened, or a thread cannot be started.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        error: io::Error,
    },
}
