//! How each refusal appears: one row for each kind.

use super::{Busy, Malformed, RefusalKind};
use crate::facts::{
    BodyError, DialError, HeadError, OriginFault, Outcome, ParentFault, ProxyError, ResolveError, SocksError,
    SocksReply,
};
use crate::policy::DenyReason;

/// How a refusal appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The status of an HTTP response.
    pub status: u16,
    /// The stable token in the response, the record and the metrics: the reason for a denial, or the name of the fault.
    pub token: &'static str,
    /// How the record ends.
    pub outcome: Outcome,
    /// The error type in `Proxy-Status`.
    pub error: ProxyError,
    /// The reply to a SOCKS5 request.
    pub reply: SocksReply,
}

impl RefusalKind {
    /// How it appears. A new refusal is a new row here.
    pub fn row(self) -> Row {
        use {ProxyError as Error, SocksReply as Reply};
        match self {
            Self::Denied(reason @ DenyReason::AddressNotAllowed) => denied(reason, Error::DestinationIpProhibited),
            Self::Denied(reason @ DenyReason::Loop) => denied(reason, Error::ProxyLoopDetected),
            Self::Denied(
                reason @ (DenyReason::EgressDisabled
                | DenyReason::EgressNone
                | DenyReason::HostDenied
                | DenyReason::HostNotAllowed
                | DenyReason::MethodNotAllowed
                | DenyReason::NotTls
                | DenyReason::OutsidePeriod
                | DenyReason::PortNotAllowed
                | DenyReason::SniMismatch
                | DenyReason::SniMissing
                | DenyReason::ToolNotAllowed),
            ) => denied(reason, Error::HttpRequestDenied),

            Self::Malformed(Malformed::Head(
                HeadError::BareLf
                | HeadError::BareCr
                | HeadError::EmptyLines
                | HeadError::RequestLine
                | HeadError::StatusLine
                | HeadError::TargetByte(_)
                | HeadError::Fragment
                | HeadError::TargetForm
                | HeadError::Authority(_)
                | HeadError::FoldedLine
                | HeadError::BlankBeforeColon
                | HeadError::FieldName
                | HeadError::FieldValue
                | HeadError::DisguisedName
                | HeadError::MissingHost
                | HeadError::RepeatedHost
                | HeadError::Host(_)
                | HeadError::LengthAndCoding
                | HeadError::RepeatedLength
                | HeadError::Length
                | HeadError::RepeatedCoding
                | HeadError::Coding
                | HeadError::CodingInHttp10
                | HeadError::ConnectBody
                | HeadError::ConnectionOptions
                | HeadError::MaxForwards,
            )) => malformed(400, "malformed_request"),
            Self::Malformed(Malformed::Head(HeadError::TargetTooLong)) => malformed(414, "malformed_request"),
            Self::Malformed(Malformed::Head(HeadError::Expectation)) => malformed(417, "malformed_request"),
            Self::Malformed(Malformed::Head(HeadError::HeadTooLarge | HeadError::TooManyFields)) => {
                malformed(431, "malformed_request")
            }
            Self::Malformed(Malformed::Head(
                HeadError::LongMethod
                | HeadError::MethodCase
                | HeadError::Scheme
                | HeadError::Trace
                | HeadError::UnknownCoding,
            )) => malformed(501, "unsupported"),
            Self::Malformed(Malformed::Head(HeadError::Version)) => malformed(505, "unsupported"),
            Self::Malformed(Malformed::Body(
                BodyError::ChunkSize
                | BodyError::LargeChunk
                | BodyError::Extension
                | BodyError::LongExtensions
                | BodyError::ChunkEnd
                | BodyError::Trailer
                | BodyError::LargeTrailers
                | BodyError::Truncated,
            )) => malformed(400, "malformed_request"),
            Self::Malformed(Malformed::Socks(SocksError::Command)) => {
                Row { reply: Reply::CommandNotSupported, ..malformed(400, "malformed_request") }
            }
            Self::Malformed(Malformed::Socks(SocksError::AddressType)) => {
                Row { reply: Reply::AddressTypeNotSupported, ..malformed(400, "malformed_request") }
            }
            Self::Malformed(
                Malformed::Socks(
                    SocksError::Version | SocksError::NoMethods | SocksError::Reserved | SocksError::Host(_),
                )
                | Malformed::HeadEnded
                | Malformed::SocksMethod
                | Malformed::SocksEnded,
            ) => malformed(400, "malformed_request"),
            Self::Malformed(Malformed::HeadLate | Malformed::BodyLate | Malformed::SocksLate) => {
                Row { outcome: Outcome::Timeout, ..malformed(408, "request_timeout") }
            }
            Self::Malformed(Malformed::SocksNotSpoken | Malformed::HttpNotSpoken) => malformed(501, "unsupported"),
            Self::Malformed(Malformed::Misdirected) => malformed(421, "misdirected"),
            Self::Malformed(Malformed::MisdirectedAsterisk) => malformed(400, "misdirected"),
            Self::Malformed(Malformed::CrossSite) => malformed(403, "cross_site"),

            Self::Unresolvable(ResolveError::NotFound | ResolveError::NoAddresses | ResolveError::Failed) => {
                row(502, "dns_error", Outcome::Unresolvable, Error::DnsError, Reply::HostUnreachable)
            }
            Self::Unresolvable(ResolveError::Timeout) => {
                row(504, "dns_timeout", Outcome::Unresolvable, Error::DnsTimeout, Reply::TtlExpired)
            }
            Self::Unresolvable(ResolveError::Busy(_)) => busy(),

            Self::Unreachable(DialError::Unreachable(_)) => {
                unreachable(502, "connection_refused", Error::ConnectionRefused, Reply::NetworkUnreachable)
            }
            Self::Unreachable(DialError::Refused) => {
                unreachable(502, "connection_refused", Error::ConnectionRefused, Reply::ConnectionRefused)
            }
            Self::Unreachable(DialError::Timeout) => {
                unreachable(504, "connection_timeout", Error::ConnectionTimeout, Reply::TtlExpired)
            }
            Self::Unreachable(DialError::NoSockets) => busy(),
            Self::Unreachable(DialError::Loop) => denied(DenyReason::Loop, Error::ProxyLoopDetected),
            Self::Unreachable(DialError::Parent(
                ParentFault::Unresolvable
                | ParentFault::Unreachable
                | ParentFault::Credentials
                | ParentFault::Status(_),
            )) => unreachable(502, "connection_refused", Error::ConnectionRefused, Reply::GeneralFailure),
            Self::Unreachable(DialError::Parent(ParentFault::Timeout)) => {
                unreachable(504, "connection_timeout", Error::ConnectionTimeout, Reply::GeneralFailure)
            }
            Self::Unreachable(DialError::Parent(ParentFault::Closed)) => {
                unreachable(502, "connection_terminated", Error::ConnectionTerminated, Reply::GeneralFailure)
            }
            Self::Unreachable(DialError::Parent(ParentFault::Nonsense)) => {
                unreachable(502, "connection_terminated", Error::HttpProtocolError, Reply::GeneralFailure)
            }

            Self::Failed(OriginFault::Terminated) => row(
                502,
                "connection_terminated",
                Outcome::OriginClosed,
                Error::ConnectionTerminated,
                Reply::GeneralFailure,
            ),
            Self::Failed(OriginFault::Nonsense) => row(
                502,
                "connection_terminated",
                Outcome::OriginClosed,
                Error::HttpProtocolError,
                Reply::GeneralFailure,
            ),
            Self::Failed(OriginFault::Stalled) => {
                row(504, "connection_timeout", Outcome::Timeout, Error::ConnectionReadTimeout, Reply::GeneralFailure)
            }

            Self::Busy(Busy::Tunnels(_) | Busy::Dials(_)) => busy(),
            Self::Unrecordable => {
                row(503, "record_unavailable", Outcome::Busy, Error::ProxyInternalError, Reply::GeneralFailure)
            }
            Self::Internal => row(500, "internal", Outcome::Internal, Error::ProxyInternalError, Reply::GeneralFailure),
        }
    }
}

const fn row(status: u16, token: &'static str, outcome: Outcome, error: ProxyError, reply: SocksReply) -> Row {
    Row { status, token, outcome, error, reply }
}

fn denied(reason: DenyReason, error: ProxyError) -> Row {
    row(403, reason.as_str(), Outcome::Denied, error, SocksReply::NotAllowed)
}

const fn malformed(status: u16, token: &'static str) -> Row {
    row(status, token, Outcome::Malformed, ProxyError::HttpRequestError, SocksReply::GeneralFailure)
}

const fn unreachable(status: u16, token: &'static str, error: ProxyError, reply: SocksReply) -> Row {
    row(status, token, Outcome::Unreachable, error, reply)
}

const fn busy() -> Row {
    row(503, "busy", Outcome::Busy, ProxyError::ConnectionLimitReached, SocksReply::GeneralFailure)
}
