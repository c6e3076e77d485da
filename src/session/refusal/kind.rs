//! The kinds of refusals: the key of the table.

use super::{Busy, Malformed};
use crate::facts::{BodyError, DialError, HeadError, OriginFault, ParentFault, ResolveError, SocksError, tokens};
use crate::places::Full;
use crate::policy::DenyReason;

/// What a refusal is, without what concerns one request alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The policy denied the request.
    Denied(DenyReason),
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
    /// Records are required and cannot be kept now.
    Unrecordable,
    /// Something failed inside this proxy.
    Internal,
}

tokens! { RefusalKind, own_cause:
    Denied(DenyReason::Loop) => "denied",
    Malformed(Malformed::HeadLate) => "malformed",
    Unresolvable(ResolveError::Failed) => "unresolvable",
    Unreachable(DialError::Timeout) => "unreachable",
    Failed(OriginFault::Stalled) => "failed",
    Busy(Busy::Tunnels(Full::All)) => "busy",
    Unrecordable => "record_unavailable",
    Internal => "internal",
}

impl RefusalKind {
    /// Every kind, with one value for kinds that carry a byte, a status or an error of the system.
    pub fn all() -> Vec<Self> {
        Self::ALL.iter().flat_map(|kind| kind.siblings()).collect()
    }

    /// Every kind of the same variant.
    fn siblings(self) -> Vec<Self> {
        match self {
            Self::Denied(_) => DenyReason::ALL.into_iter().map(Self::Denied).collect(),
            Self::Malformed(_) => {
                Malformed::ALL.iter().flat_map(|cause| malformed(*cause)).map(Self::Malformed).collect()
            }
            Self::Unresolvable(_) => {
                ResolveError::ALL.iter().flat_map(|error| resolve_errors(*error)).map(Self::Unresolvable).collect()
            }
            Self::Unreachable(_) => {
                DialError::ALL.iter().flat_map(|error| dial_errors(*error)).map(Self::Unreachable).collect()
            }
            Self::Failed(_) => OriginFault::ALL.iter().copied().map(Self::Failed).collect(),
            Self::Busy(_) => {
                let limits = [Busy::Tunnels as fn(Full) -> Busy, Busy::Dials];
                limits.into_iter().flat_map(|limit| [limit(Full::All), limit(Full::Client)]).map(Self::Busy).collect()
            }
            Self::Unrecordable | Self::Internal => vec![self],
        }
    }

    /// The stable token of the cause: the most exact word for it. For a denial it is the reason.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Denied(reason) => reason.as_str(),
            Self::Malformed(malformed) => malformed.cause(),
            Self::Unresolvable(ResolveError::Busy(Full::Client)) => "max_lookups_per_client",
            Self::Unresolvable(error) => error.cause(),
            Self::Unreachable(DialError::Parent(fault)) => fault.cause(),
            Self::Unreachable(error) => error.cause(),
            Self::Failed(fault) => fault.cause(),
            Self::Busy(busy) => busy.cause(),
            Self::Unrecordable | Self::Internal => self.own_cause(),
        }
    }

    /// What it says to people: a clause that fits after a colon. A denial has sentences of its own.
    pub fn detail(self) -> Option<String> {
        match self {
            Self::Denied(_) | Self::Internal => None,
            Self::Malformed(malformed) => Some(malformed.to_string()),
            Self::Unresolvable(error) => Some(error.to_string()),
            Self::Unreachable(error) => Some(error.to_string()),
            Self::Failed(fault) => Some(fault.to_string()),
            Self::Busy(busy) => Some(busy.to_string()),
            Self::Unrecordable => Some(UNRECORDABLE.to_owned()),
        }
    }
}

/// Why no request passes while records are required and cannot be kept.
const UNRECORDABLE: &str = "the organisation wants every request recorded, and records cannot be written now";

fn malformed(cause: Malformed) -> Vec<Malformed> {
    match cause {
        Malformed::Head(_) => HeadError::ALL.iter().copied().map(Malformed::Head).collect(),
        Malformed::Body(_) => BodyError::ALL.iter().copied().map(Malformed::Body).collect(),
        Malformed::Socks(_) => SocksError::ALL.iter().copied().map(Malformed::Socks).collect(),
        Malformed::HeadEnded
        | Malformed::HeadLate
        | Malformed::BodyLate
        | Malformed::SocksNotSpoken
        | Malformed::HttpNotSpoken
        | Malformed::SocksMethod
        | Malformed::SocksEnded
        | Malformed::SocksLate
        | Malformed::Misdirected
        | Malformed::MisdirectedAsterisk
        | Malformed::CrossSite => vec![cause],
    }
}

fn resolve_errors(error: ResolveError) -> Vec<ResolveError> {
    match error {
        ResolveError::Busy(_) => vec![ResolveError::Busy(Full::All), ResolveError::Busy(Full::Client)],
        ResolveError::NotFound | ResolveError::NoAddresses | ResolveError::Failed | ResolveError::Timeout => {
            vec![error]
        }
    }
}

fn dial_errors(error: DialError) -> Vec<DialError> {
    match error {
        DialError::Parent(_) => ParentFault::ALL.iter().copied().map(DialError::Parent).collect(),
        DialError::Unreachable(_)
        | DialError::Timeout
        | DialError::Refused
        | DialError::NoSockets
        | DialError::Loop => {
            vec![error]
        }
    }
}
