//! How an origin failed after it was reached.

use super::tokens;

/// How an origin failed after it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginFault {
    /// It closed the connection before its response was complete.
    #[error("the destination closed the connection before it had answered")]
    Terminated,
    /// Its response is not acceptable HTTP.
    #[error("the destination's answer is not acceptable HTTP")]
    Nonsense,
    /// It stopped sending.
    #[error("the destination stopped answering")]
    Stalled,
}

tokens! { OriginFault, cause:
    Terminated => "origin_closed",
    Nonsense => "origin_response",
    Stalled => "origin_silent",
}
