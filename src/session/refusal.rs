//! Why a request got no way out: one closed enum that says whose fault it was.
//!
//! What each refusal looks like on the wire is `protocol::reply`'s; what it is called is here, so that the record and the
//! answer cannot disagree.

use std::borrow::Cow;

use crate::facts::{DialError, OriginFault, Outcome, ParentFault, RequestId, ResolveError};
use crate::places::Full;
use crate::policy::{Denial, DenyReason};

/// Why a request got no way out.
#[derive(Debug)]
pub enum Refusal {
    /// The policy denied it.
    Denied(Box<Denial>),
    /// The client sent what is no acceptable request.
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
    /// Something that should not happen happened here.
    Internal,
}

/// What was wrong with a request before it could be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The status to answer with: 400, 408, 414, 417, 421, 431, 501 or 505.
    pub status: u16,
    /// The stable token.
    pub token: &'static str,
    /// A clause that fits behind the token and a colon.
    pub detail: Cow<'static, str>,
}

/// Which limit was reached. The newest work is refused; what is open lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// `max-tunnels`, `max-tunnels-per-client`.
    Tunnels(Full),
    /// `max-dials`, `max-dials-per-client`.
    Dials(Full),
}

impl Busy {
    /// A clause for the answer's sentence.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Tunnels(Full::All) => "too many tunnels are open (`max-tunnels`)",
            Self::Tunnels(Full::Client) => "this client has its share of the tunnels open (`max-tunnels-per-client`)",
            Self::Dials(Full::All) => "too many destinations are being connected to (`max-dials`)",
            Self::Dials(Full::Client) => {
                "this client is being connected to its share of destinations (`max-dials-per-client`)"
            }
        }
    }
}

/// A refusal that has been recorded, to be answered.
#[derive(Debug)]
pub struct Refused {
    /// The request's id.
    pub id: RequestId,
    /// Why.
    pub why: Refusal,
}

impl Refusal {
    /// The status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::Denied(_) | Self::Unreachable(DialError::Loop) => 403,
            Self::Malformed(malformed) => malformed.status,
            Self::Unresolvable(ResolveError::Timeout)
            | Self::Unreachable(DialError::Timeout | DialError::Parent(ParentFault::Timeout))
            | Self::Failed(OriginFault::Stalled) => 504,
            Self::Unresolvable(ResolveError::Busy(_))
            | Self::Unreachable(DialError::NoSockets)
            | Self::Busy(_)
            | Self::Unrecordable => 503,
            Self::Unresolvable(ResolveError::NotFound | ResolveError::NoAddresses | ResolveError::Failed)
            | Self::Unreachable(
                DialError::Refused
                | DialError::Unreachable(_)
                | DialError::Parent(
                    ParentFault::Unresolvable
                    | ParentFault::Unreachable
                    | ParentFault::Credentials
                    | ParentFault::Status(_)
                    | ParentFault::Closed
                    | ParentFault::Nonsense,
                ),
            )
            | Self::Failed(OriginFault::Terminated | OriginFault::Nonsense) => 502,
            Self::Internal => 500,
        }
    }

    /// The stable token of record, header field and body.
    pub fn token(&self) -> &'static str {
        match self {
            Self::Denied(denial) => denial.reason().as_str(),
            Self::Malformed(malformed) => malformed.token,
            Self::Unreachable(DialError::Loop) => DenyReason::Loop.as_str(),
            Self::Unresolvable(ResolveError::Timeout) => "dns_timeout",
            Self::Unresolvable(ResolveError::Busy(_)) | Self::Unreachable(DialError::NoSockets) | Self::Busy(_) => {
                "busy"
            }
            Self::Unresolvable(ResolveError::NotFound | ResolveError::NoAddresses | ResolveError::Failed) => {
                "dns_error"
            }
            Self::Unreachable(DialError::Timeout | DialError::Parent(ParentFault::Timeout))
            | Self::Failed(OriginFault::Stalled) => "connection_timeout",
            Self::Unreachable(
                DialError::Refused
                | DialError::Unreachable(_)
                | DialError::Parent(
                    ParentFault::Unresolvable
                    | ParentFault::Unreachable
                    | ParentFault::Credentials
                    | ParentFault::Status(_),
                ),
            ) => "connection_refused",
            Self::Unreachable(DialError::Parent(ParentFault::Closed | ParentFault::Nonsense))
            | Self::Failed(OriginFault::Terminated | OriginFault::Nonsense) => "connection_terminated",
            Self::Unrecordable => "record_unavailable",
            Self::Internal => "internal",
        }
    }

    /// How the record ends.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Denied(_) | Self::Unreachable(DialError::Loop) => Outcome::Denied,
            Self::Malformed(malformed) if malformed.status == 408 => Outcome::Timeout,
            Self::Malformed(_) => Outcome::Malformed,
            Self::Unresolvable(ResolveError::Busy(_))
            | Self::Unreachable(DialError::NoSockets)
            | Self::Busy(_)
            | Self::Unrecordable => Outcome::Busy,
            Self::Unresolvable(_) => Outcome::Unresolvable,
            Self::Unreachable(_) => Outcome::Unreachable,
            Self::Failed(OriginFault::Stalled) => Outcome::Timeout,
            Self::Failed(OriginFault::Terminated | OriginFault::Nonsense) => Outcome::OriginClosed,
            Self::Internal => Outcome::Internal,
        }
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
