//! Why a request is refused. [`RefusalKind::row`] is the one table of how each refusal appears: on the wire, in the record
//! and in the metrics.

mod kind;
mod malformed;
mod table;
#[cfg(test)]
mod tests;

use crate::facts::{DialError, OriginFault, RequestId, ResolveError};
use crate::places::Full;
use crate::policy::Denial;

pub use kind::RefusalKind;
pub use malformed::Malformed;
pub use table::Row;

/// Why a request is refused.
#[derive(Debug)]
pub enum Refusal {
    /// The policy denied it.
    Denied(Box<Denial>),
    /// The client did not send an acceptable request.
    Malformed(Malformed),
    /// The name has no address.
    Unresolvable(ResolveError),
    /// The origin could not be reached.
    Unreachable(DialError),
    /// The origin was reached and failed.
    Failed(OriginFault),
    /// A limit of this proxy is reached.
    Busy(Busy),
    /// Records are required (`[record] required`) and cannot be kept now.
    Unrecordable,
    /// Something failed inside this proxy.
    Internal,
}

/// Which limit is reached. The newest work is refused; what is open continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// `max-tunnels`, `max-tunnels-per-client`.
    #[error("{}", match .0 {
        Full::All => "too many tunnels are open (`max-tunnels`)",
        Full::Client => "this client has its share of the tunnels open (`max-tunnels-per-client`)",
    })]
    Tunnels(Full),
    /// `max-dials`, `max-dials-per-client`.
    #[error("{}", match .0 {
        Full::All => "too many destinations are being connected to (`max-dials`)",
        Full::Client => "this client is being connected to its share of destinations (`max-dials-per-client`)",
    })]
    Dials(Full),
}

impl Busy {
    /// The stable token of the limit.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Tunnels(Full::All) => "max_tunnels",
            Self::Tunnels(Full::Client) => "max_tunnels_per_client",
            Self::Dials(Full::All) => "max_dials",
            Self::Dials(Full::Client) => "max_dials_per_client",
        }
    }
}

/// A refusal that has been recorded and has not been sent.
#[derive(Debug)]
pub struct Refused {
    /// The request's id.
    pub id: RequestId,
    /// Why.
    pub why: Refusal,
}

impl Refusal {
    /// The refusal without what concerns this one request alone.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::Denied(denial) => RefusalKind::Denied(denial.reason()),
            Self::Malformed(malformed) => RefusalKind::Malformed(*malformed),
            Self::Unresolvable(error) => RefusalKind::Unresolvable(*error),
            Self::Unreachable(error) => RefusalKind::Unreachable(*error),
            Self::Failed(fault) => RefusalKind::Failed(*fault),
            Self::Busy(busy) => RefusalKind::Busy(*busy),
            Self::Unrecordable => RefusalKind::Unrecordable,
            Self::Internal => RefusalKind::Internal,
        }
    }

    /// How it appears on the wire, in the record and in the metrics.
    pub fn row(&self) -> Row {
        self.kind().row()
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<ResolveError> for Refusal {
    fn from(error: ResolveError) -> Self {
        Self::Unresolvable(error)
    }
}

impl From<DialError> for Refusal {
    fn from(error: DialError) -> Self {
        Self::Unreachable(error)
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denied(Box::new(denial))
    }
}
