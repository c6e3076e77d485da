//! How requests and connections end.

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// In order: a response forwarded whole, or a tunnel that both sides closed.
    Completed,
    /// The policy refused it.
    Denied,
    /// It was not a request that this proxy accepts.
    Malformed,
    /// The name has no address.
    Unresolvable,
    /// No address answered.
    Unreachable,
    /// The client went away.
    ClientClosed,
    /// The origin went away before its response was complete.
    OriginClosed,
    /// The client or the origin was silent for too long.
    Timeout,
    /// A later policy, or the end of a rule's period, ended it.
    Revoked,
    /// A rule's upload limit ended it.
    Limit,
    /// There was no room for it.
    Busy,
    /// The proxy stopped.
    Shutdown,
    /// The proxy itself failed.
    Internal,
}

impl Outcome {
    /// Every outcome, in the order of [`Outcome::index`].
    pub const ALL: [Self; 13] = [
        Self::Completed,
        Self::Denied,
        Self::Malformed,
        Self::Unresolvable,
        Self::Unreachable,
        Self::ClientClosed,
        Self::OriginClosed,
        Self::Timeout,
        Self::Revoked,
        Self::Limit,
        Self::Busy,
        Self::Shutdown,
        Self::Internal,
    ];

    /// Its index in [`Outcome::ALL`], for counters that are arrays.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The stable token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Denied => "denied",
            Self::Malformed => "malformed",
            Self::Unresolvable => "unresolvable",
            Self::Unreachable => "unreachable",
            Self::ClientClosed => "client_closed",
            Self::OriginClosed => "origin_closed",
            Self::Timeout => "timeout",
            Self::Revoked => "revoked",
            Self::Limit => "limit",
            Self::Busy => "busy",
            Self::Shutdown => "shutdown",
            Self::Internal => "internal",
        }
    }
}

/// How a client's connection ended, apart from its requests. `Accepted` counts every accepted connection; the others are
/// counted in addition, for connections that never completed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionResult {
    /// Accepted.
    Accepted,
    /// Turned away at once: too many connections are open.
    Busy,
    /// Turned away at once: this client has too many connections open.
    BusyClient,
    /// Closed at once: this process itself opened it.
    Loop,
    /// Closed by the client before a request was complete.
    ClosedEarly,
    /// Silent before a request was complete.
    TimedOut,
    /// The TLS handshake failed.
    TlsFailed,
    /// The client spoke a protocol that this listener does not accept.
    Unsupported,
    /// The process had no file descriptor left for it.
    AcceptFailed,
}

impl ConnectionResult {
    /// Every result, in the order of [`ConnectionResult::index`].
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Busy,
        Self::BusyClient,
        Self::Loop,
        Self::ClosedEarly,
        Self::TimedOut,
        Self::TlsFailed,
        Self::Unsupported,
        Self::AcceptFailed,
    ];

    /// The stable token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Busy => "busy",
            Self::BusyClient => "busy_client",
            Self::Loop => "loop",
            Self::ClosedEarly => "closed_early",
            Self::TimedOut => "timed_out",
            Self::TlsFailed => "tls_failed",
            Self::Unsupported => "unsupported",
            Self::AcceptFailed => "accept_failed",
        }
    }

    /// Its index in [`ConnectionResult::ALL`], for counters that are arrays.
    pub fn index(self) -> usize {
        self as usize
    }
}
